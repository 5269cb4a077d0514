package main

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheWidthIsThatOfTheTerminal(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal to be had: %v", err)
	}
	defer func() { _ = terminal.Close() }()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 97}); err != nil {
		t.Fatal(err)
	}
	if got := columns(terminal); got != 97 {
		t.Errorf("a terminal of 97 columns has %d", got)
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if got := columns(file); got != 0 {
		t.Errorf("a file has %d columns, want 0: any number", got)
	}
}
