//go:build unix

package child

import (
	"errors"
	"os"
	"syscall"
)

// terminate asks the child's process group to end: a child that is a script passes on no signal to what it runs.
func terminate(p *os.Process) error { return signal(p, syscall.SIGTERM) }

// kill ends the child's process group at once.
func kill(p *os.Process) error { return signal(p, syscall.SIGKILL) }

// signal signals the process group that p leads, or led. Its error is os.ErrProcessDone when no process is left in it.
func signal(p *os.Process, s syscall.Signal) error {
	err := syscall.Kill(-p.Pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
