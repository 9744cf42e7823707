package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/sql/ingest"
)

const shellHelp = `SQL statements end with a semicolon and may take several lines.
.schema [TABLE]            the statements that made the tables, indexes and views
.tables                    the names of tables and views
.import FILE TABLE         read JSON or CSV into a table
.status                    how the key and the database are
.help                      this text
.quit                      leave; Ctrl-D does too, Ctrl-C drops the statement
The history is kept in memory only: on disk it would be customer data in the clear.
`

func newShell() *cobra.Command {
	return &cobra.Command{
		Use:   "shell DIR",
		Short: "Ask the database interactively",
		Long:  "Ask the database interactively, or run statements from a pipe.\n\n" + shellHelp,
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return shellDir(cmd, args[0])
		},
	}
}

func shellDir(cmd *cobra.Command, dir string) error {
	errOut := cmd.ErrOrStderr()
	in, interactive := terminalFile(cmd.InOrStdin())
	out, onTerminal := terminalFile(cmd.OutOrStdout())
	interactive = interactive && onTerminal
	d, err := openDir(cmd.Context(), dir)
	if err != nil {
		return err
	}
	sh := &shell{
		d:           d,
		session:     session{db: d.sql, out: cmd.OutOrStdout(), format: "table", width: terminalWidth(cmd.OutOrStdout())},
		out:         cmd.OutOrStdout(),
		errOut:      errOut,
		interactive: interactive,
	}
	if interactive {
		err = sh.converse(cmd.Context(), in, out)
	} else {
		err = sh.pipe(cmd.Context(), cmd.InOrStdin())
	}
	return errors.Join(err, sh.session.drop(), d.Close())
}

// errQuit ends a shell.
var errQuit = errors.New("quit")

// shell runs lines: SQL, and commands that begin with a dot.
type shell struct {
	d           *database
	session     session
	split       splitter
	out, errOut io.Writer
	interactive bool
	first       error // the first error that was reported
}

// pipe runs lines from r as they arrive. Errors are reported and passed over;
// the first one decides the exit code.
func (s *shell) pipe(ctx context.Context, r io.Reader) error {
	lines := readLines(ctx, r)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case l := <-lines:
			if l.err != nil {
				if !errors.Is(l.err, io.EOF) {
					return fmt.Errorf("read statements: %w", l.err)
				}
				if last := s.split.rest(); last != "" {
					s.statement(ctx, last)
				}
				return s.verdict()
			}
			if err := s.line(ctx, l.text); err != nil {
				return s.verdict()
			}
		}
	}
}

func (s *shell) verdict() error {
	if s.first != nil {
		return reported{s.first}
	}
	return nil
}

// line runs what a line completes. Its only error is errQuit.
func (s *shell) line(ctx context.Context, text string) error {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, ".") && !s.split.open() {
		return s.command(ctx, trimmed)
	}
	for _, one := range s.split.add(text) {
		s.statement(ctx, one)
	}
	return nil
}

func (s *shell) statement(ctx context.Context, text string) {
	if s.interactive {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	o, err := s.session.run(ctx, text)
	if err != nil {
		s.report(err)
		return
	}
	if !s.interactive {
		return
	}
	switch {
	case o.shows:
		fmt.Fprintf(s.errOut, "%s in %s\n", counted(o.rows, "row", "rows"), tookText(o.took))
	case o.changed > 0:
		fmt.Fprintf(s.errOut, "%s changed in %s\n", counted(o.changed, "row", "rows"), tookText(o.took))
	default:
		fmt.Fprintf(s.errOut, "done in %s\n", tookText(o.took))
	}
}

// tookText rounds a duration to three or four digits.
func tookText(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(100 * time.Nanosecond).String()
	}
}

func (s *shell) report(err error) {
	fmt.Fprintln(s.errOut, "error: "+describe(err))
	if s.first == nil {
		s.first = err
	}
}

// command runs a line that begins with a dot. Its only error is errQuit.
func (s *shell) command(ctx context.Context, line string) error {
	words := strings.Fields(line)
	var err error
	switch words[0] {
	case ".quit", ".exit":
		return errQuit
	case ".help":
		_, err = io.WriteString(s.out, shellHelp)
	case ".status":
		r := reportOfStatus(s.d.eng.Status())
		r.Created = moment(s.d.info.Created)
		err = r.write(s.out, false)
	case ".tables":
		err = s.tables(ctx)
	case ".schema":
		err = s.schema(ctx, words[1:])
	case ".import":
		if len(words) != 3 {
			err = usagef("usage: .import FILE TABLE")
			break
		}
		err = s.load(ctx, words[1], words[2])
	default:
		err = usagef("no command is named %s; see .help", words[0])
	}
	if err != nil {
		s.report(err)
	}
	return nil
}

// names reads one text column.
func (s *shell) names(ctx context.Context, query string, args ...any) (out []string, err error) {
	rows, err := s.d.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

func (s *shell) tables(ctx context.Context) error {
	names, err := s.names(ctx, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name")
	for _, n := range names {
		fmt.Fprintln(s.out, printable(n))
	}
	return err
}

func (s *shell) schema(ctx context.Context, table []string) error {
	query := "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
	var args []any
	if len(table) > 0 {
		query += " AND tbl_name = ? COLLATE NOCASE"
		args = append(args, table[0])
	}
	texts, err := s.names(ctx, query+" ORDER BY tbl_name, type DESC, name", args...)
	for _, t := range texts {
		lines := strings.Split(strings.ReplaceAll(t, "\t", "  "), "\n")
		for i, l := range lines {
			lines[i] = printable(strings.TrimRight(l, "\r"))
		}
		fmt.Fprint(s.out, strings.Join(lines, "\n"))
		fmt.Fprintln(s.out, ";")
	}
	return err
}

// load ingests a file.
func (s *shell) load(ctx context.Context, file, table string) (err error) {
	f, err := os.Open(file) //nolint:gosec // the caller names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	res, err := ingest.Ingest(ctx, s.d.sql, table, f, ingest.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.errOut, "%s into %s%s\n", counted(res.Rows, "row", "rows"), printable(table), tableNote(res))
	return nil
}
