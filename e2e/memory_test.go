//go:build telemetry && linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// container is what the shop gives the service, in bytes.
const container = "20971520"

func TestNothingIsKilledInASmallContainerWithoutACollector(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if _, err := os.ReadFile(*binary); err != nil { // so that its pages are not the service's to pay for
		t.Fatal(err)
	}
	s := startService(t, free(t), nil, "/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.folder, "cgroup.procs"))
	s.sell(t, "ada", 2*many)
	status, err := os.ReadFile("/proc/" + count(s.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("of %s bytes the service has %s of its own; at most there were %s", container, regexp.MustCompile(`RssAnon:\s+(.*)`).FindSubmatch(status)[1], g.read(t, g.peak))
	s.close(t)
	if kills := regexp.MustCompile(`(?m)^oom_kill (\d+)$`).FindStringSubmatch(g.read(t, g.events)); kills == nil || kills[1] != "0" {
		t.Errorf("%s says %q, want no kill", g.events, kills)
	}
}

// group is a memory cgroup.
type group struct {
	folder       string
	peak, events string // its files that say how much there was, and how often somebody was killed for it
}

// newGroup makes a cgroup of the container's size, of whichever version there is.
func newGroup(t *testing.T) group {
	t.Helper()
	parent, limit, g := "/sys/fs/cgroup", "memory.max", group{peak: "memory.peak", events: "memory.events"}
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil { // version 1
		parent, limit, g = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", group{peak: "memory.max_usage_in_bytes", events: "memory.oom_control"}
	}
	g.folder = filepath.Join(parent, "checkout-"+count(os.Getpid()))
	err := os.Mkdir(g.folder, 0o755)
	if err == nil {
		t.Cleanup(func() { _ = os.Remove(g.folder) })
		err = os.WriteFile(filepath.Join(g.folder, limit), []byte(container), 0)
	}
	if err != nil {
		t.Skipf("NOT CHECKED: no memory cgroup can be made here: %v", err)
	}
	for _, swap := range []string{"memory.swap.max", "memory.swappiness"} { // one of them, or there is no swap
		_ = os.WriteFile(filepath.Join(g.folder, swap), []byte("0"), 0)
	}
	return g
}

func (g group) read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
