//go:build unix && !linux

package child

import "syscall"

// attributes give the child a process group of its own, so that Ctrl-C in a terminal reaches its parent alone, which ends
// it in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
