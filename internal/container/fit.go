package container

import (
	"runtime"
	"runtime/debug"
)

const (
	// room is how much of a container is left to what Go does not count: pages of the executable, of which an order runs
	// through some 10 MiB, though not through all of them each time, and the kernel's memory. In the shop's 20 MB more orders
	// are placed with 7 MiB than with 6, where pages are read again and again, or with 8, where Go collects garbage all the time.
	room = 7 << 20
	// tiny is a container in which a second processor would only wait for pages, and caches of its own take room.
	tiny = 24 << 20
)

// Fit lowers Go's limit of memory until what it does not count has room in the container too, and in a tiny container the
// number of processors (runtime.GOMAXPROCS) to one. GOMEMLIMIT, where it is lower, and GOMAXPROCS, where it is set, stay.
// Without a container's limit it does nothing. getenv tells the environment.
func Fit(getenv func(string) string) {
	memory, ok := OwnMemory()
	if !ok {
		return
	}
	debug.SetMemoryLimit(fitting(debug.SetMemoryLimit(-1), memory.Limit))
	if memory.Limit < tiny && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// fitting is the limit to keep where limit is set, in a container of so many bytes: of a very small one not less than half.
func fitting(limit, container int64) int64 {
	return min(limit, max(container-room, container/2))
}
