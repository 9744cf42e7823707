package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	bolt "go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/engine/boltimport"
	"github.com/byokdb/byokdb/sql/ingest"
)

func newImport() *cobra.Command {
	var sqlFile, boltFile string
	var batch int64
	cmd := &cobra.Command{
		Use:   "import DIR --sql FILE|-  or  import DIR --bolt FILE",
		Short: "Take over a SQLite dump or a bbolt file",
		Long: `Take over what another database holds.

--sql reads the text that "sqlite3 file .dump" writes, statement by statement, from
FILE or standard input. --bolt copies the buckets of a bbolt file to collections: a
bucket in a bucket is named with / between both, and sequences are kept in the
collection bolt/sequences.

Up to --batch-size bytes are one transaction: all of it is there afterwards, or nothing.
More is several, and the database keeps how far they have come: after an interruption
the same command goes on there.`,
		Example: "  sqlite3 shop.sqlite .dump | byokdb import shop.byok --sql -\n" +
			"  byokdb import sessions.byok --bolt sessions.bolt",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (sqlFile == "") == (boltFile == "") {
				return usagef("import takes --sql FILE or --bolt FILE; see %s --help", cmd.CommandPath())
			}
			if batch < 1 {
				return usagef("--batch-size is at least 1")
			}
			if boltFile != "" {
				return importBolt(cmd, args[0], boltFile, batch)
			}
			return withInput(cmd, sqlFile, func(r io.Reader, size int64) error {
				return withDatabase(cmd.Context(), args[0], func(d *database) error { return importDump(cmd, d, r, size, batch) })
			})
		},
	}
	cmd.Flags().StringVar(&sqlFile, "sql", "", "a SQLite dump, - for standard input")
	cmd.Flags().StringVar(&boltFile, "bolt", "", "a bbolt file, which no other process has open for writing")
	cmd.Flags().Int64Var(&batch, "batch-size", 32<<20, "bytes in one transaction")
	return cmd
}

// progressTo returns what shows a line of progress on a terminal, and what
// clears it; elsewhere neither does anything.
func progressTo(w io.Writer) (show func(line string), clear func()) {
	if _, ok := terminalFile(w); !ok {
		return func(string) {}, func() {}
	}
	return func(line string) { fmt.Fprintf(w, "\r\x1b[K%s", line) }, func() { fmt.Fprint(w, "\r\x1b[K") }
}

func importDump(cmd *cobra.Command, d *database, r io.Reader, size, batch int64) error {
	begin := time.Now()
	errOut := cmd.ErrOrStderr()
	show, done := progressTo(errOut)
	res, err := ingest.Dump(cmd.Context(), d.sql, interruptible(cmd.Context(), r), ingest.DumpOptions{BatchSize: batch, Progress: func(n, bytes int64) {
		show(progressBar(bytes, size) + fmt.Sprintf("%d statements, %s", n, sizeText(bytes)))
	}})
	done()
	if err != nil {
		if res.Statements > 0 && !errors.Is(err, ingest.ErrOtherDump) {
			fmt.Fprintln(errOut, "byokdb: the same command with the same input goes on there")
		}
		return err
	}
	fmt.Fprintf(errOut, "%s, %s in %.2fs%s\n",
		counted(res.Statements, "statement", "statements"), sizeText(res.Bytes), time.Since(begin).Seconds(), resumedNote(res.Resumed))
	return nil
}

func importBolt(cmd *cobra.Command, dir, file string, batch int64) error {
	src, err := openBolt(cmd.Context(), file)
	if err != nil {
		return err
	}
	err = withDatabase(cmd.Context(), dir, func(d *database) error {
		begin := time.Now()
		errOut := cmd.ErrOrStderr()
		show, done := progressTo(errOut)
		res, err := boltimport.Import(cmd.Context(), d.eng, src, boltimport.Options{BatchSize: batch, Progress: func(n int64) {
			show(fmt.Sprintf("%d records", n))
		}})
		done()
		if err != nil {
			if res.Records > 0 && !errors.Is(err, boltimport.ErrOtherFile) {
				fmt.Fprintf(errOut, "byokdb: %d records are durable; the same command with the same file goes on there\n", res.Records)
			}
			return fmt.Errorf("import %s: %w", file, err)
		}
		fmt.Fprintf(errOut, "%s, %s in %.2fs%s\n",
			counted(res.Buckets, "bucket", "buckets"), counted(res.Records, "record", "records"), time.Since(begin).Seconds(), resumedNote(res.Resumed))
		return nil
	})
	return errors.Join(err, src.Close())
}

// openBolt opens a bbolt file for reading. Another process that has it open for
// writing is waited for, for a second.
func openBolt(ctx context.Context, file string) (*bolt.DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	src, err := bolt.Open(file, 0, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s as a bbolt file: %w", file, err)
	}
	return src, nil
}

// resumedNote says how much an earlier import had done.
func resumedNote(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of them by an earlier import", n)
}
