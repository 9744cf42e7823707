package engine

import (
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
