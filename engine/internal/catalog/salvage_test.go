package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

// agreed salvages a catalog, and says where that and a strict reading disagree.
// It returns nil where both refuse the file as a whole.
func agreed(b []byte) (*Salvaged, error) {
	_, strict := readBytes(b)
	s, err := salvage(b)
	switch {
	case err != nil && (strict == nil || !isTyped(err)):
		return nil, fmt.Errorf("%w, but reading says %w", err, strict)
	case err != nil:
		return nil, nil //nolint:nilerr,nilnil // both refuse it
	case (strict == nil) != (len(s.Faults) == 0):
		return nil, fmt.Errorf("faults %v, but reading says %w", s.Faults, strict)
	}
	for _, f := range s.Faults {
		if !errors.Is(f, ErrCorrupt) {
			return nil, fmt.Errorf("not a typed fault: %w", f)
		}
	}
	return s, nil
}

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
		s, err := agreed(b)
		if err != nil {
			t.Fatalf("%s %d: %v", what, at, err)
		}
		if s == nil {
			return
		}
		nFaults += len(s.Faults)
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

// TestCountOfZero: a page whose only element was counted away is damaged: C2.
func TestCountOfZero(t *testing.T) {
	dir := t.TempDir()
	mustDo(t, Create(vfs.OS(), dir, testClear(), testEnvelope(t, 1), testManifest, []byte("record")))
	c := mustOpen(t, dir)
	mustDo(t, c.AppendJournal(bytes.Repeat([]byte("e"), 2000))) // too large to be kept in the bucket's own page
	mustDo(t, c.Close())
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	mustDo(t, err)
	n := 0
	for p := 2 * 4096; p < len(b); p += 4096 {
		page := b[p:]
		if !bytes.Contains(page[:4096], []byte("eeee")) || binary.LittleEndian.Uint16(page[10:]) != 1 {
			continue
		}
		n++
		page[10] = 0
	}
	if n == 0 {
		t.Fatal("the entry has no page of its own")
	}
	if _, err := readBytes(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an entry was counted away: %v", err)
	}
}
