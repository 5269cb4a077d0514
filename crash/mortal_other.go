//go:build !linux

package main

import "syscall"

// mortal makes an ordinary process: only Linux can bind its life to that of this one.
func mortal() *syscall.SysProcAttr { return nil }
