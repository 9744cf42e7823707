package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/engine"
)

func newBackup() *cobra.Command {
	var o engine.BackupOptions
	var list, asJSON bool
	cmd := &cobra.Command{
		Use:   "backup DIR DEST|-",
		Short: "Copy the sealed files of a database",
		Long: `Add a set, a restore point, to the directory DEST, which is made when it is absent. Only
what is not there yet is copied. With - the backup is one tar stream on standard output.
Neither needs the key, nor that other processes close the database; what is copied stays
sealed. An interrupted backup leaves the earlier sets as they are. Only restoring shows
whether a backup is sound: restore it now and then.`,
		Example: "  byokdb backup orders.byok /mnt/backups/orders --keep 14\n" +
			"  byokdb backup orders.byok - | ssh host 'cat > orders.tar'\n" +
			"  byokdb backup --list /mnt/backups/orders",
		Args: rangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case list && len(args) == 1 && !cmd.Flags().Changed("keep"):
				return listBackups(cmd.OutOrStdout(), args[0], asJSON)
			case list || len(args) != 2:
				return usagef("usage: byokdb backup DIR DEST|- [--keep N], or byokdb backup --list DEST")
			case o.Keep < 0:
				return usagef("--keep cannot be negative")
			case args[1] == "-" && (asJSON || o.Keep > 0):
				return usagef("a stream takes the standard output, and has no sets: no --json, no --keep")
			}
			return backup(cmd, args[0], args[1], o, asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Keep, "keep", 0, "sets to keep in DEST, this one included (default all)")
	f.BoolVar(&list, "list", false, "list the sets in DEST")
	f.BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func backup(cmd *cobra.Command, dir, dest string, o engine.BackupOptions, asJSON bool) error {
	out, begin := cmd.OutOrStdout(), time.Now()
	if dest == "-" {
		if _, onTerminal := terminalFile(out); onTerminal {
			return usagef("a backup on the terminal helps nobody; send it to a file or a pipe")
		}
		progress, end := byteProgress(cmd.ErrOrStderr(), begin)
		o.Progress = progress
		r, err := engine.BackupStream(cmd.Context(), dir, out, &o)
		end()
		if err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, %s in %.2fs\n", counted(int64(r.Files), "file", "files"), sizeText(r.Bytes), time.Since(begin).Seconds())
		}
		return err
	}
	progress, end := byteProgress(cmd.ErrOrStderr(), begin)
	o.Progress = progress
	r, err := engine.Backup(cmd.Context(), dir, dest, &o)
	end()
	if r.Set == 0 || err != nil && !errors.Is(err, engine.ErrCorrupt) {
		return err
	}
	if asJSON {
		return errors.Join(writeJSON(out, r), err)
	}
	fmt.Fprintf(out, "set %d of database %s, generation %d: %s, %s; copied %d, %s\n", r.Set, r.Database, r.Generation,
		counted(int64(r.Files), "file", "files"), sizeText(r.Bytes), r.FilesCopied, sizeText(r.BytesCopied))
	for _, n := range r.Removed {
		fmt.Fprintf(out, "set %d removed\n", n)
	}
	return err
}

// byteProgress returns a function that shows how far a copy has got, on a
// terminal, and one that clears it.
func byteProgress(w io.Writer, begin time.Time) (show func(done, total int64), end func()) {
	if _, onTerminal := terminalFile(w); !onTerminal {
		return nil, func() {}
	}
	const every = 100 * time.Millisecond
	var last time.Time
	show = func(done, total int64) {
		if now := time.Now(); now.Sub(last) >= every {
			last = now
			fmt.Fprintf(w, "\r\x1b[K%s", byteLine(done, total, now.Sub(begin)))
		}
	}
	return show, func() { fmt.Fprint(w, "\r\x1b[K") }
}

// byteLine says how far a copy has got; total is 0 when not known.
func byteLine(done, total int64, took time.Duration) string {
	rate := int64(float64(done) / max(took.Seconds(), 0.001))
	return progressBar(done, total) + fmt.Sprintf("%s, %s/s", sizeText(done), sizeText(rate))
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// listBackups prints the sets of a destination.
func listBackups(w io.Writer, dest string, asJSON bool) error {
	sets, err := engine.ListBackups(dest)
	if err != nil && !errors.Is(err, engine.ErrCorrupt) {
		return err
	}
	err = damagedIsFault(err)
	if asJSON {
		return errors.Join(writeJSON(w, sets), err)
	}
	t, terr := newRenderer("table", w, 0)
	if terr != nil {
		return terr
	}
	if err := t.header([]string{"set", "created", "generation", "files", "bytes", "database"}); err != nil {
		return err
	}
	for _, s := range sets {
		row := []any{
			strconv.FormatUint(s.Set, 10), stamp(s.Created), strconv.FormatUint(s.Generation, 10),
			int64(s.Files), s.Bytes, s.Database,
		}
		if err := t.row(row); err != nil {
			return err
		}
	}
	return errors.Join(t.finish(), err)
}
