package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestAColdCopyIsTheSameProgram(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can forget a file")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "program"), []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cold, err := chill(filepath.Join(folder, "program"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(cold)) })
	text, err := os.ReadFile(cold)
	if err != nil || string(text) != "#!/bin/sh\n" {
		t.Errorf("it holds %q (%v)", text, err)
	}
	if info, err := os.Stat(cold); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("it cannot be executed: %v (%v)", info.Mode(), err)
	}
}
