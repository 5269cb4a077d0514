//go:build !linux

package serve

// forbidCoreDumps does nothing: the service runs on Linux, and elsewhere only while it is developed.
func forbidCoreDumps() error { return nil }
