package catalog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

// TestSalvageAgrees: what one reading refuses, the other has a fault for, and
// the reverse, wherever a bit is flipped or the file is cut.
func TestSalvageAgrees(t *testing.T) {
	dir := newCatalog(t)
	good, err := os.ReadFile(filepath.Join(dir, FileName))
	mustDo(t, err)
	sound, err := salvage(good)
	mustDo(t, err)
	if len(sound.Faults) != 0 || !sound.HasClear || len(sound.Records) != 45 || sound.Used < 8 || sound.Pages < sound.Used {
		t.Fatalf("%v, %d records on %d of %d pages", sound.Faults, len(sound.Records), sound.Used, sound.Pages)
	}
	seed := uint64(1)
	r := rand.New(rand.NewPCG(seed, seed))
	nFaults, nKept := 0, 0
	agree := func(what string, at int, b []byte) {
		t.Helper()
		_, strict := readBytes(b)
		s, err := salvage(b)
		switch {
		case err != nil && strict == nil, err != nil && !isTyped(err):
			t.Fatalf("%s %d: %v, but reading says %v", what, at, err, strict)
		case err != nil:
			return
		case (strict == nil) != (len(s.Faults) == 0):
			t.Fatalf("%s %d: faults %v, but reading says %v", what, at, s.Faults, strict)
		}
		for _, f := range s.Faults {
			if !errors.Is(f, ErrCorrupt) {
				t.Fatalf("%s %d: %v", what, at, f)
			}
			nFaults++
		}
		if len(s.Faults) > 0 && len(s.Records) > 30 {
			nKept++
		}
	}
	b := bytes.Clone(good)
	for at := 0; at < len(good); at += 1 + at%13 {
		bit := byte(1) << r.IntN(8)
		b[at] ^= bit
		agree("flip at", at, b)
		b[at] ^= bit
	}
	for size := 0; size < len(good); size += 1 + size%397 {
		agree("cut to", size, good[:size])
	}
	if nFaults < 500 || nKept < 200 {
		t.Errorf("%d faults, %d readings kept most records", nFaults, nKept)
	}
}

// TestSalvageGoesOn: one damaged meta page and one damaged record cost nothing else.
func TestSalvageGoesOn(t *testing.T) {
	dir := newCatalog(t)
	path := filepath.Join(dir, FileName)
	good, err := os.ReadFile(path)
	mustDo(t, err)
	b := bytes.Clone(good)
	b[pageHeaderSize] ^= 1 // page 0
	at := 0
	for i := bytes.Index(b, testManifest); i >= 0; i = bytes.Index(b[at+1:], testManifest) + at + 1 {
		if b[i+9]++; i <= at {
			break
		}
		at = i
	}
	mustDo(t, os.WriteFile(path, b, 0o600))
	if _, err := Read(vfs.OS(), dir); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	s, err := Salvage(vfs.OS(), dir)
	mustDo(t, err)
	if len(s.Faults) != 2 || !s.HasClear || s.Clear.KeyID != testClear().KeyID || len(s.Envelopes) != 2 ||
		len(s.Journal) != 40 || string(s.Guard) != "record" || s.Manifest != nil {
		t.Errorf("%v, %d records", s.Faults, len(s.Records))
	}
	release, err := Hold(vfs.OS(), dir)
	mustDo(t, err)
	release()
	mustDo(t, os.Remove(path))
	if _, err := Salvage(vfs.OS(), dir); !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
}

// TestHold: whoever verifies keeps writers out, and is kept out by them.
func TestHold(t *testing.T) {
	dir := newCatalog(t)
	one, err := Hold(vfs.OS(), dir)
	mustDo(t, err)
	two, err := Hold(vfs.OS(), dir)
	mustDo(t, err)
	if _, err := Open(vfs.OS(), dir); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	one()
	two()
	mustOpen(t, dir)
	if _, err := Hold(vfs.OS(), dir); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
}
