package container

import (
	"io/fs"
	"math"
	"testing"
	"testing/fstest"
)

func TestGoLeavesRoomInTheContainer(t *testing.T) {
	t.Parallel()
	const MiB = 1 << 20
	for name, test := range map[string]struct{ limit, container, want int64 }{
		"the shop's":                      {16 * MiB, 20 * MiB, 12 * MiB},
		"more room than GOMEMLIMIT wants": {16 * MiB, 32 * MiB, 16 * MiB},
		"no GOMEMLIMIT":                   {math.MaxInt64, 256 * MiB, 248 * MiB},
		"hardly any room":                 {16 * MiB, 8 * MiB, 4 * MiB},
	} {
		if got := fitting(test.limit, test.container); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestGarbageIsCollectedLessOftenWhereMemoryIsAmple(t *testing.T) {
	t.Parallel()
	const MiB = 1 << 20
	for name, test := range map[string]struct {
		limit int64
		want  int
	}{
		"the shop's":   {16 * MiB, 100},
		"just too low": {64*MiB - 1, 100},
		"ample":        {64 * MiB, 400},
		"no limit":     {math.MaxInt64, 100},
	} {
		if got := gcPercent(test.limit); got != test.want {
			t.Errorf("%s: GOGC=%d, want %d", name, got, test.want)
		}
	}
}

func TestUnusedMemoryIsWhatGoCountsAndTheKernelHasNoPagesOf(t *testing.T) {
	t.Parallel()
	status := func(text string) fs.FS { return fstest.MapFS{"proc/self/status": {Data: []byte(text)}} }
	all := unused(status("Name:\tcheckout\nRssAnon:\t       0 kB\nRssFile:\t 123 kB\n"))
	some := unused(status("Name:\tcheckout\nRssAnon:\t    1024 kB\nRssFile:\t 123 kB\n"))
	if all < 1<<20 || some > all {
		t.Errorf("%d bytes are unused of nothing resident, and %d with 1 MiB", all, some)
	}
	for _, text := range []string{"", "RssAnon:\tmuch\n", "RssAnon:\t 1000000000 kB\n"} {
		if n := unused(status(text)); n != 0 {
			t.Errorf("%d bytes are unused by %q", n, text)
		}
	}
}
