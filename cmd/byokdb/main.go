// Command byokdb makes, fills, asks and looks after databases that are sealed
// under a customer's own key.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitFaults      = 3 // verify found faults
	exitUnavailable = 4 // the key is not available
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main with everything that it touches handed in; it returns the exit
// code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(stderr, "byokdb: "+describe(err))
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "byokdb",
		Short: "An embedded database sealed under your customer's own key",
		Long: `byokdb keeps one database per customer organization, sealed under that
customer's own KMS key. When the customer takes the key away, the database stops
answering within minutes and wipes its memory within hours.

Exit codes: 0 ok, 1 failed, 2 usage, 3 faults found, 4 key unavailable.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("no command is named %q; see byokdb --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newInit(), withMinPosition(newExec()), withMinPosition(newIngest()), withMinPosition(newImport()), withMinPosition(newShell()),
		withMinPosition(newStatus()), withMinPosition(newKey()), withMinPosition(newVerify()), newInspect(),
		newBackup(), withMinPosition(newRestore()), withMinPosition(newDrill()), newDevKMS(), newDemo(), newVersion(),
	)
	return root
}

// usageError is the caller's fault: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

var (
	// errFaults means that verify found faults.
	errFaults = errors.New("faults found")
	// errReported marks an error that was printed already.
	errReported = errors.New("reported")
)

// reported wraps an error that was printed already: only its exit code counts.
type reported struct{ err error }

func (r reported) Error() string        { return r.err.Error() }
func (r reported) Unwrap() error        { return r.err }
func (r reported) Is(target error) bool { return target == errReported }

// exitCode sorts an error into the exit codes.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if errors.Is(err, errFaults) {
		return exitFaults
	}
	if errors.Is(err, engine.ErrKeyUnavailable) {
		return exitUnavailable
	}
	if pe, ok := errors.AsType[*crypt.ProviderError](err); ok && pe.Class != crypt.ClassTampered {
		return exitUnavailable
	}
	return exitFailed
}

// exactArgs is cobra.ExactArgs with the command's use in the error.
func exactArgs(n int) cobra.PositionalArgs { return rangeArgs(n, n) }

// rangeArgs takes lo to hi arguments; hi < 0 means any number.
func rangeArgs(lo, hi int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < lo || hi >= 0 && len(args) > hi {
			return usagef("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// group is the RunE of a command that only has commands below it.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s has no command named %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return cmd.Help()
}
