package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"conclave/internal/devnet"
)

// bareRuns is how often the bare library signs before, and again after, the network ran.
const bareRuns = 6

// processes runs a local network of four processes and compares its signing sessions with the bare library in one process,
// which is timed before and after it: the two must agree, or the machine was busy with something else.
func processes(ctx context.Context) error {
	bench, err := build(ctx, "./tss")
	if err != nil {
		return err
	}
	defer bench.close()
	var m measured
	for range bareRuns {
		if err := bench.bare(ctx, &m.plain); err != nil {
			return err
		}
	}
	report, err := network(ctx)
	if err != nil {
		return err
	}
	for range bareRuns {
		if err := bench.bare(ctx, &m.control); err != nil {
			return err
		}
	}
	bare := median(append(append([]float64{}, m.plain...), m.control...))
	for _, f := range []struct {
		name  string
		value float64
		unit  string
	}{
		{"sign_processes_3of4", report.Session / bare, "ratio"}, {"sign_session_3of4", report.Session, "s"}, {"sign_bare_3of4", bare, "s"},
		{"devnet_keygen", report.Keygen, "s"}, {"devnet_first_payment", report.First, "s"}, {"devnet_all_paid", report.Seconds, "s"},
		{"latency_p50", float64(report.Latency["p50"]) / 1000, "s"}, {"latency_p99", float64(report.Latency["p99"]) / 1000, "s"},
	} {
		fmt.Printf("%s %.3f %s\n", f.name, f.value, f.unit)
	}
	for name, value := range report.CPU {
		fmt.Printf("cpu_%s %v -\n", name, value)
	}
	if noise := m.noise(); noise != nil {
		return errors.Join(errNoisy, noise)
	}
	return nil
}

// bare adds one time of the bare library.
func (b *testBinary) bare(ctx context.Context, to *[]float64) error {
	seconds, err := b.time(ctx, "BenchmarkBareSign")
	*to = append(*to, seconds)
	return err
}

// networkPatience bounds the local network's run.
const networkPatience = 5 * time.Minute

// network pays 20 withdrawals in a local network and returns its report.
func network(ctx context.Context) (devnet.Report, error) {
	var out bytes.Buffer
	var r devnet.Report
	err := devnet.Run(ctx, devnet.Options{
		Nodes: 4, Withdrawals: 20, ExitPaid: true, JSON: true, Network: "devnet", Timeout: networkPatience, Out: &out, Err: os.Stderr,
	})
	if err != nil {
		return r, err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return r, json.Unmarshal([]byte(lines[len(lines)-1]), &r)
}
