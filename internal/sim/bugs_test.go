//go:build !planted

package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bug is a change of a file that breaks an invariant: old becomes new.
type bug struct{ breaks, name, file, old, new string }

// TestPlantedBugs plants each bug in turn and wants the schedules to find it: a checker that finds nothing proves nothing.
func TestPlantedBugs(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("compiles the simulation once for each bug")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go to compile with")
	}
	t.Parallel()
	for n := range 11 { // I12, the arithmetic of money, has tests of its own
		if !slices.ContainsFunc(bugs(), func(b bug) bool { return b.breaks == fmt.Sprint("I", n+1) }) {
			t.Errorf("no bug breaks invariant I%d", n+1)
		}
	}
	for _, b := range bugs() {
		t.Run(b.breaks+" "+b.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			found := play(t, plant(t, tool, b))
			t.Logf("found in %v: %s", time.Since(began).Round(time.Millisecond), found)
		})
	}
}

// plant compiles the simulation with the bug in it.
func plant(t *testing.T, tool string, b bug) (binary string) {
	t.Helper()
	path, err := filepath.Abs(b.file)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), b.old); n != 1 {
		t.Fatalf("%s has %d times what the bug replaces:\n%s", b.file, n, b.old)
	}
	dir := t.TempDir()
	mutant, overlay, binary := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		mutant:  []byte(strings.Replace(string(source), b.old, b.new, 1)),
		overlay: replace,
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), tool, "test", "-c", "-vet=off", "-tags=planted", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the bug does not compile: %v\n%s", err, output)
	}
	return binary
}

// enough schedules find any bug.
const enough = 12_000

// play runs schedules until the first fails, and returns its violation.
func play(t *testing.T, binary string) (found string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, binary, "-test.run=^TestSchedules$", fmt.Sprint("-schedules=", enough), "-failures=1")
	var output bytes.Buffer
	run.Stdout, run.Stderr = &output, &output
	if err := run.Run(); err == nil {
		t.Fatalf("not found in %d schedules", enough)
	}
	_, after, ok := strings.Cut(output.String(), "seed ")
	if !ok {
		t.Fatalf("it failed, but not by a violation:\n%s", output.String())
	}
	lines := strings.SplitN(after, "\n", 3)
	return lines[0] + strings.TrimSpace(lines[1])
}
