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

// place is where a record is: the file that was opened and its write-ahead log, as they were then. Both are needed to read
// the record.
type place map[string]fs.FileInfo

// findPlace is called when path has been opened.
func findPlace(path string) (place, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	p := make(place)
	for _, name := range []string{path, real + "-wal"} {
		if p[name], err = os.Stat(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// check is nil while the files that were opened are the files at the path. A process goes on writing to a file that was
// deleted, and nobody finds there what it writes.
func (p place) check() error {
	for name, opened := range p {
		now, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s was deleted while it was in use%s", name, rescue)
		case err == nil && !os.SameFile(opened, now):
			return fmt.Errorf("%s was replaced while it was in use%s", name, rescue)
		}
		// Whatever else keeps a name from being looked up, a full table of files for example, says nothing about the file.
	}
	return nil
}

const rescue = "; do not restart this process before the record is copied from its open files (docs/operations.md, Record deleted)"

// checkMount refuses a file that is mounted without its folder, as a bind mount or a volume of one file: the write-ahead
// log would be in the folder of the container, and paid orders would be lost with it.
func checkMount(path string) error {
	path, err := filepath.EvalSymlinks(path) // SQLite, too, puts the log beside the file that a link leads to
	if err != nil {
		return err
	}
	file, err := os.Stat(path)
	if err != nil {
		return err
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if sameDevice(file, folder) && !isMountPoint(path) {
		return nil
	}
	return fmt.Errorf("the file is mounted without its folder, where SQLite keeps the newest orders in %s-wal; mount the folder %s instead",
		filepath.Base(path), filepath.Dir(path))
}

// isMountPoint tells whether something is mounted at path itself, as far as the system tells (proc_pid_mountinfo(5)).
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
