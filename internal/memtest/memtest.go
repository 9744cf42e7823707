// Package memtest fills a database with marked rows in every way in which a
// program can, so that a search of the process's memory from outside can tell
// whether anything of them is left after a pause or Close.
//
// It is for tests alone. The command in cmd is the program that is searched;
// the search is in the tests of this package.
package memtest

import (
	"encoding/hex"
	"errors"
	"strconv"
)

// A Kind of rows, each with a mark of its own.
type Kind int

// The kinds.
const (
	KVKey         Kind = iota // keys of records
	KVValue                   // values of records
	LargeValue                // values of 100 KiB and 3 MiB
	BulkRow                   // keys and values that were loaded sorted
	Collection                // the name of a collection
	Table                     // the name of a table
	SQLText                   // a column, by parameter
	SQLBlob                   // a column, by parameter
	SQLLiteral                // a column, by a literal in a statement
	SQLQuery                  // a literal in a query
	SQLError                  // a value in a statement that fails
	JSONText                  // inside JSON in a column
	NDJSONField               // ingested
	CSVField                  // ingested
	HeldStatement             // a literal in a statement that the program keeps prepared
	ShortText                 // a column of 16 bytes at most, by parameter: the runtime packs such objects
	NKinds
)

var kindNames = [NKinds]string{
	"key", "value", "large value", "bulk row", "collection", "table", "SQL text", "SQL blob", "SQL literal",
	"literal of a query", "value in an error", "JSON", "NDJSON", "CSV", "statement held", "short text",
}

// String names the kind.
func (k Kind) String() string { return kindNames[k] }

// MarkSize is the size of a mark in bytes: lower-case letters and digits.
const MarkSize = 24

// shortSize is the size of the mark of ShortText, which leaves five digits.
const shortSize = 11

// size is how many bytes of its mark a kind uses.
func (k Kind) size() int {
	if k == ShortText {
		return shortSize
	}
	return MarkSize
}

// mask keeps the marks themselves out of the program's memory.
const mask = 0xa5

// Marks are the marks of all kinds, masked, so that they are not found.
type Marks [NKinds][MarkSize]byte

// ParseMarks reads what MaskHex has written.
func ParseMarks(text string) (*Marks, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != int(NKinds)*MarkSize {
		return nil, errors.New("marks have another size")
	}
	var m Marks
	for k := range m {
		copy(m[k][:], b[k*MarkSize:])
	}
	return &m, nil
}

// MaskHex writes marks, masked.
func MaskHex(marks [NKinds]string) string {
	var b []byte
	for _, m := range marks {
		for i := range MarkSize {
			b = append(b, m[i]^mask)
		}
	}
	return hex.EncodeToString(b)
}

// Append appends the mark of a kind.
func (m *Marks) Append(dst []byte, k Kind) []byte {
	for _, c := range m[k][:k.size()] {
		dst = append(dst, c^mask)
	}
	return dst
}

// Text returns the mark and a number.
func (m *Marks) Text(k Kind, n int) string { return string(m.Bytes(k, n)) }

// Bytes is Text as bytes.
func (m *Marks) Bytes(k Kind, n int) []byte {
	return strconv.AppendInt(m.Append(nil, k), int64(n), 10)
}

// Key returns the mark and a number of eight digits, so that keys are in order.
func (m *Marks) Key(k Kind, n int) []byte {
	b := m.Append(nil, k)
	for d := 10_000_000; d > 0; d /= 10 {
		b = append(b, '0'+byte(n/d%10))
	}
	return b
}

// Large returns a value of so many bytes that is full of the mark.
func (m *Marks) Large(k Kind, size int) []byte {
	b := make([]byte, 0, size+MarkSize+20)
	for n := 0; len(b) < size; n++ {
		b = strconv.AppendInt(m.Append(b, k), int64(n), 10)
	}
	return b[:size]
}
