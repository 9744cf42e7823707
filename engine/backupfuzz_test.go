package engine

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

// FuzzPosition reads the text form; what is read is written as it was.
func FuzzPosition(f *testing.F) {
	f.Add([]byte(Position{Database: crypt.ID{1}, Generation: 2, Frame: 3, Commit: 4}.String()))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Position
		if err := p.UnmarshalText(text); err != nil {
			if !p.IsZero() {
				t.Fatal("a failure changed the position")
			}
			return
		}
		if again := p.String(); again != string(text) && !p.IsZero() {
			t.Fatalf("%q became %q", text, again)
		}
	})
}

// FuzzBackupIndex reads what a backup says of itself: marker and index. What is
// read is written as it was, and names no file outside of the database.
func FuzzBackupIndex(f *testing.F) {
	b, err := newMarker(crypt.ID{1}).marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMarker(b, "where"); err == nil {
			if again, err := m.marshal(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("marker %q became %q, %v", b, again, err)
			}
		} else if !errors.Is(err, ErrNotBackup) && !errors.Is(err, ErrTooNew) && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("untyped error of the marker: %v", err)
		}
		x, err := parseIndex(b, "where")
		if err != nil {
			if !errors.Is(err, ErrTooNew) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("untyped error of the index: %v", err)
			}
			return
		}
		for _, file := range x.Files {
			if strings.Contains(file.Name, "..") || strings.HasPrefix(file.Name, "/") || strings.ContainsAny(file.Pool, `/\`) {
				t.Fatalf("a file %q, kept as %q", file.Name, file.Pool)
			}
		}
	})
}
