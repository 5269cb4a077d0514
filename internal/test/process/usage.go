package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used until now, as Linux reports it (proc(5)). Sizes are in bytes.
type Usage struct {
	CPU       time.Duration // in user mode and in the kernel, to a hundredth of a second
	Faults    int64         // major ones: a page had to be read from the disk
	RSS, Peak int64         // resident now, and at most; pages of files, such as the executable, are among them
	Anonymous int64         // resident now, without pages of files
	Written   int64         // what it has made the kernel write to a disk, sooner or later
}

// ReadUsage asks the kernel about a process.
func ReadUsage(pid int) (Usage, error) {
	var u Usage
	for name, parse := range map[string]func(*Usage, []byte) error{"stat": (*Usage).stat, "status": (*Usage).status, "io": (*Usage).io} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			return u, err
		}
		if err := parse(&u, text); err != nil {
			return u, fmt.Errorf("/proc/%d/%s: %w", pid, name, err)
		}
	}
	return u, nil
}

// stat reads the fields 12, 14 and 15: 9, 11 and 12 after the program's name in brackets, which may hold anything.
func (u *Usage) stat(text []byte) error {
	const majflt, utime, stime, tick = 9, 11, 12, 10 * time.Millisecond
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= stime {
		return fmt.Errorf("%d fields", len(fields))
	}
	var values [stime + 1]int64
	for _, i := range []int{majflt, utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return err
		}
		values[i] = n
	}
	u.Faults, u.CPU = values[majflt], time.Duration(values[utime]+values[stime])*tick
	return nil
}

func (u *Usage) status(text []byte) error {
	return errors.Join(
		field(text, "VmRSS:", 1024, &u.RSS),
		field(text, "VmHWM:", 1024, &u.Peak),
		field(text, "RssAnon:", 1024, &u.Anonymous),
	)
}

func (u *Usage) io(text []byte) error { return field(text, "write_bytes:", 1, &u.Written) }

// field reads the number that follows a name at the start of a line, in the given unit.
func field(text []byte, name string, unit int64, into *int64) error {
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != name {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		*into = n * unit
		return err
	}
	return fmt.Errorf("no %q", name)
}
