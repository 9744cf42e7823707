package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

func TestCopyTo(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "a.byok")
	db := openTest(t, dir, key, smallRuns())
	put := func(n int) {
		t.Helper()
		err := db.Update(func(tx *Tx) error {
			c, err := tx.CreateCollectionIfNotExists("c")
			if err != nil {
				return err
			}
			return c.Put(fmt.Appendf(nil, "k%d", n), bytes.Repeat([]byte{byte(n)}, 30<<10))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		put(n)
	}
	to := filepath.Join(t.TempDir(), "b.byok")
	report, err := db.CopyTo(t.Context(), to)
	if err != nil || report.Files == 0 || report.Verified.Segments == 0 {
		t.Fatalf("%+v: %v", report, err)
	}
	put(10)
	if _, err := db.CopyTo(t.Context(), to); !errors.Is(err, ErrExist) {
		t.Errorf("into a database: %v", err)
	}
	if _, err := db.CopyTo(t.Context(), filepath.Join(dir, "x")); !errors.Is(err, ErrOwnDirectory) {
		t.Errorf("into the database's own directory: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := filepath.Join(t.TempDir(), "never")
	if _, err := db.CopyTo(ctx, never); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
	for _, name := range []string{never, never + restoringEnd} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
	err = openTest(t, to, key, smallRuns()).View(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		if v, err := c.Get([]byte("k9")); err != nil || len(v) != 30<<10 {
			t.Errorf("k9: %d B, %v", len(v), err)
		}
		if _, err := c.Get([]byte("k10")); !errors.Is(err, ErrNotFound) {
			t.Errorf("k10, which came later: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	key.set(crypt.ClassDenied)
	if err := db.ProbeKey(t.Context()); err == nil || db.check() == nil {
		t.Fatalf("the key still answers: %v", err)
	}
	if _, err := db.CopyTo(t.Context(), never); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("without the key: %v", err)
	}
	key.set(crypt.ClassNone)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.CopyTo(t.Context(), never); !errors.Is(err, ErrClosed) {
		t.Errorf("of a database that is closed: %v", err)
	}
}
