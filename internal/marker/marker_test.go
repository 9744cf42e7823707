package marker

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFindsWhatIsPlanted plants each form at each place.
func TestFindsWhatIsPlanted(t *testing.T) {
	s := New(Text)
	backwards := []byte(Text)
	slices.Reverse(backwards)
	noise := make([]byte, 1<<20)
	rand.Read(noise)
	if at, what := s.Find(noise); at >= 0 {
		t.Fatalf("found in noise: %s at %d", what, at)
	}
	for what, form := range map[string]string{
		"plain": Text, "in reverse": string(backwards),
		"hexadecimal": hex.EncodeToString([]byte(Text)), "upper case": strings.ToUpper(hex.EncodeToString([]byte(Text))),
		"base64, shift 0": base64.StdEncoding.EncodeToString([]byte(Text)),
		"base64, shift 1": base64.StdEncoding.EncodeToString([]byte("x" + Text)),
		"base64, shift 2": base64.URLEncoding.EncodeToString([]byte("xy" + Text)),
	} {
		if at, _ := s.Find([]byte("..." + form + "...")); at < 3 || at > 7 {
			t.Errorf("%s: found at %d", what, at)
		}
	}
	for from := 0; from+Window <= len(Text); from++ { // every window, at every place
		for _, at := range []int{0, 1, 7, 8, 100, 1000 - Window} {
			b := bytes.Repeat([]byte{0xee}, 1000)
			copy(b[at:], Text[from:from+Window])
			if got, _ := s.Find(b); got != at {
				t.Errorf("window %d at %d: found at %d", from, at, got)
			}
		}
	}
	for n := range Window {
		if at, _ := s.Find([]byte(Text[:n])); at >= 0 {
			t.Errorf("%d bytes are enough", n)
		}
	}
}

func TestTree(t *testing.T) {
	dir, s := t.TempDir(), New(Text)
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a/b/clean", "nothing")
	if found, n, err := s.Tree(dir); len(found) > 0 || n != 7 || err != nil {
		t.Errorf("%q, %d bytes, %v", found, n, err)
	}
	write("a/b/planted", "so"+Text[3:20])
	write("a/"+base64.RawURLEncoding.EncodeToString([]byte(Text)), "")
	if found, _, err := s.Tree(dir); len(found) != 2 || err != nil {
		t.Errorf("%q, %v", found, err)
	}
}
