package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// sizes are the committees whose signatures are measured, with the benchmarks of package tss that sign as many, and the figures that
// are made of them.
var sizes = []struct {
	n                  int
	bare, engine, name string
	once               bool // what does not depend on the size is measured with this one
}{
	{4, "BenchmarkBareSign", "BenchmarkSign", "3of4", true},
	{7, "BenchmarkBareSign5of7", "BenchmarkSign5of7", "5of7", false},
}

// engineRuns is how often the engine signs in one process, without a network: a part of the explanation, not of a ratio.
const engineRuns = 5

// sign compares one signature by q of n custodians, processes of their own that speak over libp2p, from the opening of its slot to the
// signature (READYs, the draw, durable intents, signed envelopes, guard and echo), with the same signers as state machines of the bare
// library in one process. The custodians idle while the library signs, and sign when the library does not.
func sign(ctx context.Context) error {
	bench, err := build(ctx, "./tss")
	if err != nil {
		return err
	}
	defer bench.close()
	var noisy error
	for _, s := range sizes {
		err := signOf(ctx, bench, s.n, s.name, s.bare, s.engine)
		if err != nil && !errors.Is(err, errNoisy) {
			return err
		}
		noisy = errors.Join(noisy, err)
	}
	memory, err := bench.metric(ctx, "BenchmarkSignMemory", "MB/signer")
	if err != nil {
		return err
	}
	fmt.Printf("sign_memory_3of4 %.2f MB\n", memory)
	return noisy
}

// signOf prints the figures of one size.
func signOf(ctx context.Context, bench *testBinary, n int, name, bare, engine string) error {
	p, err := startProcesses(ctx, n, attempts*minPairs+1)
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := p.sign(ctx, nil); err != nil { // the first one warms up
		return err
	}
	var all []signature
	err = untilQuiet(ctx, func(s side) (float64, error) {
		if s == plain {
			return bench.time(ctx, bare)
		}
		one, err := p.sign(ctx, nil)
		all = append(all, one)
		return one.open, err
	}, func(m measured) {
		fmt.Printf("sign_overhead_%s %.3f ratio\nsign_wall_%s %.3f s\nsign_bare_%s %.3f s\n", name, m.ratio(), name, median(m.full), name, median(m.plain))
		explain(name, all[len(all)-minPairs:])
	})
	if err != nil && !errors.Is(err, errNoisy) {
		return err
	}
	canaries, e := p.canaries(ctx)
	if e != nil {
		return e
	}
	fmt.Printf("canaries_%s %d signatures\n", name, canaries)
	p.stop() // the rest is of one process
	return errors.Join(err, alone(ctx, bench, name, bare, engine))
}

// explain says where the time between the opening of a slot and its signature goes.
func explain(name string, all []signature) {
	var ready, session, cpu []float64
	failed := uint64(0)
	for _, s := range all {
		ready, session, cpu, failed = append(ready, s.open-s.session), append(session, s.session), append(cpu, s.cpu), failed+s.failed
	}
	fmt.Printf("sign_ready_%s %.3f s\nsign_session_%s %.3f s\npayout_cpu_%s %.2f s\n", name, median(ready), name, median(session), name, median(cpu))
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "%d sessions failed at a member: the machine was too busy for their deadlines\n", failed)
	}
}

// alone measures the engine without a network: time, processor time of all signers together, and the bytes that they send.
func alone(ctx context.Context, bench *testBinary, name, bare, engine string) error {
	var took []float64
	for range engineRuns {
		seconds, err := bench.time(ctx, engine)
		if err != nil {
			return err
		}
		took = append(took, seconds)
	}
	fmt.Printf("sign_one_process_%s %.3f s\n", name, median(took))
	for _, f := range []struct{ name, benchmark, unit, shown string }{
		{"sign_cpu_", engine, "cpu-s/op", "s"}, {"sign_cpu_bare_", bare, "cpu-s/op", "s"}, {"sign_bytes_", engine, "wire-B/op", "B"},
	} {
		value, err := bench.metric(ctx, f.benchmark, f.unit)
		if err != nil {
			return err
		}
		fmt.Printf("%s%s %.4g %s\n", f.name, name, value, f.shown)
	}
	return nil
}

// keygen compares a key of 3 of 4, guard, echo and signed transcript on, with the same by the bare library; both in one process each,
// without a network.
func keygen(ctx context.Context) error {
	bench, err := build(ctx, "./tss")
	if err != nil {
		return err
	}
	defer bench.close()
	names := map[side]string{plain: "BenchmarkBareKeygen", full: "BenchmarkKeygen"}
	return untilQuiet(ctx, func(s side) (float64, error) { return bench.time(ctx, names[s]) }, func(m measured) {
		fmt.Printf("keygen_overhead_3of4 %.3f ratio\nkeygen_3of4 %.3f s\n", m.ratio(), median(m.full))
	})
}

// unseal measures how long a vault takes to open: with the parameters that a custodian gets, and with the least that is accepted.
func unseal(ctx context.Context) error {
	bench, err := build(ctx, "./tss/vault")
	if err != nil {
		return err
	}
	defer bench.close()
	for _, f := range []struct{ name, benchmark string }{{"unseal_default", "BenchmarkOpenDefault"}, {"unseal_least", "BenchmarkOpenLeast"}} {
		var took []float64
		for range rateRuns {
			seconds, err := bench.time(ctx, f.benchmark)
			if err != nil {
				return err
			}
			took = append(took, seconds)
		}
		fmt.Printf("%s %.3f s\n", f.name, median(took))
	}
	return nil
}
