package telemetry

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// readUsage reads it from the kernel.
func readUsage() (usage, bool) {
	var u usage
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return u, false
	}
	u.user, u.system = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	pages, err := os.ReadFile("/proc/self/statm") // proc(5): size, resident, …
	if err != nil {
		return u, false
	}
	fields := strings.Fields(string(pages))
	if len(fields) < 2 {
		return u, false
	}
	resident, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return u, false
	}
	u.memory = resident * int64(os.Getpagesize())
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return u, false
	}
	u.descriptors = int64(len(open)) - 1 // without the one that reads the folder
	return u, true
}
