package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// testBinary is a package's benchmarks, compiled once.
type testBinary struct {
	dir    string // where the package is: its tests read testdata from there
	binary string
	temp   string
}

// build compiles the tests of a package, named as below the working directory.
func build(ctx context.Context, pkg string) (*testBinary, error) {
	temp, err := os.MkdirTemp("", "conclave-bench-")
	if err != nil {
		return nil, err
	}
	b := &testBinary{dir: filepath.FromSlash(pkg), binary: filepath.Join(temp, "bench.test"), temp: temp}
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", b.binary, pkg).CombinedOutput(); err != nil {
		b.close()
		return nil, fmt.Errorf("build benchmarks of %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return b, nil
}

func (b *testBinary) close() { _ = os.RemoveAll(b.temp) }

// runs is how often a process makes the measured thing: the first time warms up, loading fixtures among other things, and
// does not count.
const runs = 2

// time runs a benchmark in a fresh process and returns the seconds of its last iteration.
func (b *testBinary) time(ctx context.Context, name string) (float64, error) {
	cmd := exec.CommandContext(ctx, b.binary, "-test.run", "^$", "-test.bench", "^"+name+"$", "-test.benchtime", "1x",
		"-test.count", strconv.Itoa(runs))
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("run %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	times, err := parse(string(out), name)
	if err != nil {
		return 0, err
	}
	return times[runs-1], nil
}

var errOutput = errors.New("benchmark printed something else than expected")

// parse reads the seconds per iteration of each run from what `go test` prints.
func parse(out, name string) ([]float64, error) {
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `(?:-\d+)?\s+1\s+(\d+(?:\.\d+)?) ns/op`)
	var times []float64
	for _, m := range line.FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(m[1], 64)
		if err != nil || ns <= 0 {
			return nil, fmt.Errorf("%w: %q", errOutput, m[0])
		}
		times = append(times, ns/1e9)
	}
	if len(times) != runs {
		return nil, fmt.Errorf("%w: %d figures of %s, want %d", errOutput, len(times), name, runs)
	}
	return times, nil
}
