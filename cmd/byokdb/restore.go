package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

func newRestore() *cobra.Command {
	var o engine.RestoreOptions
	var uri string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore SRC|- DIR",
		Short: "Make a database from a backup",
		Long: `Make a database in DIR, which must be absent or empty, from what backup wrote: a directory
with sets, of which the newest is taken, a tar stream in a file or on standard input, or a
plain copy of a database's directory. The copy is opened with its key and verified as a
whole before DIR gets its name. Exits with 3 when the backup is damaged.`,
		Example: "  byokdb restore /mnt/backups/orders orders.byok\n" +
			"  byokdb restore - orders.byok --key local:dev.key < orders.tar",
		Args: exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.MinPosition = minPositionOf(cmd.Context())
			return restore(cmd, args[0], args[1], uri, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.Set, "set", 0, "number of the set to restore (default the newest)")
	f.StringVar(&uri, "key", "", "the customer's key, when it is not the URI that the backup names; needed for a stream")
	f.BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func restore(cmd *cobra.Command, src, dir, uri string, o engine.RestoreOptions, asJSON bool) (err error) {
	ctx := cmd.Context()
	if uri == "" {
		if uri, err = keyURIOf(src, o.Set); err != nil {
			return damagedIsFault(err)
		}
	}
	key, err := keyuri.Open(ctx, uri)
	if err != nil {
		return fmt.Errorf("open key: %w", err)
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	begin := time.Now()
	progress, end := byteProgress(cmd.ErrOrStderr(), begin)
	o.Progress = progress
	var r engine.RestoreReport
	if src == "-" {
		r, err = engine.RestoreStream(ctx, interruptible(ctx, cmd.InOrStdin()), dir, key, &o)
	} else {
		r, err = engine.Restore(ctx, src, dir, key, &o)
	}
	end()
	if err != nil {
		return damagedIsFault(err)
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return writeJSON(out, r)
	}
	from := ""
	if r.Set > 0 {
		from = fmt.Sprintf(" from set %d", r.Set)
	}
	fmt.Fprintf(out, "%s: database %s%s, %s, %s in %.2fs\n", printable(dir), r.Database, from,
		counted(int64(r.Files), "file", "files"), sizeText(r.Bytes), time.Since(begin).Seconds())
	fmt.Fprintf(out, "verified: %d runs with %d pages, %d log segments with %d frames, %d records in %d collections\n",
		r.Verified.Runs, r.Verified.Pages, r.Verified.Segments, r.Verified.Frames, r.Verified.Records, r.Verified.Collections)
	fmt.Fprintf(out, "position: %s\n", r.Position)
	return nil
}

// damagedIsFault gives an error of damage the exit code of faults.
func damagedIsFault(err error) error {
	if errors.Is(err, engine.ErrCorrupt) {
		return fmt.Errorf("%w: %w", errFaults, err)
	}
	return err
}

// keyURIOf returns the URI of the key that a backup names.
func keyURIOf(src string, set uint64) (string, error) {
	if src == "-" {
		return "", usagef("a stream does not say its key before it was read: restore needs --key URI")
	}
	info, err := engine.StatBackup(src, set)
	if err != nil {
		return "", fmt.Errorf("%w; --key URI restores without asking the backup for its key", err)
	}
	return info.KeyURI, nil
}
