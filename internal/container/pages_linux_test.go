package container

import (
	"os"
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
	want := []mapping{{0x400000, 0xbc3000}, {0xbc3000, 0x157e000}, {0x157e000, 0x1655000}}
	if diff := cmp.Diff(want, mappings([]byte(maps), "/usr/bin/checkout"), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThisProgramHasMappings(t *testing.T) {
	t.Parallel()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if mappings(maps, own) == nil {
		t.Errorf("none of %s in\n%s", own, maps)
	}
}
