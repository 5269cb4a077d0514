package serve

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidCoreDumps keeps the cards in memory out of core dumps, and of the reach of the user's other processes. The limit
// is for dumps into files. A program in core_pattern(5), such as systemd-coredump, ignores it; it gets nothing of a process
// that is not dumpable. Of such a process others read neither memory nor /proc/PID/io and the like, unless they are root.
func forbidCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("get RLIMIT_CORE: %w", err)
	}
	limit.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("set RLIMIT_CORE to 0: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("set PR_SET_DUMPABLE to 0: %w", err)
	}
	return nil
}
