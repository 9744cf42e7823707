package pager

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// victim is a small run with pages of every kind, and a copy to damage.
type victim struct {
	*fixture
	entries []entry
	info    Info
	path    string
	sound   []byte
	n       int
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{fixture: newFixture(t, CacheBudgetMin)}
	for i := range 30 {
		value := bytes.Repeat([]byte{byte(i)}, 300)
		switch i {
		case 7:
			value = bytes.Repeat([]byte("large "), 400)
		case 8:
			value = nil
		}
		kind := Put
		if value == nil {
			kind = Tombstone
		}
		v.entries = append(v.entries, entry{fmt.Appendf(nil, "key %03d", i), kind, value})
	}
	cfg := v.config(PageSizeMin, S2)
	v.info = v.build(t, cfg, v.entries)
	v.path = cfg.Path
	var err error
	if v.sound, err = os.ReadFile(cfg.Path); err != nil {
		t.Fatal(err)
	}
	if err := v.read(t, v.sound); err != nil {
		t.Fatal("the sound file:", err)
	}
	return v
}

// read opens a file with these bytes and reads everything in every way. Data
// that differ from what was written fail the test; it returns the first error.
func (v *victim) read(t *testing.T, data []byte) error {
	t.Helper()
	v.n++
	path := filepath.Join(v.dir, fmt.Sprintf("damaged-%d", v.n))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}()
	return v.readFile(t, path)
}

func (v *victim) readFile(t *testing.T, path string) error {
	t.Helper()
	r, err := OpenRun(v.runConfig(path, v.info))
	if err != nil {
		return err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, verr := r.Verify(context.Background(), nil)
	it := r.NewIter()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err != nil {
			break
		}
		e := v.entries[n]
		if !bytes.Equal(it.Key(), e.key) || it.Kind() != e.kind || !bytes.Equal(value, e.value) {
			t.Fatalf("entry %d reads differently and without an error", n)
		}
		n++
	}
	iterr := it.Close()
	if iterr == nil && n != len(v.entries) {
		t.Fatalf("%d entries of %d without an error", n, len(v.entries))
	}
	var geterr error
	for i, e := range v.entries {
		value, kind, found, err := r.Get(nil, e.key)
		switch {
		case err != nil:
			geterr = err
		case !found || kind != e.kind || !bytes.Equal(value, e.value):
			t.Fatalf("get of entry %d: wrong and without an error", i)
		}
	}
	if verr == nil && (iterr != nil || geterr != nil) {
		t.Fatalf("verify found nothing, reading found %v, %v", iterr, geterr)
	}
	return verr
}

func wantPageError(t *testing.T, what string, err error, is ...error) {
	t.Helper()
	var pe *PageError
	if !errors.As(err, &pe) || pe.Path == "" || pe.Op == "" {
		t.Fatalf("%s: %v is no *PageError", what, err)
	}
	for _, target := range is {
		if !errors.Is(err, target) {
			t.Fatalf("%s: %v, want %v", what, err, target)
		}
	}
	if errors.Is(err, ErrCorrupt) != slices.Contains(is, ErrCorrupt) && !slices.Contains(is, ErrMismatch) {
		t.Fatalf("%s: %v: ErrCorrupt %v", what, err, errors.Is(err, ErrCorrupt))
	}
}

// R1, R4, R5: every single flipped bit is found.
func TestTamperBits(t *testing.T) {
	v := newVictim(t)
	for i := range v.sound {
		bits := []byte{1 << (i % 8)} // one bit of a byte: GCM does not care which
		if i < headerSize || i >= len(v.sound)-trailerSealedSize {
			bits = []byte{1, 2, 4, 8, 16, 32, 64, 128}
		}
		for _, bit := range bits {
			data := bytes.Clone(v.sound)
			data[i] ^= bit
			err := v.read(t, data)
			what := fmt.Sprintf("byte %d bit %#x", i, bit)
			switch {
			case i < len(headerMagic):
				wantPageError(t, what, err, ErrNotRun)
			case i < headerSize:
				wantPageError(t, what, err, ErrCorrupt)
				if errors.Is(err, crypt.ErrAuth) || errors.Is(err, crypt.ErrWrongKey) {
					t.Fatalf("%s: %v blames the key", what, err)
				}
			default:
				wantPageError(t, what, err, ErrCorrupt, crypt.ErrAuth)
			}
		}
	}
}

