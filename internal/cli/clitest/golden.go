// Package clitest compares what commands print with files.
package clitest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Golden compares the help of a command with testdata/help/NAME.txt, which it writes if UPDATE_HELP is set.
func Golden(t *testing.T, name, help string) {
	t.Helper()
	file := filepath.Join("testdata", "help", name+".txt")
	if os.Getenv("UPDATE_HELP") != "" { //nolint:forbidigo // of a test
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // it is source
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(help), 0o644); err != nil { //nolint:gosec // it is source
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; UPDATE_HELP=1 go test writes it", err)
	}
	if diff := cmp.Diff(string(want), help); diff != "" {
		t.Errorf("the help of %s differs (-want +got); if that is meant, run UPDATE_HELP=1 go test:\n%s", name, diff)
	}
}
