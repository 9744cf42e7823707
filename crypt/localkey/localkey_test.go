package localkey

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

var testContext = crypt.Context{Database: crypt.ID{1, 2, 3}, Purpose: crypt.PurposeData, Epoch: 7}

func open(t *testing.T, uri string) *Provider {
	t.Helper()
	p, err := Open(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newKey(t *testing.T) (p *Provider, path string, dek *crypt.Secret, w crypt.Wrapped) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "dev.key")
	p = open(t, "local:"+path)
	dek, w, _, err := p.Generate(t.Context(), testContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dek.Wipe)
	return p, path, dek, w
}

func wantError(t *testing.T, err error, class crypt.Class, code, text string) {
	t.Helper()
	var pe *crypt.ProviderError
	if !errors.As(err, &pe) {
		t.Fatalf("got %v, want a *crypt.ProviderError", err)
	}
	if pe.Class != class || pe.Code != code || !strings.Contains(pe.Error(), text) {
		t.Fatalf("got %v (%s, %s), want %s, %s, %q", pe, pe.Class, pe.Code, class, code, text)
	}
	if whole := code == codeNotFound || code == codeWithheld; code != codeIncorrect && pe.WholeKey != whole { // incorrect is either
		t.Errorf("%v: WholeKey is %v", pe, pe.WholeKey)
	}
}

