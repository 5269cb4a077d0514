package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Cgroup is a control group of Linux with a limit of memory, page cache included (cgroups(7); the kernel's
// admin-guide/cgroup-v2 and cgroup-v1/memory).
type Cgroup struct {
	// Folder is where the kernel shows it, for Spec.Cgroup.
	Folder string
	cgroupFiles
}

// cgroupFiles are what the files of a version are called.
type cgroupFiles struct{ limit, swap, current, peak, events string }

func versions() (one, two cgroupFiles) {
	return cgroupFiles{"memory.limit_in_bytes", "memory.swappiness", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"},
		cgroupFiles{"memory.max", "memory.swap.max", "memory.current", "memory.peak", "memory.events"}
}

// NewCgroup makes a cgroup of version 2, or of version 1 where that has the controller of memory, below the folder where
// they are mounted. It takes no swap. Remove it.
func NewCgroup(mounted string, limit int64) (*Cgroup, error) {
	one, two := versions()
	g := &Cgroup{cgroupFiles: two}
	parent := mounted
	if v1 := filepath.Join(mounted, "memory"); exists(filepath.Join(v1, one.limit)) {
		g.cgroupFiles, parent = one, v1
	} else if !delegated(mounted) {
		return nil, fmt.Errorf("no cgroup of memory can be made in %s: it is not mounted there, or the controller is not enabled in cgroup.subtree_control", mounted)
	}
	g.Folder = filepath.Join(parent, fmt.Sprintf("checkout-%d", os.Getpid()))
	if err := os.Mkdir(g.Folder, 0o750); err != nil {
		return nil, fmt.Errorf("making a cgroup: %w", err)
	}
	if err := g.restrict(limit); err != nil {
		return nil, errors.Join(fmt.Errorf("limiting a cgroup to %d bytes: %w", limit, err), g.Remove())
	}
	return g, nil
}

// restrict sets the limit, and takes all swap away.
func (g *Cgroup) restrict(limit int64) error {
	if err := g.write(g.limit, limit); err != nil {
		return err
	}
	if err := g.write(g.swap, 0); err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without swap has no such file
		return err
	}
	return nil
}

// delegated reports whether cgroups of version 2 below the folder have the controller of memory.
func delegated(folder string) bool {
	text, err := os.ReadFile(filepath.Join(folder, "cgroup.subtree_control"))
	for word := range strings.FieldsSeq(string(text)) {
		if word == "memory" {
			return err == nil
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Memory is how much its processes and their page cache take, and have taken at most, in bytes.
func (g *Cgroup) Memory() (current, peak int64, err error) {
	current, err = g.read(g.current)
	if err != nil {
		return 0, 0, err
	}
	peak, err = g.read(g.peak)
	return current, peak, err
}

// Kills is how many of its processes the kernel has killed for want of memory.
func (g *Cgroup) Kills() (n int64, err error) {
	text, err := os.ReadFile(filepath.Join(g.Folder, g.events))
	if err != nil {
		return 0, err
	}
	err = field(text, "oom_kill", 1, &n)
	return n, err
}

// Remove removes the cgroup. Nothing may run in it any more.
func (g *Cgroup) Remove() error { return os.Remove(g.Folder) }

func (g *Cgroup) read(name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(g.Folder, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

func (g *Cgroup) write(name string, value int64) error {
	f, err := os.OpenFile(filepath.Join(g.Folder, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(value, 10))
	return errors.Join(err, f.Close())
}
