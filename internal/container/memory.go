// Package container provides what a process has to know about its container: the memory limit, the memory in use, and how to
// use less.
package container

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// Memory is how full a container is, in bytes.
type Memory struct {
	Limit         int64
	Unreclaimable int64 // all but pages of files, which the kernel drops when it needs room
}

// cgroup is a generation of Linux' control groups (cgroups(7)): where it is mounted, and what its files are called.
type cgroup struct {
	controller   string // in /proc/self/cgroup; the second generation has none there
	mount        string
	usage, limit string
	files        []string // of memory.stat: pages of files
}

func cgroups() [2]cgroup {
	return [...]cgroup{
		{"", "sys/fs/cgroup", "memory.current", "memory.max", []string{"active_file", "inactive_file"}},
		{"memory", "sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes", []string{"total_active_file", "total_inactive_file"}},
	}
}

// noLimit is what no machine has: the first generation says that there is no limit by a number just below 1<<63.
const noLimit = 1 << 60

// OwnMemory is that of the container which this process is in. It is not ok without a limit, or without control groups.
func OwnMemory() (Memory, bool) { return readMemory(os.DirFS("/")) }

// readMemory asks the kernel, whose files are under root.
func readMemory(root fs.FS) (Memory, bool) {
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return Memory{}, false
	}
	for _, g := range cgroups() {
		at, ok := g.path(own)
		if !ok {
			continue
		}
		// In a container of the first generation the path is the host's, and what is mounted is the container's own.
		for _, folder := range []string{path.Join(g.mount, at), g.mount} {
			if is, ok := g.read(root, folder); ok {
				return is, true
			}
		}
	}
	return Memory{}, false
}

// path is that of the process's group, by /proc/self/cgroup: lines of number:controllers:path.
func (g cgroup) path(own []byte) (string, bool) {
	for line := range strings.Lines(string(own)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, at, _ := strings.Cut(rest, ":")
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == g.controller {
				return at, true
			}
		}
	}
	return "", false
}

func (g cgroup) read(root fs.FS, folder string) (Memory, bool) {
	limit, ok := number(root, path.Join(folder, g.limit)) // or it is "max"
	if !ok || limit <= 0 || limit >= noLimit {
		return Memory{}, false
	}
	used, ok := number(root, path.Join(folder, g.usage))
	if !ok {
		return Memory{}, false
	}
	stat, err := fs.ReadFile(root, path.Join(folder, "memory.stat"))
	if err != nil {
		return Memory{}, false
	}
	for lines := bufio.NewScanner(bytes.NewReader(stat)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		for _, file := range g.files {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && name == file {
				used -= n
			}
		}
	}
	return Memory{limit, max(used, 0)}, true
}

func number(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
