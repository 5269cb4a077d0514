//go:build unix

package store

import (
	"errors"
	"net"
	"syscall"
)

// ended reports whether the other end has closed the connection, or sent something that it was not asked for: then it is about to.
func ended(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		_, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return true // do not wait
	})
	return err != nil || !errors.Is(peeked, syscall.EAGAIN) && !errors.Is(peeked, syscall.EINTR)
}
