//go:build e2e

package devnet_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What the devnet started ends with it, also when nobody could tell it to: kill -9 leaves no time for a word.
func TestCustodiansEndWithTheirDevnet(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "conclave/cmd/conclave", "conclave/cmd/devnet")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	net := filepath.Join(dir, "net")
	cmd := exec.Command(filepath.Join(dir, "devnet"), "--conclave", filepath.Join(dir, "conclave"), "--dir", net, "--withdrawals", "0")
	// The signal comes when the thread that started it ends, so the thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())

	pids := custodianPIDs(t, filepath.Join(net, "devnet.json"))
	require.Len(t, pids, 4)
	ends := make([]int, len(pids))
	for i, pid := range pids {
		// A descriptor of the process, not its number: numbers come again.
		ends[i], err = unix.PidfdOpen(pid, 0)
		require.NoError(t, err, "custodian %d runs", i)
		defer func() { _ = unix.Close(ends[i]) }()
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	for i, fd := range ends {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, int(time.Minute.Milliseconds()))
		for err == unix.EINTR {
			n, err = unix.Poll(ready, int(time.Minute.Milliseconds()))
		}
		require.NoError(t, err)
		require.Equal(t, 1, n, "custodian %d outlives its devnet", i)
	}
}

// custodianPIDs waits until the devnet says which processes it started.
func custodianPIDs(t *testing.T, file string) (pids []int) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-tick.C:
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var state struct {
			Custodians []struct{ PID int } `json:"custodians"`
		}
		require.NoError(t, json.Unmarshal(raw, &state))
		for _, c := range state.Custodians {
			pids = append(pids, c.PID)
		}
		return pids
	}
}
