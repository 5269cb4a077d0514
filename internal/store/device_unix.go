//go:build unix

package store

import (
	"io/fs"
	"syscall"
)

// sameDevice tells whether two files are on one file system, as far as the system tells.
func sameDevice(a, b fs.FileInfo) bool {
	of, ok := a.Sys().(*syscall.Stat_t)
	other, too := b.Sys().(*syscall.Stat_t)
	return !ok || !too || of.Dev == other.Dev
}