// R5: cut at every byte, extended by one or many.
func TestTamperSize(t *testing.T) {
	v := newVictim(t)
	for n := range v.sound {
		err := v.read(t, v.sound[:n])
		if n < len(headerMagic) {
			wantPageError(t, fmt.Sprintf("cut to %d", n), err, ErrNotRun)
		} else {
			wantPageError(t, fmt.Sprintf("cut to %d", n), err, ErrCorrupt)
		}
	}
	for _, more := range [][]byte{{0}, make([]byte, 4096), v.sound[len(v.sound)-trailerSealedSize:], v.sound} {
		err := v.read(t, append(bytes.Clone(v.sound), more...))
		wantPageError(t, fmt.Sprintf("%d bytes more", len(more)), err, ErrCorrupt, crypt.ErrAuth)
	}
}

// pages returns the places of all pages of a run.
func pages(t *testing.T, r *Run) []ref {
	t.Helper()
	v := &verifier{r: r, ctx: t.Context()}
	defer v.free()
	if err := v.run(); err != nil {
		t.Fatal(err)
	}
	if len(v.extents) < 6 {
		t.Fatalf("only %d pages", len(v.extents))
	}
	return v.extents
}

// R4: pages swapped within a file, put into another file at the same place,
// replayed from another run with the same contents.
func TestTamperPages(t *testing.T) {
	v := newVictim(t)
	r := v.open(t, v.path, v.info)
	places := pages(t, r)
	cfg := v.config(PageSizeMin, S2)
	v.build(t, cfg, v.entries) // the same entries under another file key
	twin, err := os.ReadFile(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	if len(twin) != len(v.sound) {
		t.Fatal("the same entries made another size")
	}
	for i, a := range places {
		data := bytes.Clone(v.sound)
		copy(data[a.off:a.off+uint64(a.size)], twin[a.off:])
		wantPageError(t, "page of another file", v.read(t, data), ErrCorrupt, crypt.ErrAuth)
		for _, b := range places[:i] {
			data := bytes.Clone(v.sound)
			n := min(a.size, b.size)
			copy(data[a.off:][:n], v.sound[b.off:])
			copy(data[b.off:][:n], v.sound[a.off:])
			wantPageError(t, "swapped pages", v.read(t, data), ErrCorrupt, crypt.ErrAuth)
		}
	}
	wantPageError(t, "another run of the database", v.read(t, twin), ErrMismatch, ErrCorrupt)
}

// R2, R3: a header that was edited and given a right checksum.
func TestTamperHeader(t *testing.T) {
	v := newVictim(t)
	for _, c := range []struct {
		name string
		at   int
		to   []byte
		want []error
	}{
		{"next version", headerVersionAt, []byte{0, 2}, []error{ErrTooNew}},
		{"version 0", headerVersionAt, []byte{0, 0}, []error{ErrCorrupt}},
		{"cipher", headerCipherAt, []byte{2}, []error{ErrTooNew}},
		{"feature", headerFeaturesAt, []byte{0x80, 0, 0, 0}, []error{ErrTooNew}},
		{"known feature", headerFeaturesAt, []byte{0, 0, 0, 1}, []error{crypt.ErrWrongKey}},
		{"reserved", headerCipherAt + 1, []byte{1}, []error{ErrCorrupt}},
		{"reserved end", headerCRCAt - 1, []byte{1}, []error{ErrCorrupt}},
		{"database", headerDatabaseAt, []byte{9}, []error{crypt.ErrWrongKey}},
		{"run id", headerRunAt, []byte{9}, []error{crypt.ErrWrongKey}},
		{"epoch", headerEpochAt, []byte{0, 0, 0, 2}, []error{crypt.ErrNoEpoch}},
		{"epoch 0", headerEpochAt, []byte{0, 0, 0, 0}, []error{ErrCorrupt}},
		{"page size", headerPageSizeAt, []byte{0, 0, 0x20, 0}, []error{crypt.ErrWrongKey}},
		{"tiny page size", headerPageSizeAt, []byte{0, 0, 0, 1}, []error{ErrCorrupt}},
		{"salt", headerSaltAt, []byte{^v.sound[headerSaltAt]}, []error{crypt.ErrWrongKey}},
		{"commitment", headerCommitmentAt, []byte{^v.sound[headerCommitmentAt]}, []error{crypt.ErrWrongKey}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := bytes.Clone(v.sound)
			copy(data[c.at:], c.to)
			binary.BigEndian.PutUint32(data[headerCRCAt:], crc32.Checksum(data[:headerCRCAt], castagnoli))
			wantPageError(t, c.name, v.read(t, data), c.want...)
		})
	}
}

