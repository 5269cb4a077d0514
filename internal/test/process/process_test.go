package process

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestUsageIsReadWhateverTheProgramIsCalled(t *testing.T) {
	t.Parallel()
	const stat = "42 (a) S (b 7) R 1 42 42 0 -1 4194304 900 0 17 0 250 50 0 0 20 0 8 0 100 1000 200\n"
	var u Usage
	if err := u.stat([]byte(stat)); err != nil {
		t.Fatal(err)
	}
	if u.CPU != 3*time.Second || u.Faults != 17 {
		t.Errorf("%v of CPU and %d major faults, want 3s and 17", u.CPU, u.Faults)
	}
	if err := u.status([]byte("Name:\tx\nVmRSS:\t1024 kB\nVmHWM:\t   2048 kB\nRssAnon:\t     512 kB\n")); err != nil {
		t.Fatal(err)
	}
	if u.Peak != 2<<20 || u.RSS != 1<<20 || u.Anonymous != 512<<10 {
		t.Errorf("peak %d, resident %d and anonymous %d bytes, want 2 MiB, 1 MiB and 512 KiB", u.Peak, u.RSS, u.Anonymous)
	}
	if err := u.io([]byte("wchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n")); err != nil || u.Written != 4096 {
		t.Errorf("%d bytes written (%v), want 4096", u.Written, err)
	}
}

func TestUsageThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	var u Usage
	for text, read := range map[string]func([]byte) error{
		"1 (x) R 1 2":        u.stat,
		"VmHWM: 12 kB":       u.status,
		"write_bytes: a lot": u.io,
	} {
		if err := read([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	u, err := ReadUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.Peak < u.Anonymous || u.Anonymous <= 0 {
		t.Errorf("peak %d, anonymous %d bytes", u.Peak, u.Anonymous)
	}
}

func TestACgroupIsMadeInEitherVersion(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]struct {
		files map[string]string // what the kernel has mounted
		below string
		want  map[string]string // what is written
	}{
		"1": {map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712"}, "memory", map[string]string{"memory.limit_in_bytes": "20971520", "memory.swappiness": "0"}},
		"2": {map[string]string{"cgroup.subtree_control": "cpu memory pids\n"}, "", map[string]string{"memory.max": "20971520", "memory.swap.max": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mounted := t.TempDir()
			write(t, mounted, version.files)
			if _, err := NewCgroup(mounted, 20<<20); err == nil {
				t.Error("a cgroup was made where the kernel offers no file for its limit")
			}
			// The kernel fills a new folder. Here it is filled before, under the name that it will have.
			g := &Cgroup{Folder: filepath.Join(mounted, version.below, "g")}
			one, two := versions()
			g.cgroupFiles = map[string]cgroupFiles{"1": one, "2": two}[name]
			blank := map[string]string{g.limit: "", g.swap: "", g.current: "4096\n", g.peak: "8192\n", g.events: "low 0\noom 3\noom_kill 2\n"}
			write(t, g.Folder, blank)
			if err := g.restrict(20 << 20); err != nil {
				t.Fatal(err)
			}
			for file, want := range version.want {
				if got, err := os.ReadFile(filepath.Join(g.Folder, file)); string(got) != want {
					t.Errorf("%s holds %q (%v), want %q", file, got, err, want)
				}
			}
			current, peak, err := g.Memory()
			if current != 4096 || peak != 8192 || err != nil {
				t.Errorf("it takes %d and has taken %d bytes (%v), want 4096 and 8192", current, peak, err)
			}
			if kills, err := g.Kills(); kills != 2 || err != nil {
				t.Errorf("%d were killed (%v), want 2", kills, err)
			}
		})
	}
}

func TestWithoutACgroupOfMemoryThereIsAnError(t *testing.T) {
	t.Parallel()
	mounted := t.TempDir()
	write(t, mounted, map[string]string{"cgroup.subtree_control": "cpu pids"})
	if g, err := NewCgroup(mounted, 1<<20); err == nil {
		t.Errorf("%s was made", g.Folder)
	}
}

// write writes files below a folder.
func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal("write " + strconv.Quote(path) + ": " + err.Error())
		}
	}
}

func TestAColdCopyIsTheSameProgram(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can forget a file")
	}
	folder := t.TempDir()
	write(t, folder, map[string]string{"program": "#!/bin/sh\n"})
	cold, err := ColdCopy(filepath.Join(folder, "program"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(cold)) })
	text, err := os.ReadFile(cold)
	if err != nil || string(text) != "#!/bin/sh\n" {
		t.Errorf("it holds %q (%v)", text, err)
	}
	if info, err := os.Stat(cold); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("it cannot be executed: %v (%v)", info.Mode(), err)
	}
}

func TestAPortIsGivenOutOnce(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 200 {
		port, err := FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Errorf("port %s was given out twice", port)
		}
		seen[port] = true
	}
}

func TestAProgramIsStartedWatchedAndStopped(t *testing.T) {
	t.Parallel()
	var output strings.Builder
	p, err := Start(Spec{Path: "/bin/sh", Args: []string{"-c", `trap 'echo "$WORD"; exit 0' TERM; while :; do sleep 0.01; done`}, Environ: map[string]string{"WORD": "bye"}, Output: &output})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("it has ended by itself")
	}
	if runtime.GOOS == "linux" {
		if u, err := p.Usage(); err != nil || u.RSS <= 0 {
			t.Errorf("%d bytes resident (%v)", u.RSS, err)
		}
	}
	p2, err := Start(Spec{Path: "/bin/sh", Args: []string{"-c", "exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p2.Gone()
	if err := p2.Stop(); err == nil || !strings.Contains(p2.Ended(), "3") {
		t.Errorf("a program that ended with 3 was stopped without an error (%v, %s)", err, p2.Ended())
	}
	p.Kill()
	if p.Alive() {
		t.Error("it was killed, and lives")
	}
}
