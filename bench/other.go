//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

// mortal makes an ordinary process: only Linux can bind its life to that of this one.
func mortal() *syscall.SysProcAttr { return nil }

// forget cannot be done elsewhere, nor would there be a cgroup.
func forget(*os.File) error { return errors.ErrUnsupported }
