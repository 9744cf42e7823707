package fn

import (
	"strings"
	"testing"
)

// TestCountRunes compares with going character by character, whatever the bytes
// and wherever they are.
func TestCountRunes(t *testing.T) {
	for _, part := range []string{"", "a", "é", "\x80", "\xc3", "€", "\xff\xbf\xbf", "ab\x80\x80c", "𝄞x", "\x00"} {
		for before := range 18 {
			for after := range 10 {
				s := strings.Repeat("x", before) + part + strings.Repeat("y", after) + part
				want := 0
				for rest := s; rest != ""; rest = rest[skipRune(rest):] {
					want++
				}
				if got := countRunes(s); got != want {
					t.Fatalf("%q has %d characters, want %d", s, got, want)
				}
				if got, want := textLength(s), countRunes(beforeNUL(s)); got != want {
					t.Fatalf("%q has the length %d, want %d", s, got, want)
				}
			}
		}
	}
}
