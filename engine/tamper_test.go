package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

// sound makes a closed database with runs, a log and a catalog, and returns its
// directory and key.
func sound(t *testing.T) (dir string, key *fakeKey) {
	t.Helper()
	dir, key = filepath.Join(t.TempDir(), "s.byok"), newFakeKey("k")
	db, err := Open(t.Context(), dir, key, &Options{MemtableSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		put(t, db, "c", "k", strings.Repeat("v", 3000))
	}
	put(t, db, "c", "last", "in the log")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, key
}

// openAndVerify opens a copy whose file was changed, and reads all of it.
func openAndVerify(t *testing.T, dir string, key crypt.Provider) error {
	t.Helper()
	db, err := Open(t.Context(), dir, key, &Options{MustExist: true, scrub: noScrub})
	if err != nil {
		return err
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := db.Verify(t.Context()); err != nil {
		return err
	}
	mustGet(t, db, "c", "last", "in the log")
	mustGet(t, db, "c", "k", strings.Repeat("v", 3000))
	return nil
}

// TestFlippedBits flips one bit at a time, all over every file. In a run it must
// be noticed everywhere; in the log there is padding between frames, in the
// catalog there are bytes that nothing uses: there the database must be whole.
func TestFlippedBits(t *testing.T) {
	dir, key := sound(t)
	for _, c := range []struct {
		pattern string
		sealed  bool
	}{{"catalog.bolt", false}, {"wal/*.wal", false}, {"runs/*.run", true}} {
		t.Run(c.pattern, func(t *testing.T) {
			paths, err := filepath.Glob(filepath.Join(dir, c.pattern))
			if err != nil || len(paths) == 0 {
				t.Fatal(paths, err)
			}
			path := paths[len(paths)-1]
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			noticed, n := 0, 60
			for i := range n {
				bad := append([]byte(nil), good...)
				at := i * (len(bad) - 1) / (n - 1)
				bad[at] ^= 1 << (i % 8)
				if err := os.WriteFile(path, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				copied := filepath.Join(t.TempDir(), "copy.byok")
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				err := openAndVerify(t, copied, key)
				switch {
				case errors.Is(err, ErrCorrupt):
					noticed++
				case err != nil:
					t.Errorf("byte %d of %d: %v", at, len(bad), err)
				case c.sealed:
					t.Errorf("byte %d of %d was changed unnoticed", at, len(bad))
				}
			}
			if noticed == 0 {
				t.Error("nothing was noticed")
			}
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := openAndVerify(t, dir, key); err != nil {
		t.Errorf("the undamaged database: %v", err)
	}
}

func TestMissingAndForeignFiles(t *testing.T) {
	dir, key := sound(t)
	other, _ := sound(t)
	for _, pattern := range []string{"wal/*.wal", "runs/*.run"} {
		for _, foreign := range []bool{false, true} {
			copied := filepath.Join(t.TempDir(), "copy.byok")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			paths, err := filepath.Glob(filepath.Join(copied, pattern))
			if err != nil || len(paths) == 0 {
				t.Fatal(paths, err)
			}
			if err := os.Remove(paths[0]); err != nil {
				t.Fatal(err)
			}
			if foreign {
				from, err := filepath.Glob(filepath.Join(other, pattern))
				if err != nil || len(from) == 0 {
					t.Fatal(from, err)
				}
				b, err := os.ReadFile(from[0])
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(paths[0], b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := openAndVerify(t, copied, key); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, foreign %t: %v", pattern, foreign, err)
			}
		}
	}
}

// TestRefusalKeepsRuns: an older catalog among newer files is refused, and costs
// none of them: with the right catalog back everything is there.
func TestRefusalKeepsRuns(t *testing.T) {
	dir, key := sound(t)
	path := filepath.Join(dir, "catalog.bolt")
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir, key, &Options{MemtableSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		put(t, db, "c", string(rune('A'+i)), strings.Repeat("w", 3000))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	newer, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openAndVerify(t, dir, key); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("an older catalog: %v", err)
	}
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openAndVerify(t, dir, key); err != nil {
		t.Fatalf("the right catalog is back: %v", err)
	}
}
