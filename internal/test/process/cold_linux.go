package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget drops what the kernel keeps of a file in memory. The file must be on disk (fsync).
func forget(f *os.File) error {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
