//go:build !linux

package telemetry

// readUsage cannot tell.
func readUsage() (usage, bool) { return usage{}, false }
