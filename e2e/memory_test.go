//go:build telemetry && linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"checkout/internal/test/process"
)

// container is what the shop gives the service, in bytes.
const container = 20 << 20

func TestNothingIsKilledInASmallContainerWithoutACollector(t *testing.T) {
	t.Parallel()
	g, err := process.NewCgroup("/sys/fs/cgroup", container)
	if err != nil {
		t.Skipf("NOT CHECKED: %v", err)
	}
	t.Cleanup(func() { _ = g.Remove() })
	if _, err := os.ReadFile(*binary); err != nil { // so that its pages are not the service's to pay for
		t.Fatal(err)
	}
	s := startService(t, free(t), nil, "/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.Folder, "cgroup.procs"))
	s.sell(t, "ada", 2*many)
	used, err := process.ReadUsage(s.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	_, peak, err := g.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("of %d bytes the service has %d of its own; at most there were %d", container, used.Anonymous, peak)
	s.close(t)
	if kills, err := g.Kills(); err != nil || kills != 0 {
		t.Errorf("%d were killed, %v; want none", kills, err)
	}
}