func TestRoundTrip(t *testing.T) {
	p, path, dek, w := newKey(t)
	if len(w.Bytes) != wrappedSize {
		t.Errorf("wrapped DEK of %d bytes, want %d", len(w.Bytes), wrappedSize)
	}
	if want := "local:" + w.MaterialID; p.KeyID() != want {
		t.Errorf("KeyID is %q, want %q", p.KeyID(), want)
	}
	if !p.Development() {
		t.Error("a key file is not called a development key")
	}
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	again := open(t, p.URI())
	got, r, err := again.Unwrap(t.Context(), w, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if !got.Equal(dek) {
		t.Error("Unwrap returned another DEK")
	}
	if r.MaterialID != w.MaterialID {
		t.Errorf("receipt names material %q, want %q", r.MaterialID, w.MaterialID)
	}
	anew, _, err := again.Rewrap(t.Context(), w, testContext)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(anew.Bytes, w.Bytes) {
		t.Error("Rewrap returned the same bytes")
	}
	got2, _, err := p.Unwrap(t.Context(), anew, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer got2.Wipe()
	if !got2.Equal(dek) {
		t.Error("the rewrapped DEK is another one")
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v, want 0600", st.Mode())
	}
}

func TestUnwrapRefuses(t *testing.T) {
	p, _, _, w := newKey(t)
	contexts := map[string]crypt.Context{
		"database": {Database: crypt.ID{9}, Purpose: crypt.PurposeData, Epoch: 7},
		"purpose":  {Database: testContext.Database, Purpose: "other", Epoch: 7},
		"epoch":    {Database: testContext.Database, Purpose: crypt.PurposeData, Epoch: 8},
	}
	for name, c := range contexts {
		t.Run("other "+name, func(t *testing.T) {
			_, _, err := p.Unwrap(t.Context(), w, c)
			wantError(t, err, crypt.ClassTampered, codeCiphertext, "belongs to another database")
		})
	}
	for i := range w.Bytes {
		bad := append([]byte(nil), w.Bytes...)
		bad[i] ^= 1
		_, _, err := p.Unwrap(t.Context(), crypt.Wrapped{Bytes: bad}, testContext)
		if i >= 1 && i < wrapHeader {
			wantError(t, err, crypt.ClassDenied, codeIncorrect, "another key")
		} else {
			wantError(t, err, crypt.ClassTampered, codeCiphertext, "damaged")
		}
	}
	for _, n := range []int{0, 1, wrappedSize - 1, wrappedSize + 1} {
		bad := append(append([]byte(nil), w.Bytes...), 0)[:n]
		_, _, err := p.Unwrap(t.Context(), crypt.Wrapped{Bytes: bad}, testContext)
		wantError(t, err, crypt.ClassTampered, codeCiphertext, "damaged")
	}
}

func TestMissingFileIsDeniedAndNeverMadeAgain(t *testing.T) {
	p, path, dek, w := newKey(t)
	away := path + ".away"
	if err := os.Rename(path, away); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]*Provider{"same": p, "remembered": open(t, p.URI())} {
		t.Run(name, func(t *testing.T) {
			_, _, err := q.Unwrap(t.Context(), w, testContext)
			wantError(t, err, crypt.ClassDenied, codeNotFound, "missing")
			if !errors.Is(err, fs.ErrNotExist) {
				t.Error("the cause is lost")
			}
			_, _, _, err = q.Generate(t.Context(), testContext)
			wantError(t, err, crypt.ClassDenied, codeNotFound, "missing")
			wantError(t, q.Check(t.Context()), crypt.ClassDenied, codeNotFound, "missing")
		})
	}
	fresh := open(t, "local:"+path) // not told which key
	_, _, err := fresh.Unwrap(t.Context(), w, testContext)
	wantError(t, err, crypt.ClassDenied, codeNotFound, "missing")
	if err := fresh.Check(t.Context()); err != nil {
		t.Errorf("Check before the first use: %v", err)
	}
	if there, err := exists(path); there || err != nil {
		t.Fatalf("something made the file (%v)", err)
	}
	if err := os.Rename(away, path); err != nil {
		t.Fatal(err)
	}
	got, _, err := p.Unwrap(t.Context(), w, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if !got.Equal(dek) {
		t.Error("another DEK after the file came back")
	}
}

func TestAnotherFileInItsPlace(t *testing.T) {
	p, path, _, w := newKey(t)
	_, other, _, _ := newKey(t)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.Unwrap(t.Context(), w, testContext)
	wantError(t, err, crypt.ClassDenied, codeIncorrect, "holds another key")
	_, _, _, err = p.Generate(t.Context(), testContext)
	wantError(t, err, crypt.ClassDenied, codeIncorrect, "holds another key")
	_, _, err = open(t, "local:"+path).Unwrap(t.Context(), w, testContext)
	wantError(t, err, crypt.ClassDenied, codeIncorrect, "wrapped by another key")
}

func TestMovedFileKeepsItsIdentity(t *testing.T) {
	p, path, dek, w := newKey(t)
	moved := filepath.Join(t.TempDir(), "elsewhere %?#.key")
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	q := open(t, "local:"+pathEscaper.Replace(moved))
	if q.KeyID() != p.KeyID() {
		t.Errorf("KeyID is %s after the move, was %s", q.KeyID(), p.KeyID())
	}
	got, _, err := open(t, q.URI()).Unwrap(t.Context(), w, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if !got.Equal(dek) {
		t.Error("another DEK after the move")
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows decides by access lists")
	}
	p, path, _, w := newKey(t)
	tests := []struct {
		mode  fs.FileMode
		class crypt.Class
		code  string
	}{
		{0o600, crypt.ClassNone, ""},
		{0o400, crypt.ClassNone, ""},
		{0o640, crypt.ClassCredentials, codeExposed},
		{0o604, crypt.ClassCredentials, codeExposed},
		{0o620, crypt.ClassCredentials, codeExposed},
		{0o601, crypt.ClassCredentials, codeExposed},
		{0o000, crypt.ClassDenied, codeWithheld},
		{0o200, crypt.ClassDenied, codeWithheld},
	}
	for _, tt := range tests {
		t.Run(tt.mode.String(), func(t *testing.T) {
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			dek, _, err := p.Unwrap(t.Context(), w, testContext)
			dek.Wipe()
			if tt.class == crypt.ClassNone {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, tt.class, tt.code, "chmod 600 "+path)
		})
	}
}

func TestDamagedFile(t *testing.T) {
	p, path, _, w := newKey(t)
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := p.Unwrap(t.Context(), w, testContext)
		var pe *crypt.ProviderError
		if !errors.As(err, &pe) || pe.Class != crypt.ClassTampered {
			t.Fatalf("got %v, want tampered", err)
		}
		if pe.Code != codeDamaged && pe.Code != codeTooNew {
			t.Fatalf("got code %s", pe.Code)
		}
	}
	for n := range fileSize {
		check(t, intact[:n])
	}
	check(t, append(append([]byte(nil), intact...), 0))
	for i := range intact {
		bad := append([]byte(nil), intact...)
		bad[i] ^= 1
		check(t, bad)
	}
	newer := append([]byte(magicFamily+"2\n"), intact...)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.Unwrap(t.Context(), w, testContext)
	wantError(t, err, crypt.ClassTampered, codeTooNew, "newer version")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.Unwrap(t.Context(), w, testContext)
	wantError(t, err, crypt.ClassTampered, codeDamaged, "not a regular file")
}

func TestEndedContext(t *testing.T) {
	p, _, _, w := newKey(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := p.Unwrap(ctx, w, testContext)
	wantError(t, err, crypt.ClassUnreachable, "", "canceled")
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
}

func TestGenerateInMissingDirectory(t *testing.T) {
	p := open(t, "local:"+filepath.Join(t.TempDir(), "no", "dev.key"))
	_, _, _, err := p.Generate(t.Context(), testContext)
	wantError(t, err, crypt.ClassDenied, codeNotFound, "missing")
}

func TestConcurrentFirstUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev.key")
	p := open(t, "local:"+path)
	done := make(chan error)
	const workers = 8
	for range workers {
		go func() {
			dek, _, _, err := p.Generate(context.Background(), testContext)
			dek.Wipe()
			done <- err
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

const (
	vectorID  = "1ce17f636ca39550a6dfba397b32c680"
	vectorDEK = "byokdb vector DEK, 32 bytes long"
)

// The vector is for ever: a key file and a DEK that it wrapped.
func TestVector(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "v1.key"))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := os.ReadFile(filepath.Join("testdata", "v1.wrapped.hex"))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := hex.DecodeString(strings.TrimSpace(string(blob)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "v1.key") // git does not keep mode 0600
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, "local:"+path)
	if want := "local:" + vectorID; p.KeyID() != want {
		t.Errorf("KeyID is %s, want %s", p.KeyID(), want)
	}
	dek, _, err := p.Unwrap(t.Context(), crypt.Wrapped{Bytes: wrapped}, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer dek.Wipe()
	err = dek.Use(func(b []byte) error {
		if string(b) != vectorDEK {
			t.Error("the vector unwraps to another DEK")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestParseURI(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("ab", fingerprintSize)
	tests := []struct{ uri, path, err string }{
		{"local:dev.key", filepath.Join(cwd, "dev.key"), ""},
		{"local:a/../b%20c%25", filepath.Join(cwd, "b c%"), ""},
		{"local:dev.key?id=" + id, filepath.Join(cwd, "dev.key"), ""},
		{"local:", "", "names a file"},
		{"local:?id=" + id, "", "names a file"},
		{"local:100%", "", "%25"},
		{"local:a#b", "", "%23"},
		{"local:a%00b", "", "zero byte"},
		{"local:~/dev.key", "", "~ is not expanded"},
		{"local:a?id=12", "", "32 hexadecimal digits"},
		{"local:a?id=" + id + "&id=" + id, "", "more than once"},
		{"local:a?mode=0644", "", "known: id"},
		{"local:a?%zz", "", "do not parse"},
		{"file:a", "", `begins with "local:"`},
	}
	for _, tt := range tests {
		loc, err := parseURI(tt.uri)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got error %v, want %q", tt.uri, err, tt.err)
			}
			continue
		}
		if err != nil || loc.path != tt.path {
			t.Errorf("%s: got %q, %v, want %q", tt.uri, loc.path, err, tt.path)
		}
		if again, err := parseURI(loc.uri()); err != nil || again != loc {
			t.Errorf("%s: %s parses to %+v, %v", tt.uri, loc.uri(), again, err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("local:dev.key")
	f.Add("local:a%25?id=" + strings.Repeat("0", 2*fingerprintSize))
	f.Fuzz(func(t *testing.T, uri string) {
		loc, err := parseURI(uri)
		if err != nil {
			return
		}
		again, err := parseURI(loc.uri())
		if err != nil || again != loc {
			t.Fatalf("%q → %q → %+v, %v", uri, loc.uri(), again, err)
		}
	})
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add([]byte(fileMagic + strings.Repeat("k", crypt.KeySize+fingerprintSize)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := parseKeyFile(b)
		if (err == nil) != (s != nil) {
			t.Fatal("a key and an error, or neither")
		}
		s.Wipe()
	})
}
