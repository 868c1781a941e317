package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// outsideVar names, in the environment of what [Again] started, the network namespace that it was started from.
const outsideVar = "CONCLAVE_E2E_OUTSIDE"

// trial is what a [Lab] needs of the machine, tried in a namespace that is gone when it ends.
const trial = "ip link add try0 type veth peer name try1 && ip link set lo up && nft add table inet t && echo 1 >/proc/sys/net/ipv4/ip_forward"

// Inside reports whether this process runs in the namespace that [Again] made.
func Inside() bool {
	outside := os.Getenv(outsideVar)
	here, err := namespace()
	return outside != "" && err == nil && here != outside
}

// Missing says in one sentence what this machine lacks for a [Lab], or nothing.
func Missing() string {
	for _, p := range []struct{ program, in string }{{"ip", "iproute2"}, {"nft", "nftables"}} {
		if tool(p.program) == p.program {
			return fmt.Sprintf("the program %s is missing (package %s)", p.program, p.in)
		}
	}
	out, err := isolated(exec.Command("/bin/sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; "+trial)).CombinedOutput()
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL):
		return fmt.Sprintf("this machine does not allow network namespaces (%v)", err)
	}
	return fmt.Sprintf("this machine's network namespaces cannot do what is needed: %s", firstLine(string(out), err))
}

// Again runs this program with args in a new network namespace, and returns when it ended. It is killed with this process.
func Again(args ...string) error {
	outside, err := namespace()
	if err != nil {
		return err
	}
	// The signal for a parent's death comes when the parent's thread dies, so the thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := isolated(exec.Command("/proc/self/exe", args...))
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Env = append(os.Environ(), outsideVar+"="+outside)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// isolated gives a command a network namespace of its own; who is not root needs a user namespace for that.
func isolated(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	return cmd
}

// namespace is the name of this thread's network namespace, like net:[4026531840].
func namespace() (string, error) { return os.Readlink("/proc/thread-self/ns/net") }

// tool finds a program of the system: the folders for administrators are not on everybody's PATH. Its bare name means that there is none.
func tool(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return name
}

func firstLine(out string, err error) string {
	if line, _, _ := strings.Cut(strings.TrimSpace(out), "\n"); line != "" {
		return line
	}
	return err.Error()
}
