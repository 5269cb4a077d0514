package cli

import (
	"errors"
	"fmt"
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

// Flag adds --output, and --json as its older spelling.
func (o *Output) Flag(cmd *cobra.Command) {
	*o = Text
	cmd.Flags().VarP(o, "output", "o", "output `format`: text or json")
	json := cmd.Flags().VarPF(jsonFlag{o}, "json", "", "--output=json")
	json.NoOptDefVal, json.Hidden = "true", true
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(Text), string(JSON)}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

func (o *Output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *Output) Type() string { return "format" }

// Set implements pflag.Value.
func (o *Output) Set(s string) error {
	if f := Output(s); f == Text || f == JSON {
		*o = f
		return nil
	}
	return errors.New("must be text or json")
}

// AllowCSV makes csv one of the formats of --output.
func (o *Output) AllowCSV(cmd *cobra.Command) {
	f := cmd.Flags().Lookup("output")
	f.Value, f.Usage = csvFlag{o}, "output `format`: text, json or csv"
}

type csvFlag struct{ *Output }

func (f csvFlag) Set(s string) error {
	if Output(s) == CSV {
		*f.Output = CSV
		return nil
	}
	if f.Output.Set(s) != nil {
		return errors.New("must be text, json or csv")
	}
	return nil
}

type jsonFlag struct{ *Output }

func (jsonFlag) Type() string { return "bool" }
func (f jsonFlag) Set(s string) error {
	on, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("must be true or false")
	}
	*f.Output = Text
	if on {
		*f.Output = JSON
	}
	return nil
}

// Age is a duration that may have days: 2d, 1d12h, 90m.
type Age time.Duration

func (a *Age) String() string {
	if *a == 0 {
		return "0s"
	}
	return time.Duration(*a).String()
}

// Type implements pflag.Value.
func (a *Age) Type() string { return "duration" }

// Set implements pflag.Value.
func (a *Age) Set(s string) error {
	days, rest, found := strings.Cut(s, "d")
	var age time.Duration
	if found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return errNoAge
		}
		age = time.Duration(n) * 24 * time.Hour
	} else {
		rest = s
	}
	if rest != "" || !found {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return errNoAge
		}
		if d < 0 {
			return errors.New("must not be negative")
		}
		age += d
	}
	*a = Age(age)
	return nil
}

var errNoAge = fmt.Errorf("must be a duration such as 30m, 12h or 2d")
