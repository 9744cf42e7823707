package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newExec() *cobra.Command {
	var format string
	var keepGoing bool
	cmd := &cobra.Command{
		Use:   "exec DIR SQL…",
		Short: "Run SQL statements and write their rows",
		Long: `Run SQL statements, each argument one or more of them, on one connection.
With - the statements come from standard input and run one by one as they arrive.
The first error ends the command; with --keep-going it is reported and the next
statement runs.`,
		Example: "  byokdb exec orders.byok --format csv 'select count(*) from orders'\n" +
			"  byokdb exec orders.byok - < schema.sql",
		Args: rangeArgs(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := newRenderer(format, io.Discard, 0); err != nil {
				return err
			}
			ctx := cmd.Context()
			return withDatabase(ctx, args[0], func(d *database) error {
				e := &executor{
					session:   session{db: d.sql, out: cmd.OutOrStdout(), format: format, width: terminalWidth(cmd.OutOrStdout())},
					errOut:    cmd.ErrOrStderr(),
					keepGoing: keepGoing,
				}
				err := e.all(ctx, args[1:], cmd.InOrStdin())
				return errors.Join(err, e.session.drop())
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "how rows are written: "+formats)
	cmd.Flags().BoolVar(&keepGoing, "keep-going", false, "report the error of a statement and go on with the next")
	return cmd
}

// executor runs statements from arguments and standard input.
type executor struct {
	session   session
	errOut    io.Writer
	keepGoing bool
	first     error // the first error that was reported and passed over
}

// all runs every argument. Its error is the first one, marked as reported
// when it was printed here.
func (e *executor) all(ctx context.Context, args []string, stdin io.Reader) error {
	for _, arg := range args {
		var err error
		if arg == "-" {
			err = e.stream(ctx, stdin)
		} else {
			err = e.each(ctx, splitAll(arg))
		}
		if err != nil {
			return err
		}
	}
	if e.first != nil {
		return reported{e.first}
	}
	return nil
}

// stream runs statements from r as they arrive.
func (e *executor) stream(ctx context.Context, r io.Reader) error {
	var s splitter
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
				if last := s.rest(); last != "" {
					return e.each(ctx, []string{last})
				}
				return nil
			}
			if err := e.each(ctx, s.add(l.text)); err != nil {
				return err
			}
		}
	}
}

func (e *executor) each(ctx context.Context, statements []string) error {
	for _, text := range statements {
		_, err := e.session.run(ctx, text)
		if err == nil {
			continue
		}
		if !e.keepGoing || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(e.errOut, "byokdb: "+describe(err))
		if e.first == nil {
			e.first = err
		}
	}
	return nil
}

// inputLine is a line with its newline, or the error that ended the input.
type inputLine struct {
	text string
	err  error
}

// readLines reads r line by line until it ends or ctx does. A read that
// blocks, as on a terminal, cannot be ended: the goroutine then stays until
// the process ends.
func readLines(ctx context.Context, r io.Reader) <-chan inputLine {
	ch := make(chan inputLine)
	go func() {
		br := bufio.NewReader(r)
		for {
			text, err := br.ReadString('\n')
			if text != "" {
				select {
				case ch <- inputLine{text: text}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				select {
				case ch <- inputLine{err: err}:
				case <-ctx.Done():
				}
				return
			}
		}
	}()
	return ch
}
