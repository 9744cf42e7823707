package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// drillFlags are the flags of drill.
type drillFlags struct {
	denied, unreachable, scratch, asJSON bool
}

func newDrill() *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "drill DIR --denied|--unreachable",
		Short: "Rehearse the loss of the key, without touching the KMS",
		Long: `Open the database, simulate that the KMS denies its key or does not answer, and
measure how long it takes until an operation is refused, and until one is served again
once the key is given back. Nothing changes at the KMS, and a drill never erases. It
takes as long as the policy's bound, and some seconds; the exit code is 3 if the bound
did not hold.

With --scratch it is a copy in a temporary directory that is drilled, also while
another process has the database open. A program drills its own open database, and all
who use it, with DB.Drill.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.denied == f.unreachable {
				return usagef("%s needs one of --denied and --unreachable", cmd.CommandPath())
			}
			return drill(cmd.Context(), args[0], f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&f.denied, "denied", false, "the KMS says no")
	cmd.Flags().BoolVar(&f.unreachable, "unreachable", false, "the KMS does not answer")
	cmd.Flags().BoolVar(&f.scratch, "scratch", false, "drill a copy of the database")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "write one JSON object")
	return cmd
}

// kind returns what to simulate.
func (f drillFlags) kind() engine.DrillKind {
	if f.denied {
		return engine.DrillDenied
	}
	return engine.DrillUnreachable
}

// drill drills the database in dir, or a copy of it.
func drill(ctx context.Context, dir string, f drillFlags, out, errOut io.Writer) (err error) {
	if f.scratch {
		temp, err := os.MkdirTemp("", "byokdb-drill-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
		if dir, err = scratchCopy(ctx, dir, temp); err != nil {
			return err
		}
	}
	return withDatabase(ctx, dir, func(d *database) error {
		bound := d.eng.Status().Key.Bound
		fmt.Fprintf(errOut, "byokdb: the key is taken away; this takes up to %v\n", bound)
		r, err := d.eng.Drill(ctx, f.kind())
		if err != nil {
			return err
		}
		if f.asJSON {
			err = writeJSON(out, r)
		} else {
			writeDrill(out, r)
		}
		if err == nil && !r.Held {
			err = errFaults
		}
		return err
	})
}

// scratchCopy makes a copy of a database that another process may have open.
func scratchCopy(ctx context.Context, dir, temp string) (string, error) {
	info, err := engine.Stat(dir)
	if err != nil {
		return "", err
	}
	key, err := keyuri.Open(ctx, info.KeyURI)
	if err != nil {
		return "", fmt.Errorf("open key: %w", err)
	}
	sets, to := filepath.Join(temp, "sets"), filepath.Join(temp, "copy.byok")
	_, err = engine.Backup(ctx, dir, sets, nil)
	if err == nil {
		_, err = engine.Restore(ctx, sets, to, key, nil)
	}
	return to, errors.Join(err, key.Close())
}

func writeDrill(w io.Writer, r engine.DrillReport) {
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	verdict := "held"
	if !r.Held {
		verdict = "DID NOT HOLD"
	}
	fmt.Fprintf(w, "drill        %s\n", r.Kind)
	fmt.Fprintf(w, "refused      after %v; the last operation that was served began after %v\n", round(r.Refused), round(r.LastServed))
	fmt.Fprintf(w, "bound        %v %s\n", r.Bound, verdict)
	fmt.Fprintf(w, "recovered    %v after the key came back, by itself\n", round(r.Recovered))
	fmt.Fprintf(w, "operations   %d served under the lease, %d refused\n", r.NServed, r.NRefused)
}
