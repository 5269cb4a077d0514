package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used until now, as Linux tells it (proc(5)).
type usage struct {
	cpu             time.Duration // in user mode and in the kernel, to a hundredth of a second
	faults          int64         // major ones: a page had to be read from the disk
	peak, anonymous int64         // bytes resident at most; bytes resident now that are no page of a file
	written         int64         // bytes that it has made the kernel write to a disk, sooner or later
}

// readUsage asks the kernel about a process.
func readUsage(pid int) (usage, error) {
	var u usage
	for name, parse := range map[string]func(*usage, []byte) error{"stat": (*usage).stat, "status": (*usage).status, "io": (*usage).io} {
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
func (u *usage) stat(text []byte) error {
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
	u.faults, u.cpu = values[majflt], time.Duration(values[utime]+values[stime])*tick
	return nil
}

func (u *usage) status(text []byte) error {
	return errors.Join(
		field(text, "VmHWM:", 1024, &u.peak),
		field(text, "RssAnon:", 1024, &u.anonymous),
	)
}

func (u *usage) io(text []byte) error { return field(text, "write_bytes:", 1, &u.written) }

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
