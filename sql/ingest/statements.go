package ingest

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// StatementSizeMax bounds one statement of a dump, bytes: room for the largest
// value as a blob literal.
const StatementSizeMax = 160 << 20

// statementReader cuts SQL text into statements as it is read. A statement ends
// at a semicolon outside of quotes, comments and the body of a trigger.
type statementReader struct {
	r      *bufio.Reader
	sum    hash.Hash // of all bytes up to offset
	offset int64     // behind the last statement
	line   int64     // that the last statement begins on, from 1
	lines  int64     // newlines passed
	max    int       // bytes of one statement

	text    []byte
	began   bool     // something that is neither blank nor comment was seen
	word    []byte   // the word being read, in upper case
	words   []string // the first words of the statement
	trigger bool
	depth   int // BEGIN and CASE without their END, in a trigger
	body    bool
}

func newStatementReader(r io.Reader) *statementReader {
	return &statementReader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New(), max: StatementSizeMax}
}

// skip passes over n bytes that were read before; sum then says whether they are
// the same.
func (s *statementReader) skip(n int64) error {
	counter := &lineCounter{}
	got, err := io.CopyN(io.MultiWriter(s.sum, counter), s.r, n)
	s.offset += got
	s.lines += counter.n
	return err
}

type lineCounter struct{ n int64 }

func (c *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.n++
		}
	}
	return len(p), nil
}

// next returns the next statement with its semicolon, valid until the next call;
// io.EOF when nothing but blanks and comments is left.
func (s *statementReader) next() ([]byte, error) {
	s.text, s.words, s.word = s.text[:0], s.words[:0], s.word[:0]
	s.began, s.trigger, s.body, s.depth = false, false, false, 0
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return nil, s.ended(err)
		}
		if err := s.take(c); err != nil {
			return nil, err
		}
		done, err := s.code(c)
		if err != nil {
			return nil, s.ended(err)
		}
		if !done {
			continue
		}
		s.pass()
		if s.began {
			return s.text, nil
		}
		s.text = s.text[:0] // a semicolon alone
	}
}

// pass counts the text as read.
func (s *statementReader) pass() {
	_, _ = s.sum.Write(s.text) // a hash never fails
	s.offset += int64(len(s.text))
}

func (s *statementReader) take(c byte) error {
	if len(s.text) >= s.max {
		return fmt.Errorf("%w: a statement above %d bytes", ErrRecordTooLarge, s.max)
	}
	s.text = append(s.text, c)
	if c == '\n' {
		s.lines++
	}
	return nil
}

// ended turns the end of the input into the error that it is.
func (s *statementReader) ended(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read input: %w", err)
	case s.began:
		return fmt.Errorf("%w: the input ends inside a statement: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	s.pass()
	return io.EOF
}

// code takes a byte outside of quotes and comments and what belongs to it; true:
// it ended the statement.
func (s *statementReader) code(c byte) (bool, error) {
	if isWordByte(c) {
		s.begin()
		if len(s.word) < 16 {
			s.word = append(s.word, upper(c))
		}
		return false, nil
	}
	s.endWord()
	switch c {
	case ' ', '\t', '\n', '\r', '\f':
		return false, nil
	case '\'', '"', '`':
		s.begin()
		return false, s.until(c)
	case '[':
		s.begin()
		return false, s.until(']')
	case '-', '/':
		return false, s.comment(c)
	case ';':
		return !s.trigger || s.body && s.depth <= 0, nil
	}
	s.begin()
	return false, nil
}

func (s *statementReader) begin() {
	if !s.began {
		s.began, s.line = true, s.lines+1
	}
}

// until takes everything up to c.
func (s *statementReader) until(c byte) error {
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		if err := s.take(b); err != nil {
			return err
		}
		if b == c {
			return nil
		}
	}
}

// comment takes a comment if one begins with c.
func (s *statementReader) comment(c byte) error {
	next, err := s.r.Peek(1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case err == nil && c == '-' && next[0] == '-':
		if err := s.until('\n'); !errors.Is(err, io.EOF) {
			return err
		}
		return nil // it may be the last line
	case err == nil && c == '/' && next[0] == '*':
		if err := s.until('*'); err != nil {
			return err
		}
		for {
			if err := s.until('*'); err != nil {
				return err
			}
			if next, err := s.r.Peek(1); err == nil && next[0] == '/' {
				return s.until('/')
			}
		}
	}
	s.begin()
	return nil
}

// endWord looks at a word that is complete: it may make the statement a trigger,
// or belong to the body of one.
func (s *statementReader) endWord() {
	if len(s.word) == 0 {
		return
	}
	word := string(s.word)
	s.word = s.word[:0]
	if len(s.words) < 3 {
		s.words = append(s.words, word)
		s.trigger = s.trigger || s.words[0] == "CREATE" && word == "TRIGGER"
		return
	}
	if !s.trigger {
		return
	}
	switch word {
	case "BEGIN":
		s.body = true
		s.depth++
	case "CASE":
		s.depth++
	case "END":
		s.depth--
	}
}

// kind returns the first words of the statement, in upper case.
func (s *statementReader) kind() string { return strings.Join(s.words, " ") }

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}