// R3: a sound header under another key.
func TestWrongKey(t *testing.T) {
	v := newVictim(t)
	cfg := v.runConfig(v.path, v.info)
	cfg.Ring = newRing(t)
	_, err := OpenRun(cfg)
	wantPageError(t, "another DEK", err, crypt.ErrWrongKey)

	cfg = v.runConfig(v.path, v.info)
	cfg.Ring = crypt.NewKeyRing()
	_, err = OpenRun(cfg)
	wantPageError(t, "an empty ring", err, crypt.ErrNoEpoch)

	cfg.Ring.Wipe()
	_, err = OpenRun(cfg)
	wantPageError(t, "a wiped ring", err, crypt.ErrWiped)

	cfg = v.runConfig(v.path, v.info)
	cfg.Database[0]++
	_, err = OpenRun(cfg)
	wantPageError(t, "another database's run", err, ErrMismatch)
}

// R12: a sound run that is not the one the manifest names.
func TestMismatch(t *testing.T) {
	v := newVictim(t)
	for name, edit := range map[string]func(*Info){
		"run id":      func(i *Info) { i.RunID++ },
		"epoch":       func(i *Info) { i.Epoch++ },
		"size":        func(i *Info) { i.Size++ },
		"entries":     func(i *Info) { i.Entries++ },
		"tombstones":  func(i *Info) { i.Tombstones++ },
		"key bytes":   func(i *Info) { i.KeyBytes++ },
		"value bytes": func(i *Info) { i.ValueBytes++ },
		"root tag":    func(i *Info) { i.RootTag[0]++ },
	} {
		info := v.info
		edit(&info)
		_, err := OpenRun(v.runConfig(v.path, info))
		wantPageError(t, name, err, ErrMismatch)
	}
}

func TestInspect(t *testing.T) {
	v := newVictim(t)
	h, err := Inspect(vfs.OS(), v.path)
	if err != nil {
		t.Fatal(err)
	}
	want := HeaderInfo{
		Version: FormatVersion, Cipher: cipherAES256GCM, Database: testDatabase, RunID: v.info.RunID, Epoch: 1,
		PageSize: PageSizeMin, FileSize: v.info.Size,
	}
	if h != want {
		t.Fatalf("%+v, want %+v", h, want)
	}
	other := filepath.Join(v.dir, "other")
	if err := os.WriteFile(other, []byte("#!/bin/sh\necho a file of another kind\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Inspect(vfs.OS(), other)
	wantPageError(t, "a shell script", err, ErrNotRun)
	if _, err = Inspect(vfs.OS(), filepath.Join(v.dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// A marker in keys and values never reaches the disk, whatever the compression.
func TestMarkerNotOnDisk(t *testing.T) {
	marker := []byte("CUSTOMER-MARKER")
	f := newFixture(t, CacheBudgetMin)
	for _, c := range []Compression{S2, None, Zstd} {
		var entries []entry
		for i := range 3000 {
			value := bytes.Repeat(marker, 1+i%8)
			if i%1000 == 0 {
				value = bytes.Repeat(marker, 40_000)
			}
			entries = append(entries, entry{fmt.Appendf(nil, "%s%05d", marker, i), Put, value})
		}
		cfg := f.config(0, c)
		f.build(t, cfg, entries)
		data, err := os.ReadFile(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		for n := len(marker); n >= 6; n-- {
			if bytes.Contains(data, marker[:n]) {
				t.Fatalf("compression %d: %d bytes of the marker are in the file", c, n)
			}
		}
	}
}
