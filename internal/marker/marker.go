// Package marker looks for a text in bytes that must not hold it: in what a
// database writes. It finds the text and every piece of eight bytes of it, as it
// is, in reverse order, in hexadecimal and in base64. Only tests import it.
package marker

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Window is the size in bytes of the smallest piece that is found. In random
// bytes one given window turns up once in 2⁶⁴ places.
const Window = 8

// Text is a marker that no file holds by chance: no window of it is a word of
// any language, a run of one byte, or part of another window's encoding.
const Text = "q7Zk!vX2#mW9@pL4$tR8%yB3^nH6&cJ1*dF5(gS0)"

// Scanner finds one marker. Safe for concurrent use.
type Scanner struct {
	windows map[uint64]string // what the window is
	filter  [1 << 13]byte     // of the windows' low 16 bits
}

// New returns a scanner for a marker of at least [Window] bytes.
func New(marker string) *Scanner {
	s := &Scanner{windows: map[uint64]string{}}
	plain := []byte(marker)
	backwards := slices.Clone(plain)
	slices.Reverse(backwards)
	for what, b := range map[string][]byte{"plain": plain, "in reverse": backwards} {
		s.add(what, b)
		s.add(what+", hexadecimal", []byte(hex.EncodeToString(b)))
		s.add(what+", hexadecimal", []byte(strings.ToUpper(hex.EncodeToString(b))))
		for shift := range 3 { // base64 depends on where in a group of three it begins
			tail := b[shift:]
			tail = tail[:len(tail)/3*3]
			s.add(what+", base64", []byte(base64.StdEncoding.EncodeToString(tail)))
			s.add(what+", base64", []byte(base64.URLEncoding.EncodeToString(tail)))
		}
	}
	return s
}

func (s *Scanner) add(what string, b []byte) {
	for i := 0; i+Window <= len(b); i++ {
		w := binary.LittleEndian.Uint64(b[i:])
		if _, ok := s.windows[w]; !ok {
			s.windows[w] = what
		}
		s.filter[uint16(w)>>3] |= 1 << (w & 7)
	}
}

// Find returns where in b the first piece of the marker begins and what it is;
// -1 when there is none.
func (s *Scanner) Find(b []byte) (at int, what string) {
	if len(b) < Window {
		return -1, ""
	}
	w := binary.LittleEndian.Uint64(b)
	for i := Window; ; i++ {
		if s.filter[uint16(w)>>3]&(1<<(w&7)) != 0 {
			if what, ok := s.windows[w]; ok {
				return i - Window, what
			}
		}
		if i == len(b) {
			return -1, ""
		}
		w = w>>8 | uint64(b[i])<<56
	}
}

// Tree looks into every file below a directory, and into its name. It returns a
// sentence for each file that holds a piece, and how many bytes it read. Files
// that vanish meanwhile are passed over.
func (s *Scanner) Tree(dir string) (found []string, nBytes int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		if at, what := s.Find([]byte(d.Name())); at >= 0 {
			found = append(found, fmt.Sprintf("the name of %s holds the marker (%s)", path, what))
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path) //nolint:gosec // the caller's directory is the point
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		nBytes += int64(len(b))
		if at, what := s.Find(b); at >= 0 {
			found = append(found, fmt.Sprintf("%s holds the marker (%s) at offset %d", path, what, at))
		}
		return nil
	})
	return found, nBytes, err
}
