package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// place is where a record is: by path, its database and its write-ahead log as they were opened. Both are needed to read
// the record.
type place map[string]*os.File

// findPlace is called when SQLite has opened path.
func findPlace(path string) (place, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	p := make(place)
	for _, name := range []string{path, real + "-wal"} {
		if p[name], err = os.Open(name); err != nil {
			return p, err
		}
	}
	return p, nil
}

// close is for when SQLite has closed the files: its locks may end with any descriptor of them.
func (p place) close() {
	for _, opened := range p {
		_ = opened.Close() // nothing was written; and a file that could not be opened is nil
	}
}

// check is nil while the files that were opened are the files at their paths. A process goes on writing to a file that was
// deleted, and what it writes there is lost.
func (p place) check() error {
	for name, opened := range p {
		then, err := opened.Stat()
		if err != nil {
			continue // this says nothing about the path
		}
		switch now, err := os.Stat(name); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s was deleted while it was in use%s", name, rescue)
		case err == nil && !os.SameFile(then, now):
			return fmt.Errorf("%s was replaced while it was in use%s", name, rescue)
		}
	}
	return nil
}

const rescue = "; do not restart this process before the record is copied from its open files (docs/operations.md, Record deleted)"

// checkMount refuses a file that is mounted without its folder, as a bind mount or a volume of one file: the write-ahead
// log would be in the folder of the container, and paid orders would be lost with it. Devices do not tell: a bind mount may
// be of the same, and in an overlay files may have another than their folder.
func checkMount(path string) error {
	path, err := filepath.EvalSymlinks(path) // SQLite, too, puts the log beside the file that a link leads to
	if err != nil {
		return err
	}
	if !isMountPoint(path) {
		return nil
	}
	return fmt.Errorf("the file is mounted without its folder, where SQLite keeps the newest orders in %s-wal; mount the folder %s instead",
		filepath.Base(path), filepath.Dir(path))
}

// isMountPoint reports whether something is mounted at path itself, where the system is Linux (proc_pid_mountinfo(5)).
func isMountPoint(path string) bool {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	defer f.Close()
	const mountPoint = 4
	octal := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > mountPoint && octal.Replace(fields[mountPoint]) == path {
			return true
		}
	}
	return false
}
