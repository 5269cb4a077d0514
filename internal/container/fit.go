package container

import "runtime/debug"

// room is how much of a container is left to what Go does not count: pages of the executable, of which an order runs
// through some 10 MiB, though not through all of them each time, and the kernel's memory. In the shop's 20 MB more orders are
// placed with 7 MiB than with 4, where pages are read again and again, and than with 8, where Go does nothing but collect
// garbage.
const room = 7 << 20

// FitMemory lowers Go's limit of memory until what it does not count has room in the container too. GOMEMLIMIT, where it is
// lower, stays. Without a container's limit it does nothing.
func FitMemory() {
	if memory, ok := OwnMemory(); ok {
		debug.SetMemoryLimit(fitting(debug.SetMemoryLimit(-1), memory.Limit))
	}
}

// fitting is the limit to keep where limit is set, in a container of so many bytes: of a tiny one not less than a half.
func fitting(limit, container int64) int64 {
	return min(limit, max(container-room, container/2))
}
