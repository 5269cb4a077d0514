//go:build !linux

package serve

import "net"

func gone(net.Conn) bool { return false }
