package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// agreement measures decisions: how fast a member that was away takes them over, how fast a start reads them back and what it keeps of them,
// how long one takes over loopback, and what a dead leader costs. All of it runs in package node's benchmarks: real cores, their ledgers on this machine's disk, and
// the real wire on loopback. The Relay, the chain and signing are left out.
func agreement(ctx context.Context) error {
	bench, err := build(ctx, "./node")
	if err != nil {
		return err
	}
	defer bench.close()
	for _, f := range []struct{ name, benchmark, unit string }{
		{"sync_rate", "BenchmarkSync", "decisions/s"},
		{"start_rate", "BenchmarkStart", "decisions/s"},
		{"start_memory", "BenchmarkStart", "B/decision"},
		{"decision_p50_n4", "BenchmarkDecision/n4", "ms"},
		{"decision_p50_n7", "BenchmarkDecision/n7", "ms"},
		{"decision_p50_n10", "BenchmarkDecision/n10", "ms"},
		{"leader_failure_cost", "BenchmarkLeaderFailure", "s"},
	} {
		value, err := bench.metric(ctx, f.benchmark, f.unit)
		if err != nil {
			return err
		}
		fmt.Printf("%s %.4g %s\n", f.name, value, f.unit)
	}
	return nil
}

// metric runs a benchmark once in a fresh process and returns one of the figures that it reports.
func (b *testBinary) metric(ctx context.Context, name, unit string) (float64, error) {
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, b.binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", "1x")
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("run %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return metricOf(string(out), unit)
}

func metricOf(out, unit string) (float64, error) {
	m := regexp.MustCompile(`\s([0-9.e+]+) ` + regexp.QuoteMeta(unit) + `(\s|$)`).FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%w: no %s in %q", errOutput, unit, out)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil || v <= 0 {
		return 0, fmt.Errorf("%w: %q", errOutput, m[1])
	}
	return v, nil
}
