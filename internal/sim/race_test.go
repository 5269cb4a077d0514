//go:build race

package sim

// raced: the race detector makes a schedule ten times as slow.
const raced = true
