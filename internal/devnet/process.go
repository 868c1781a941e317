package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopPatience is how long a process may take to end by itself before it is killed.
const stopPatience = 8 * time.Second

// process is one custodian.
type process struct {
	cmd  *exec.Cmd
	pipe io.Closer // our end: the custodian ends when it closes
	done chan struct{}
	err  error // after done
}

// start runs a program whose end is tied to ours. Its output goes to a log file.
func start(bin, logFile string, args ...string) (*process, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = read.Close() }()

	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{read} // descriptor 3
	// A group of its own: Ctrl-C on the terminal reaches us alone, and we end them in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	p := &process{cmd: cmd, pipe: write, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the process: kindly, then not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	_ = p.pipe.Close()
}

// stopAll ends processes at once, side by side.
func stopAll(all []*process) {
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(p.stop)
	}
	wg.Wait()
}

// call runs a command to its end and returns its output. On failure the error is the command's own last words.
func call(ctx context.Context, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(bin), strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// build compiles the custodian into dir.
func build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "conclave")
	_, err := call(ctx, "go", "build", "-o", bin, "conclave/cmd/conclave")
	return bin, err
}
