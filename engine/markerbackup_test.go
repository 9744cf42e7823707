package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	scan "github.com/byokdb/byokdb/internal/marker"
)

// TestMarkerIsInNoBackup takes the marker through values that stream in,
// compactions of everything, backups in both forms, and what is restored.
func TestMarkerIsInNoBackup(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	w, rnd := newWatchingFS(), rand.New(rand.NewPCG(seed, 1))
	base := t.TempDir()
	dir, key := filepath.Join(base, "m.byok"), newFakeKey("k")
	db := openTest(t, dir, key, &Options{MemtableSize: 64 << 10, PageSize: 4096, fs: w})
	nRounds := 6
	if testing.Short() {
		nRounds = 2
	}
	for round := range nRounds {
		writeMarkers(t, db, rnd, round)
	}
	const size = 3 << 20
	repeated := func() io.Reader { return strings.NewReader(strings.Repeat(scan.Text, size/len(scan.Text)+1)[:size]) }
	err := db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollectionIfNotExists("streamed " + scan.Text)
		if err != nil {
			return err
		}
		return errors.Join(c.PutReader([]byte(scan.Text), size, repeated()), c.PutReader([]byte("cut "+scan.Text), size/2, io.LimitReader(repeated(), size/2)))
	})
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, base, "streamed")
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, base, "compacted")

	var stream bytes.Buffer
	if err := db.Backup(t.Context(), &stream); err != nil {
		t.Fatal(err)
	}
	if at, what := w.scanner.Find(stream.Bytes()); at >= 0 || stream.Len() < 100_000 {
		t.Errorf("the stream of %d bytes holds the marker (%s) at %d", stream.Len(), what, at)
	}
	dest := filepath.Join(base, "backups")
	for round := range 2 { // the second one brings what is new
		if _, err := db.BackupTo(t.Context(), dest, &BackupOptions{fs: w}); err != nil {
			t.Fatal(err)
		}
		writeMarkers(t, db, rnd, round)
	}
	w.check(t, base, "backed up")
	for i, restore := range []func(to string) error{
		func(to string) error {
			_, err := RestoreStream(t.Context(), &stream, to, key, &RestoreOptions{fs: w})
			return err
		},
		func(to string) error {
			_, err := Restore(t.Context(), dest, to, key, &RestoreOptions{fs: w})
			return err
		},
	} {
		to := filepath.Join(base, fmt.Sprintf("restored%d.byok", i))
		if err := restore(to); err != nil {
			t.Fatal(err)
		}
		back := openTest(t, to, key, &Options{fs: w})
		err := back.View(func(tx *Tx) error {
			c, err := tx.Collection("streamed " + scan.Text)
			if err != nil {
				return err
			}
			v, err := c.Get([]byte(scan.Text))
			if err == nil && (len(v) != size || !bytes.HasPrefix(v, []byte(scan.Text))) {
				err = fmt.Errorf("%d bytes came back", len(v))
			}
			return err
		})
		if err := errors.Join(err, back.Verify(context.Background()), back.Close()); err != nil {
			t.Fatal(err)
		}
		w.check(t, base, "restored")
	}
}
