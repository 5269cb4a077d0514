//go:build !unix

package main

import "io"

// columns is 0: where terminals cannot be asked, lines are not cut.
func columns(io.Writer) int { return 0 }
