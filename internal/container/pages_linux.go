package container

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// small is a container in which an executable of ours has no room to be read ahead.
const small = 64 << 20

// SparePages has the kernel read of the executable only the pages that are needed. It does nothing where there is room.
//
// A page of the executable that is missing is otherwise read with all that stands around it: 128 KiB on many machines,
// some megabytes on others. In a small container each such read drives out pages that are needed next, which are read
// with all that stands around them, for ever: nothing is done any more but reading.
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
	for _, r := range mappings(maps, own) {
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, r.start, r.end-r.start, syscall.MADV_RANDOM); errno != 0 {
			return fmt.Errorf("advising against reading ahead: %w", errno)
		}
	}
	return nil
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// mappings are those of the file, by /proc/self/maps (proc_pid_maps(5)): lines of start-end, four other words, and a path.
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
			found = append(found, mapping{uintptr(start), uintptr(end)})
		}
	}
	return found
}
