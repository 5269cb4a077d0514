package main

import "syscall"

// mortal makes a process that does not outlive this one, however that ends.
func mortal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
