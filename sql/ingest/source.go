package ingest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// field is one named value of a record: nil, bool, int64, float64 or string.
type field struct {
	name  string
	value any
}

// record is one row of the input.
type record struct {
	fields []field
	size   int   // bytes that the values take, about
	line   int64 // the line on which the record ends, from 1
	end    int64 // offset behind the record, bytes
}

// source yields records. After an error, place says where it happened.
type source interface {
	// next returns the next record, or io.EOF behind the last one.
	next() (record, error)
	// place returns the line, from 1, and the offset in bytes, reached.
	place() (line, offset int64)
}

// sniffSize is how far newSource looks for the first byte that is not space.
const sniffSize = 4 << 10

// newSource opens r in format, which Auto finds out: '{' or '[' begins JSON,
// anything else is CSV.
func newSource(r io.Reader, format Format) (source, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(sniffSize)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read input: %w", err)
	}
	bom := []byte("\xef\xbb\xbf")
	if bytes.HasPrefix(head, bom) {
		if _, err := br.Discard(len(bom)); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		head = head[len(bom):]
	}
	first := byte(0)
	if t := bytes.TrimLeft(head, " \t\r\n"); len(t) > 0 {
		first = t[0]
	}
	if format == Auto {
		format = CSV
		if first == '{' || first == '[' || first == 0 { // nothing but space is no record either way
			format = JSON
		}
	}
	switch format {
	case CSV:
		return newCSVSource(br), nil
	case JSON:
		return newJSONSource(br, first == '['), nil
	case NDJSON:
		return newJSONSource(br, false), nil
	default:
		return nil, fmt.Errorf("%w: %q", ErrFormat, format)
	}
}

// meter counts what is read, remembers where lines end, and refuses to read
// on when one record grows beyond RecordSizeMax.
type meter struct {
	r        io.Reader
	n        int64   // bytes read
	recordAt int64   // offset at which the present record begins
	ends     []int64 // offsets behind the newlines that mark has not passed
	lines    int64   // newlines that mark has passed
	lastEnd  int64   // offset behind the last of them
}

func (m *meter) Read(p []byte) (int, error) {
	if m.n-m.recordAt > RecordSizeMax {
		return 0, fmt.Errorf("%w: above %d bytes", ErrRecordTooLarge, RecordSizeMax)
	}
	n, err := m.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			m.ends = append(m.ends, m.n+int64(i)+1)
		}
	}
	m.n += int64(n)
	return n, err
}

// mark says that the next record begins at offset, and returns the line, from
// 1, that offset is on.
func (m *meter) mark(offset int64) int64 {
	i := 0
	for i < len(m.ends) && m.ends[i] <= offset {
		i++
	}
	if i > 0 {
		m.lastEnd = m.ends[i-1]
	}
	m.ends = m.ends[:copy(m.ends, m.ends[i:])]
	m.lines += int64(i)
	m.recordAt = offset
	return m.lines + 1
}
