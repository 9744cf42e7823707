package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/term"
)

const (
	promptNew  = "byokdb> "
	promptMore = "   ...> "
)

// interruptByte is what a terminal in raw mode sends for Ctrl-C.
const interruptByte = 3

// tty joins the terminal's two directions and remembers the last byte read,
// which tells Ctrl-C from the end of the input.
type tty struct {
	in, out *os.File
	last    byte
}

func (t *tty) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	if n > 0 {
		t.last = p[n-1]
	}
	return n, err
}

func (t *tty) Write(p []byte) (int, error) { return t.out.Write(p) }

// converse reads lines from a terminal. It is in raw mode only while a line
// is edited, so that Ctrl-C interrupts a statement that runs.
func (s *shell) converse(ctx context.Context, in, out *os.File) error {
	fmt.Fprintf(s.errOut, "byokdb %s, key %s\n.help for help, .quit to leave\n",
		version(), keyLabel(s.d.key.KeyID(), s.d.key.Development()))
	// Ctrl-C ends a statement, not the shell: only SIGTERM does.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM)
	defer stop()
	t := &tty{in: in, out: out}
	names := s.completions(ctx)
	newEditor := func() *term.Terminal {
		e := term.NewTerminal(t, promptNew)
		e.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
			if key != '\t' {
				return "", 0, false
			}
			return complete(names, line, pos)
		}
		return e
	}
	editor := newEditor()
	for {
		prompt := promptNew
		if s.split.open() {
			prompt = promptMore
		}
		editor.SetPrompt(prompt)
		line, err := readEdited(ctx, editor, t)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF) && t.last == interruptByte:
			s.split.rest()
			history := editor.History
			editor = newEditor() // the old one would return the same Ctrl-C for ever
			editor.History = history
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, term.ErrPasteIndicator):
			return fmt.Errorf("read line: %w", err)
		}
		if err := s.line(ctx, line+"\n"); err != nil {
			return nil // errQuit is how a shell ends
		}
		if !s.split.open() {
			names = s.completions(ctx)
		}
	}
}

// readEdited reads one line with the terminal in raw mode. When ctx ends
// first, the goroutine that reads stays until the process ends.
func readEdited(ctx context.Context, editor *term.Terminal, t *tty) (line string, err error) {
	fd := int(t.in.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, term.Restore(fd, state))
		if err != nil {
			fmt.Fprintln(t.out)
		}
	}()
	if w, h, sizeErr := term.GetSize(int(t.out.Fd())); sizeErr == nil && w > 0 {
		if err := editor.SetSize(w, h); err != nil {
			return "", err
		}
	}
	read := make(chan inputLine, 1)
	go func() {
		text, err := editor.ReadLine()
		read <- inputLine{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case l := <-read:
		return l.text, l.err
	}
}

// keywords are completed beside the names of the schema.
var keywords = strings.Fields(`ALTER AND AS ASC BEGIN BETWEEN BY CASE COMMIT COUNT CREATE DELETE DESC DISTINCT DROP ELSE
	END EXISTS EXPLAIN FROM GROUP HAVING IN INDEX INNER INSERT INTO IS JOIN LEFT LIKE LIMIT NOT NULL OFFSET ON OR ORDER
	ROLLBACK SELECT SET TABLE THEN UNION UPDATE VALUES VIEW WHEN WHERE WITH
	.exit .help .import .quit .schema .status .tables`)

// completions returns the words that Tab completes: keywords, and the names of
// tables and their columns. Without the key there are only keywords.
func (s *shell) completions(ctx context.Context) []string {
	words := slices.Clone(keywords)
	tables, err := s.names(ctx, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
	if err != nil {
		return words
	}
	for _, t := range tables {
		words = append(words, t)
		rows, err := s.d.sql.QueryContext(ctx, `SELECT * FROM "`+strings.ReplaceAll(t, `"`, `""`)+`" LIMIT 0`) //nolint:gosec // the name is quoted
		if err != nil {
			continue
		}
		columns, err := rows.Columns()
		if err == nil {
			words = append(words, columns...)
		}
		if rows.Close() != nil {
			return words
		}
	}
	sort.Strings(words)
	return slices.Compact(words)
}

// complete extends the word before pos as far as the words that begin with it
// agree. A keyword takes the case of what was typed.
func complete(words []string, line string, pos int) (string, int, bool) {
	begin := pos
	for begin > 0 && (isWordByte(line[begin-1]) || line[begin-1] == '.' && begin == 1) {
		begin--
	}
	typed := line[begin:pos]
	if typed == "" {
		return "", 0, false
	}
	var match []string
	for _, w := range words {
		if len(w) >= len(typed) && strings.EqualFold(w[:len(typed)], typed) {
			match = append(match, w)
		}
	}
	if len(match) == 0 {
		return "", 0, false
	}
	word := match[0]
	for _, m := range match[1:] {
		n := 0
		for n < len(word) && n < len(m) && strings.EqualFold(word[n:n+1], m[n:n+1]) {
			n++
		}
		word = word[:n]
	}
	if slices.Contains(keywords, match[0]) && typed == strings.ToLower(typed) {
		word = strings.ToLower(word)
	}
	if len(match) == 1 {
		word += " "
	}
	return line[:begin] + word + line[pos:], begin + len(word), true
}
