package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// profiling lets SIGUSR1 begin and end profiles of what the processor does, in a file. Nothing listens anywhere, and a profile
// holds names of functions and no memory.
func profiling(file string, note func(string)) (stop func()) {
	signals, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		defer close(ended)
		profile(file, signals, note)
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// profile writes from each odd signal to the next one, or until there are no more.
func profile(file string, signals <-chan os.Signal, note func(string)) {
	for range signals {
		out, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			note("profile: " + err.Error())
			continue
		}
		if err := pprof.StartCPUProfile(out); err != nil {
			note("profile: " + err.Error())
		}
		<-signals
		pprof.StopCPUProfile()
		if err := out.Close(); err != nil {
			note("profile: " + err.Error())
		}
	}
}
