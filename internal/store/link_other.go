//go:build !unix

package store

import "net"

func ended(net.Conn) bool { return false }
