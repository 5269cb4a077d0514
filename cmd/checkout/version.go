package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"checkout/internal/cli"
	"checkout/internal/version"
)

func (p process) versionCommand() *cobra.Command {
	var output cli.Output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the version of Go",
		Args:  cli.Args(),
		RunE: func(*cobra.Command, []string) error {
			if output == cli.JSON {
				return json.NewEncoder(p.stdout).Encode(version.Read())
			}
			_, _ = fmt.Fprintln(p.stdout, "checkout version "+version.Read().String())
			return nil
		},
	}
	output.Flag(cmd)
	return cmd
}
