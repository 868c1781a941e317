package vault

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The kernel itself says that the page is locked and stays out of dumps.
func TestRootKeyIsLocked(t *testing.T) {
	p, err := newPage()
	require.NoError(t, err)
	defer p.wipe()
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	_, mapping, found := strings.Cut(string(smaps), fmt.Sprintf("%x-", uintptr(unsafe.Pointer(&p.b[0]))))
	require.True(t, found)
	_, flags, found := strings.Cut(mapping, "VmFlags:")
	require.True(t, found)
	flags, _, _ = strings.Cut(flags, "\n")
	require.Contains(t, strings.Fields(flags), "lo", "locked")
	require.Contains(t, strings.Fields(flags), "dd", "not dumped")
}

// inChild runs a test again in a process of its own, because what it changes lasts as long as the process.
func inChild(t *testing.T) bool {
	t.Helper()
	const mark = "VAULT_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

func TestDisableCoreDumps(t *testing.T) {
	if !inChild(t) {
		return
	}
	require.NoError(t, DisableCoreDumps())
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	require.Equal(t, unix.Rlimit{}, limit)
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	require.NoError(t, err)
	require.Zero(t, dumpable)
}

// Memory that cannot be locked holds no key: the vault does not open.
func TestNoLockNoVault(t *testing.T) {
	if !inChild(t) {
		return
	}
	dir, _ := newVault(t, testEnv())
	runtime.LockOSThread() // the capability is dropped for one thread
	none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var capabilities [2]unix.CapUserData // version 3 reads two
	require.NoError(t, unix.Capset(&none, &capabilities[0]))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}))
	_, err := testEnv().open(dir, node(), []byte(testPassword))
	require.ErrorContains(t, err, "lock memory for the root key")
	_, err = testEnv().create(emptyDir(t), node(), []byte(testPassword), cheap)
	require.ErrorContains(t, err, "lock memory for the root key")
}
