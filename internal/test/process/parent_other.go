//go:build !linux

package process

import "syscall"

// DieWithParent makes an ordinary child: only Linux can end it with this process.
func DieWithParent() *syscall.SysProcAttr { return nil }
