package container

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

const (
	// small is a container in which an executable of ours has no room to be read ahead.
	small = 64 << 20
	// piece is how many bytes of code may be read for one that is needed. Each piece costs the kernel some 200 bytes.
	piece = 16 << 10
	// dontDump is MADV_DONTDUMP of madvise(2), which package syscall does not have.
	dontDump = 16
)

// SparePages makes the kernel read only those pages of the executable that are needed. It does nothing where there is enough
// memory.
//
// Normally a missing page of the executable is read with its neighbours: 128 KiB on many machines, some megabytes on others. In
// a small container each such read evicts pages that are needed next, which are again read with their neighbours, and the
// process does nothing but read.
//
// Since Linux 6.16, MADV_RANDOM has no effect on code, but a read ends with the mapping of the page. So the code is split into
// many mappings. The kernel merges equal neighbours, so every other one is marked to be left out of core dumps, which never
// contain code.
func SparePages() error {
	if memory, ok := OwnMemory(); !ok || memory.Limit >= small {
		return nil
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding the executable: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("reading what is mapped: %w", err)
	}
	return spare(mappings(maps, own))
}

func spare(all []mapping) error {
	for _, m := range all {
		if err := madvise(m.start, m.end, syscall.MADV_RANDOM); err != nil {
			return fmt.Errorf("advising against reading ahead: %w", err)
		}
		for start := m.start; m.code && start < m.end; start += 2 * piece {
			if err := madvise(start, min(start+piece, m.end), dontDump); err != nil {
				return fmt.Errorf("dividing the code: %w", err)
			}
		}
	}
	return nil
}

func madvise(start, end, advice uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, start, end-start, advice); errno != 0 {
		return errno
	}
	return nil
}

// mapping is a range of addresses, and whether it can be run.
type mapping struct {
	start, end uintptr
	code       bool
}

// mappings are those of the file, by /proc/self/maps (proc_pid_maps(5)): lines of start-end, permissions, three other
// words, and a path.
func mappings(maps []byte, file string) []mapping {
	var found []mapping
	for line := range bytes.Lines(maps) {
		words := bytes.Fields(line)
		if len(words) < 6 || !bytes.HasSuffix(bytes.TrimRight(line, "\n"), []byte(" "+file)) {
			continue
		}
		first, last, _ := bytes.Cut(words[0], []byte("-"))
		start, err := strconv.ParseUint(string(first), 16, 64)
		if err != nil {
			continue
		}
		end, err := strconv.ParseUint(string(last), 16, 64)
		if err == nil && start < end {
			found = append(found, mapping{uintptr(start), uintptr(end), bytes.Contains(words[1], []byte("x"))})
		}
	}
	return found
}
