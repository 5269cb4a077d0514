package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used of the processors, and what it holds in memory, in KiB.
type usage struct {
	cpu                  time.Duration
	rss, anonymous, peak int64
}

// usage reads what Linux knows of the replica's process (proc(5)).
func (r *replica) usage() (usage, error) {
	folder := fmt.Sprintf("/proc/%d/", r.now().cmd.Process.Pid)
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return usage{}, fmt.Errorf("measuring replica %d: %w", r.name, err)
	}
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return usage{}, fmt.Errorf("measuring replica %d: %w", r.name, err)
	}
	u := usage{cpu: processorTime(stat)}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.rss = kib
		case "RssAnon":
			u.anonymous = kib
		case "VmHWM":
			u.peak = kib
		}
	}
	return u, nil
}

// processorTime is the time in /proc/PID/stat, in user mode and in the kernel: the fields 14 and 15, or 11 and 12 after
// the name in brackets, in hundredths of a second.
func processorTime(stat []byte) time.Duration {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var sum time.Duration
	for _, field := range []int{11, 12} {
		if field < len(fields) {
			ticks, _ := strconv.ParseInt(fields[field], 10, 64)
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

func mib(kib int64) float64 { return float64(kib) / 1024 }
