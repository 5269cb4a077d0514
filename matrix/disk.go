package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"checkout/internal/test/process"
	"checkout/internal/wait"
)

// disk is how system calls on the files of the record go wrong, as strace(1) has it.
type disk string

// diskModes are full, failing and slow disks. Reads do not fail: the record is in memory. Neither do locks: it is locked once.
func diskModes() []mode {
	const writes, syncs = "write,pwrite64,pwritev,ftruncate", "fsync,fdatasync"
	var modes []mode
	for name, d := range map[string]disk{
		"the disk is full":                  writes + ":error=ENOSPC",
		"the disk is full for a moment":     writes + ":error=ENOSPC:when=1..3",
		"every second write finds no space": writes + ":error=ENOSPC:when=2+2",
		"the quota is used up":              writes + ":error=EDQUOT",
		"the file may not grow":             writes + ":error=EFBIG",
		"writes fail":                       writes + ":error=EIO",
		"every third write fails":           writes + ":error=EIO:when=3+3",
		"the file system is read-only":      writes + ":error=EROFS",
		"writes take 100 ms":                writes + ":delay_enter=100000",
		"a write takes 5 s":                 writes + ":delay_enter=5000000:when=2",
		"fsync fails":                       syncs + ":error=EIO",
		"every second fsync fails":          syncs + ":error=EIO:when=2+2",
		"fsync finds no space":              syncs + ":error=ENOSPC",
		"fsync takes 100 ms":                syncs + ":delay_exit=100000",
		"fsync takes 1 s":                   syncs + ":delay_exit=1000000",
		"an fsync takes 5 s":                syncs + ":delay_exit=5000000:when=2",
	} {
		modes = append(modes, mode{name: name, disk: d})
	}
	return modes
}

// fault is a strace that makes system calls of a process fail.
type fault struct {
	strace *exec.Cmd
	log    string
}

// inject attaches to the process, and returns when all that it does to its record is affected.
func (d disk) inject(ctx context.Context, s *process.Service) (*fault, error) {
	f := &fault{log: filepath.Join(s.Folder, "strace")}
	record := filepath.Join(s.Folder, "orders.db")
	f.strace = exec.CommandContext(ctx, "strace", "-f", "-qq", "-o", f.log, "-P", record, "-P", record+"-wal", "-P", record+"-journal", //nolint:gosec // a mode's
		"-e", "inject="+string(d), "-p", fmt.Sprint(s.PID()))
	if err := f.strace.Start(); err != nil {
		return nil, err
	}
	for attached := time.Now().Add(10 * time.Second); time.Now().Before(attached) && wait.For(ctx, 5*time.Millisecond); {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.PID()))
		traced := err == nil && len(tasks) > 0
		for _, task := range tasks {
			status, err := os.ReadFile(task)
			traced = traced && (err != nil || !bytes.Contains(status, []byte("TracerPid:\t0\n"))) // or the thread has ended
		}
		if traced {
			return f, nil
		}
	}
	f.heal()
	return nil, errors.New("strace did not attach")
}

// hits is how many calls were affected.
func (f *fault) hits() int64 {
	text, err := os.ReadFile(f.log)
	if err != nil {
		return 0
	}
	return int64(bytes.Count(text, []byte("INJECTED)")) + bytes.Count(text, []byte("DELAYED)")))
}

// heal detaches.
func (f *fault) heal() {
	_ = f.strace.Process.Signal(os.Interrupt) // unless it has ended with the process
	_ = f.strace.Wait()                       // it says how it was ended
}
