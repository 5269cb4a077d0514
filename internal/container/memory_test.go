package container

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// files are those of a system, by name.
func files(pairs ...string) fstest.MapFS {
	all := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return all
}

func TestTheContainersMemoryIsReadFromItsControlGroup(t *testing.T) {
	t.Parallel()
	const (
		v2      = "anon 9000000\nfile 8000000\nshmem 1000000\nactive_file 3000000\ninactive_file 4000000\n"
		v1      = "cache 8000000\nrss 9000000\ntotal_active_file 3000000\ntotal_inactive_file 4000000\n"
		nowhere = "9223372036854771712\n"
	)
	full := Memory{20 << 20, 12_000_000}
	for name, test := range map[string]struct {
		files fstest.MapFS
		want  Memory
		ok    bool
	}{
		"of the second generation, in a container": {files("proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "20971520\n", "sys/fs/cgroup/memory.current", "19000000\n", "sys/fs/cgroup/memory.stat", v2), full, true},
		"of the second, with a path": {files("proc/self/cgroup", "0::/shop/checkout\n",
			"sys/fs/cgroup/shop/checkout/memory.max", "20971520\n", "sys/fs/cgroup/shop/checkout/memory.current", "19000000\n",
			"sys/fs/cgroup/shop/checkout/memory.stat", v2), full, true},
		"of the second, without a limit": {files("proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "max\n", "sys/fs/cgroup/memory.current", "19000000\n", "sys/fs/cgroup/memory.stat", v2), Memory{}, false},
		"of the first": {files("proc/self/cgroup", "4:cpu,memory:/docker/ab\n0::/\n",
			"sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "20971520\n", "sys/fs/cgroup/memory/docker/ab/memory.usage_in_bytes", "19000000\n",
			"sys/fs/cgroup/memory/docker/ab/memory.stat", v1), full, true},
		"of the first, in a container": {files("proc/self/cgroup", "4:memory:/docker/ab\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "20971520\n", "sys/fs/cgroup/memory/memory.usage_in_bytes", "19000000\n",
			"sys/fs/cgroup/memory/memory.stat", v1), full, true},
		"of the first, without a limit": {files("proc/self/cgroup", "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", nowhere, "sys/fs/cgroup/memory/memory.usage_in_bytes", "19000000\n",
			"sys/fs/cgroup/memory/memory.stat", v1), Memory{}, false},
		"that says nothing": {files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "20971520\n"), Memory{}, false},
		"of no kind":        {files(), Memory{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := readMemory(test.files)
			if ok != test.ok {
				t.Errorf("read: %t, want %t", ok, test.ok)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
