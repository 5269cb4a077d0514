package container

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
)

const (
	// room is how much of a container is left to what Go does not count: pages of the executable, of which an order runs
	// through some 10 MiB, though not through all of them each time, and the kernel's memory.
	room = 8 << 20
	// tiny is a container in which a second processor would only wait for pages, and caches of its own take room.
	tiny = 24 << 20
	// ample is a memory limit from which on garbage collection is traded for memory: with GOGC=400 the heap grows to five
	// times what lives, some 12 MiB more, and an order takes a fifth less CPU under load.
	ample       = 64 << 20
	ampleGOGC   = 400
	defaultGOGC = 100
)

// Fit lowers Go's memory limit until what it does not count has room in the container too, and in a tiny container the
// number of processors (runtime.GOMAXPROCS) to one. With an ample memory limit garbage is collected less often. A small limit is
// raised by memory that Go counts and does not use, so that the process may use as much as GOMEMLIMIT says.
// GOMAXPROCS and GOGC, where they are set, stay. getenv reads the environment.
func Fit(getenv func(string) string) {
	if ShortOfMemory() {
		debug.SetMemoryLimit(MemoryLimit() + unused(os.DirFS("/")))
	}
	if memory, ok := OwnMemory(); ok {
		debug.SetMemoryLimit(fitting(MemoryLimit(), memory.Limit))
		if memory.Limit < tiny && getenv("GOMAXPROCS") == "" {
			runtime.GOMAXPROCS(1)
		}
	}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent(MemoryLimit()))
	}
}

// MemoryLimit is what Go may use, in bytes: math.MaxInt64 when there is no limit.
func MemoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// ShortOfMemory reports whether many orders at once would keep the garbage collector busy.
func ShortOfMemory() bool { return MemoryLimit() < ample }

// unused is how many bytes of Go's memory are never used, so that the kernel has no pages of them: mostly tables of the garbage
// collector, some 1.5 MiB. It is 0 if the kernel does not tell.
func unused(root fs.FS) int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	counted := int64(samples[0].Value.Uint64() - samples[1].Value.Uint64()) //nolint:gosec // a process has less than 8 EiB
	status, _ := fs.ReadFile(root, "proc/self/status")                      // proc_pid_status(5)
	for line := range strings.Lines(string(status)) {
		var resident int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &resident); n == 1 {
			return max(counted-resident<<10, 0) * 3 / 4 // some is used later
		}
	}
	return 0
}

// gcPercent is the GOGC that suits a memory limit. Without a limit nothing is known of the memory, and Go's own stays.
func gcPercent(limit int64) int {
	if limit >= ample && limit < math.MaxInt64 {
		return ampleGOGC
	}
	return defaultGOGC
}

// fitting is the limit to keep where limit is set, in a container of so many bytes: of a very small one not less than half.
func fitting(limit, container int64) int64 {
	return min(limit, max(container-room, container/2))
}
