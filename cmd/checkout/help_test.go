package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"checkout/internal/cli/clitest"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())
		for _, flag := range []string{"--help", "-h", "-help"} {
			status, stdout, stderr := call(t, nil, "", append(path[1:], flag)...)
			if status != 0 || stderr != "" {
				t.Errorf("%s %s: exit status %d, stderr %q; want help on stdout", cmd.CommandPath(), flag, status, stderr)
			}
			if cmd.Name() == "serve" { // its flags are in docs/configuration.md
				stdout, _, _ = strings.Cut(stdout, "\nFlags:\n")
			}
			clitest.Golden(t, strings.Join(path, "-"), stdout)
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(process{getenv: func(string) string { return "" }}.root())
	if status, stdout, _ := call(t, nil, "", "help", "order", "list"); status != 0 || !strings.Contains(stdout, "List orders") {
		t.Errorf("checkout help order list: exit status %d, %q", status, stdout)
	}
}
