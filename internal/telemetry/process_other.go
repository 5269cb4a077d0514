//go:build !linux

package telemetry

// readUsage is not available.
func readUsage() (usage, bool) { return usage{}, false }
