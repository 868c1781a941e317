package devnet

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the kernel's unit of process times on every Linux that Go runs on.
const ticksPerSecond = 100

// Usage is what a process used so far.
type Usage struct {
	CPU   float64 // seconds, user and system
	RSSMB int64   // resident memory
}

// UsageOf reads /proc; other systems have none and give an error.
func UsageOf(pid int) (Usage, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parseStat(string(raw))
}

// parseStat reads utime, stime and rss, fields 14, 15 and 24. The second field is the program's name in parentheses, which
// may hold anything; what follows the last one is regular.
func parseStat(stat string) (Usage, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("%q is no process state", stat)
	}
	var n [3]int64
	for i, field := range []int{11, 12, 21} {
		var err error
		if n[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("read process state: %w", err)
		}
	}
	return Usage{CPU: float64(n[0]+n[1]) / ticksPerSecond, RSSMB: n[2] * int64(os.Getpagesize()) >> 20}, nil
}

// cpu is what the custodians used: seconds in all and per payout, and resident memory. Empty where the system does not say.
func (n *Network) cpu(paid int) map[string]any {
	var total float64
	var rss []int64
	for _, c := range n.all() {
		u, err := UsageOf(c.process().cmd.Process.Pid)
		if err != nil {
			continue
		}
		total += u.CPU
		rss = append(rss, u.RSSMB)
	}
	out := map[string]any{"custodians_seconds": total, "rss_mb": rss}
	if paid > 0 {
		out["per_payout_seconds"] = total / float64(paid)
	}
	return out
}
