package container

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheExecutablesMappingsAreFound(t *testing.T) {
	t.Parallel()
	const maps = `00400000-00bc3000 r-xp 00000000 fe:00 1311    /usr/bin/checkout
00bc3000-0157e000 r--p 007c3000 fe:00 1311    /usr/bin/checkout
0157e000-01655000 rw-p 0117e000 fe:00 1311    /usr/bin/checkout
c000000000-c000c00000 rw-p 00000000 00:00 0
7f3b00000000-7f3b00001000 r--p 00000000 fe:00 7    /usr/bin/checkout-not
7fff00000000-7fff00001000 rw-p 00000000 00:00 0    [stack]
`
	want := []mapping{{0x400000, 0xbc3000, true}, {0xbc3000, 0x157e000, false}, {0x157e000, 0x1655000, false}}
	if diff := cmp.Diff(want, mappings([]byte(maps), "/usr/bin/checkout"), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheExecutablesCodeIsDivided(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "code"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const size = 10*piece + 4096
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	code, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(code) }()
	mapped := func() []mapping {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return mappings(maps, file.Name())
	}
	whole := mapped()
	if len(whole) != 1 || !whole[0].code {
		t.Fatalf("mapped: %+v, want one mapping of code", whole)
	}
	if err := spare(whole); err != nil {
		t.Fatal(err)
	}
	var want []mapping
	for start := whole[0].start; start < whole[0].end; start += piece {
		want = append(want, mapping{start, min(start+piece, whole[0].end), true})
	}
	if diff := cmp.Diff(want, mapped(), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThisProgramHasCodeAndData(t *testing.T) {
	t.Parallel()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	code := make(map[bool]int)
	for _, m := range mappings(maps, own) {
		code[m.code]++
	}
	if code[true] == 0 || code[false] == 0 {
		t.Errorf("mappings of %s with code and without: %d, %d in\n%s", own, code[true], code[false], maps)
	}
}
