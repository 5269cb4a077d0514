// Package cli is what the commands of this module share: command lines as those of kubectl and gh. Help goes to stdout;
// errors go to stderr and name the command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"checkout/internal/redact"
)

// Exit statuses of every command. A command may have more.
const (
	OK     = 0
	Failed = 1
	Usage  = 2
)

// Error is an error with the exit status of the command. Without Err it has been printed already.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Fail makes the command exit with Failed because of err. Errors that are no *Error mean a command line that is wrong.
func Fail(err error) error { return &Error{Failed, err} }

// Run executes the command that args name and returns its exit status.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) (status int) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(FlagError)
	unsort(root)
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return checkText(args) }
	root.SetArgs(longFlags(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return OK
	}
	if failed, ok := errors.AsType[*Error](err); ok {
		if failed.Err != nil {
			Complain(cmd, failed)
		}
		return failed.Status
	}
	Complain(cmd, err)
	_, _ = fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
	return Usage
}

// checkText refuses arguments that no call could carry: gRPC would find that out too late to tell that nothing was sent.
func checkText(args []string) error {
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("argument %q: must be UTF-8", arg)
		}
	}
	return nil
}

// unsort leaves flags in the order in which they were added: what matters most is first.
func unsort(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	for _, c := range cmd.Commands() {
		unsort(c)
	}
}

// Complain prints an error of a command; each of several joined ones with the command's name.
func Complain(cmd *cobra.Command, err error) {
	for line := range strings.Lines(redact.Error(err).Error()) {
		prefix := cmd.CommandPath() + ": "
		if strings.HasPrefix(line, " ") {
			prefix = "" // details of the line above
		}
		cmd.PrintErrf("%s%s\n", prefix, strings.TrimSuffix(line, "\n"))
	}
}

// Group makes a command a group of other commands.
func Group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("unknown command %q%s", args[0], didYouMean(cmd, args[0], ""))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// Args checks the number of arguments beside flags. Those in brackets are optional.
func Args(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) > len(names):
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		case len(args) < len(names) && !strings.HasPrefix(names[len(args)], "["):
			return fmt.Errorf("missing argument %s", names[len(args)])
		}
		return nil
	}
}

// FlagError names the flag that is wrong, and the one that may be meant.
func FlagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		flags := &cobra.Command{} // cobra suggests commands only
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
			}
		})
		name := unknown.GetSpecifiedName()
		return fmt.Errorf("unknown flag --%s%s", name, didYouMean(flags, name, "--"))
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("--%s=%q: %w", wrong.GetFlag().Name, wrong.GetValue(), wrong.Unwrap())
	}
	return err
}

// didYouMean suggests commands of a group for a name that is none of them.
func didYouMean(group *cobra.Command, name, prefix string) string {
	group.SuggestionsMinimumDistance = min(2, len(name)/2)
	suggestions := group.SuggestionsFor(name)
	if len(suggestions) == 0 {
		return ""
	}
	return "; did you mean " + prefix + strings.Join(suggestions, " or "+prefix) + "?"
}

// longFlags lets flags be written with a single dash, as Go's package flag reads them: -older for --older. Container
// definitions and scripts do.
func longFlags(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args
	}
	args = slices.Clone(args)
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		name, hasValue := strings.TrimLeft(args[i], "-"), false
		if name == args[i] || name == "" {
			continue
		}
		name, _, hasValue = strings.Cut(name, "=")
		flag := cmd.Flags().Lookup(name)
		switch {
		case len(name) == 1:
			flag = cmd.Flags().ShorthandLookup(name)
		case strings.HasPrefix(args[i], "--"):
		case flag == nil && cmd.Flags().ShorthandLookup(name[:1]) != nil: // -ojson
			continue
		default:
			args[i] = "-" + args[i]
		}
		if flag != nil && !hasValue && flag.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return args
}
