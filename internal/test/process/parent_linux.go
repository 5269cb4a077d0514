package process

import "syscall"

// DieWithParent makes a child that does not outlive this process, however this one ends.
func DieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
