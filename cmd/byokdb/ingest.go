package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/sql/ingest"
)

func newIngest() *cobra.Command {
	var format string
	var o ingest.Options
	cmd := &cobra.Command{
		Use:   "ingest DIR COLLECTION [FILE|-]",
		Short: "Read JSON or CSV into a table",
		Long: `Read records from FILE, or standard input, into the table COLLECTION. The table is
made from the data when it is absent and widened when new fields come. Each batch
is one durable transaction; after an interruption the message says how far it got,
and --skip goes on from there.`,
		Example: "  go list -json std | byokdb ingest go.byok packages -\n" +
			"  byokdb ingest orders.byok orders orders.csv",
		Args: rangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch o.Format = ingest.Format(format); o.Format {
			case ingest.Auto, ingest.NDJSON, ingest.JSON, ingest.CSV:
			default:
				return usagef("--format is auto, ndjson, json or csv, not %q", format)
			}
			if o.BatchRows < 0 || o.Skip < 0 {
				return usagef("--batch-rows and --skip cannot be negative")
			}
			file := "-"
			if len(args) == 3 {
				file = args[2]
			}
			return withInput(cmd, file, func(r io.Reader, size int64) error {
				return withDatabase(cmd.Context(), args[0], func(d *database) error {
					return ingestInto(cmd, d, args[1], r, size, o)
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "auto", "how the input is written: auto, ndjson, json or csv")
	f.IntVar(&o.BatchRows, "batch-rows", 0, "rows in one durable transaction (default 1000)")
	f.Int64Var(&o.Skip, "skip", 0, "records to leave out at the start")
	return cmd
}

// withInput opens a file, or standard input for "-", and passes it on with
// its size in bytes, 0 when that is not known.
func withInput(cmd *cobra.Command, file string, fn func(r io.Reader, size int64) error) (err error) {
	if file == "-" {
		return fn(cmd.InOrStdin(), 0)
	}
	f, err := os.Open(file) //nolint:gosec // the caller names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := int64(0)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return fn(f, size)
}

func ingestInto(cmd *cobra.Command, d *database, table string, r io.Reader, size int64, o ingest.Options) error {
	begin := time.Now()
	errOut := cmd.ErrOrStderr()
	_, onTerminal := terminalFile(errOut)
	if onTerminal {
		o.Progress = func(rows, bytes int64) {
			fmt.Fprintf(errOut, "\r\x1b[K%s", progressLine(rows, bytes, size, time.Since(begin)))
		}
	}
	res, err := ingest.Ingest(cmd.Context(), d.sql, table, interruptible(cmd.Context(), r), o)
	if onTerminal {
		fmt.Fprint(errOut, "\r\x1b[K")
	}
	if err != nil {
		if e, ok := errors.AsType[*ingest.Error](err); ok && e.Skip > 0 {
			fmt.Fprintf(errOut, "byokdb: the same command with --skip %d goes on behind the last durable row\n", e.Skip)
		}
		return err
	}
	took := time.Since(begin)
	fmt.Fprintf(errOut, "%d rows into %s in %.2fs (%.0f rows/s), %s%s\n",
		res.Rows, printable(table), took.Seconds(), float64(res.Rows)/took.Seconds(), counted(res.Batches, "batch", "batches"), tableNote(res))
	return nil
}

// tableNote says whether the table was made or widened.
func tableNote(res ingest.Result) string {
	switch {
	case res.Created:
		return "; table made"
	case len(res.AddedColumns) > 0:
		return fmt.Sprintf("; %s added", counted(int64(len(res.AddedColumns)), "column", "columns"))
	default:
		return ""
	}
}

// counted writes a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// progressLine says how far an ingestion has got; size is 0 when not known.
func progressLine(rows, bytes, size int64, took time.Duration) string {
	rate := float64(rows) / max(took.Seconds(), 0.001)
	line := fmt.Sprintf("%d rows, %s, %.0f rows/s", rows, sizeText(bytes), rate)
	return progressBar(bytes, size) + line
}

// progressBar draws how much of size is done, nothing when size is not known.
func progressBar(done, size int64) string {
	if size <= 0 {
		return ""
	}
	const cells = 24
	full := int(min(done, size) * cells / size)
	bar := make([]rune, cells)
	for i := range bar {
		bar[i] = '░'
		if i < full {
			bar[i] = '█'
		}
	}
	return fmt.Sprintf("%s %3d%%  ", string(bar), min(done, size)*100/size)
}

// sizeText writes a size for a person.
func sizeText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 3 {
		f /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[i])
}

// interruptible makes reads of r end when ctx does, also while r blocks. The
// goroutine of a read that blocks stays until the process ends.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		_ = pw.CloseWithError(err) // nil is io.EOF; the call never fails
	}()
	context.AfterFunc(ctx, func() { _ = pr.CloseWithError(context.Cause(ctx)) })
	return pr
}
