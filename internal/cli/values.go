package cli

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Output is the format that a command prints.
type Output string

// The formats. JSON is one object, or one a line where there may be several. CSV is for lists.
const (
	Text Output = "text"
	JSON Output = "json"
	CSV  Output = "csv"
)

// Flag adds --output, which is text, JSON or one of more; and --json, as an older spelling.
func (o *Output) Flag(cmd *cobra.Command, more ...Output) {
	*o = Text
	names := []string{string(Text), string(JSON)}
	for _, f := range more {
		names = append(names, string(f))
	}
	last := len(names) - 1
	words := strings.Join(names[:last], ", ") + " or " + names[last]
	cmd.Flags().FuncP("output", "o", "output `format`: "+words+" (default text)", func(s string) error {
		if !slices.Contains(names, s) {
			return errors.New("must be " + words)
		}
		*o = Output(s)
		return nil
	})
	cmd.Flags().BoolFunc("json", "--output=json", func(s string) error {
		on, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("must be true or false")
		}
		*o = map[bool]Output{true: JSON, false: Text}[on]
		return nil
	})
	_ = cmd.Flags().MarkHidden("json")                                                                              // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // likewise
}

// Age adds a flag for a duration that may have days: 2d, 1d12h, 90m.
func Age(cmd *cobra.Command, into *time.Duration, name, usage string) {
	cmd.Flags().Func(name, usage, func(s string) (err error) {
		*into, err = parseAge(s)
		return err
	})
}

func parseAge(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	switch {
	case !found:
		days, rest = "0", s
	case rest == "":
		rest = "0"
	}
	n, wrongDays := strconv.ParseUint(days, 10, 16)
	d, wrongRest := time.ParseDuration(rest)
	switch {
	case wrongDays != nil || wrongRest != nil:
		return 0, errors.New("must be a duration such as 30m, 12h or 2d")
	case d < 0:
		return 0, errors.New("must not be negative")
	}
	return time.Duration(n)*24*time.Hour + d, nil
}
