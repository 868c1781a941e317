package main

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAProfileGoesToItsFileAlone: from one signal to the next, readable by its owner.
func TestAProfileGoesToItsFileAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu")
	signals, ended := make(chan os.Signal), make(chan struct{})
	var notes []string
	go func() {
		defer close(ended)
		profile(file, signals, func(s string) { notes = append(notes, s) })
	}()
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR1 // taken when the first profile is whole
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	close(signals) // the second ends with the process
	<-ended
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(raw, []byte{0x1f, 0x8b}), "a profile is gzip")
	require.Empty(t, notes)
}

func TestAProfileThatCannotBeWrittenStopsNothing(t *testing.T) {
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR1
	close(signals)
	notes := 0
	profile(filepath.Join(t.TempDir(), "none", "cpu"), signals, func(string) { notes++ })
	require.Equal(t, 2, notes)
}
