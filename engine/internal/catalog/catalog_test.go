package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

func testDEK(tb testing.TB, seed byte) *crypt.Secret {
	tb.Helper()
	dek, err := crypt.NewSecret(bytes.Repeat([]byte{seed}, crypt.KeySize))
	mustDo(tb, err)
	return dek
}

func mustDo(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func testClear() Clear {
	return Clear{
		FormatVersion: FormatVersion, Database: crypt.ID{1, 2}, Created: time.Unix(1e9, 0).UTC(),
		KeyID: "local:fingerprint", KeyURI: "local:dev.key", Development: true, Policy: []byte("policy"),
	}
}

func testEnvelope(tb testing.TB, epoch crypt.Epoch) *crypt.Envelope {
	tb.Helper()
	c := crypt.Context{Database: testClear().Database, Purpose: crypt.PurposeData, Epoch: epoch}
	w := crypt.Wrapped{Bytes: bytes.Repeat([]byte("WRAPPED"), 20)}
	env, err := crypt.NewEnvelope(c, testClear().KeyID, w, testDEK(tb, byte(epoch)), time.Unix(1e9, 0))
	mustDo(tb, err)
	return env
}

var testManifest = bytes.Repeat([]byte("MANIFEST"), 200)

// newCatalog makes a catalog that has lived: two envelopes, a journal on several
// pages, a manifest that was replaced.
func newCatalog(tb testing.TB) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	mustDo(tb, Create(vfs.OS(), dir, testClear(), testEnvelope(tb, 1), []byte("first manifest"), []byte("first record")))
	c := mustOpen(tb, dir)
	for i := range 40 {
		mustDo(tb, c.PutGuard(fmt.Appendf(nil, "record %d", i)))
		mustDo(tb, c.AppendJournal(fmt.Appendf(nil, "entry %d %s", i, strings.Repeat("e", 100))))
	}
	mustDo(tb, c.PutManifest(testManifest))
	mustDo(tb, c.PutEnvelope(testEnvelope(tb, 2)))
	mustDo(tb, c.PutGuard([]byte("record")))
	mustDo(tb, c.Close())
	return dir
}

func mustOpen(tb testing.TB, dir string) *Catalog {
	tb.Helper()
	c, err := Open(vfs.OS(), dir)
	mustDo(tb, err)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func TestContentsComeBack(t *testing.T) {
	dir := newCatalog(t)
	c := mustOpen(t, dir)
	got := c.Contents()
	if !reflect.DeepEqual(got.Clear, testClear()) {
		t.Errorf("clear %+v, want %+v", got.Clear, testClear())
	}
	if len(got.Envelopes) != 2 || got.Envelopes[0].Epoch != 1 || got.Envelopes[1].Epoch != 2 {
		t.Errorf("%d envelopes", len(got.Envelopes))
	}
	if string(got.Guard) != "record" || !bytes.Equal(got.Manifest, testManifest) || !bytes.Equal(c.Manifest(), testManifest) {
		t.Errorf("guard %q, manifest of %d B", got.Guard, len(got.Manifest))
	}
	journal, err := c.Journal()
	if err != nil || len(journal) != 40 {
		t.Fatalf("%d entries, %v", len(journal), err)
	}
	for i, e := range journal {
		if e.Sequence != uint64(i+1) || !strings.HasPrefix(string(e.Data), fmt.Sprintf("entry %d ", i)) {
			t.Errorf("entry %d is %d %.20q", i, e.Sequence, e.Data)
		}
	}
	if got.Tombstone != nil {
		t.Error("a tombstone")
	}
	if info, err := os.Stat(filepath.Join(dir, FileName)); err != nil || info.Size() > 64<<10 {
		t.Errorf("the file has %d B, %v", info.Size(), err)
	}
	held, err := Read(vfs.OS(), dir) // while it is open
	if err != nil || held.Size == 0 {
		t.Errorf("read beside the holder: %v", err)
	}
}

func TestOpenNothing(t *testing.T) {
	for _, c := range []struct {
		what string
		file []byte // nil: none
		want error
	}{
		{"no file", nil, ErrNotExist},
		{"empty file", []byte{}, ErrNotDatabase},
		{"text", []byte(strings.Repeat("hello ", 10000)), ErrNotDatabase},
		{"zeros", make([]byte, 32<<10), ErrNotDatabase},
		{"one byte", []byte{1}, ErrNotDatabase},
	} {
		dir := t.TempDir()
		if c.file != nil {
			mustDo(t, os.WriteFile(filepath.Join(dir, FileName), c.file, 0o600))
		}
		if _, err := Open(vfs.OS(), dir); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
		if _, err := Read(vfs.OS(), dir); !errors.Is(err, c.want) {
			t.Errorf("read %s: %v", c.what, err)
		}
	}
	dir := t.TempDir()
	db, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, nil)
	mustDo(t, err)
	mustDo(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("somebody"))
		if err != nil {
			return err
		}
		return b.Put([]byte("else"), []byte("value"))
	}))
	mustDo(t, db.Close())
	if _, err := Open(vfs.OS(), dir); err == nil || !errors.Is(err, ErrNotDatabase) && !errors.Is(err, ErrCorrupt) {
		t.Errorf("somebody else's bbolt file: %v", err)
	}
}

func TestCreateRefusesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	mustDo(t, os.WriteFile(filepath.Join(dir, TempName), []byte("half a catalog"), 0o600))
	if _, err := Open(vfs.OS(), dir); !errors.Is(err, ErrNotExist) {
		t.Errorf("an unfinished creation: %v", err)
	}
	mustDo(t, Create(vfs.OS(), dir, testClear(), testEnvelope(t, 1), testManifest, []byte("r")))
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("files %v, %v", names, err)
	}
	mustOpen(t, dir)
}

// TestInUseBySecondProcess re-executes the test binary to hold the lock.
func TestInUseBySecondProcess(t *testing.T) {
	if dir := os.Getenv("BYOKDB_TEST_HOLD"); dir != "" {
		c := mustOpen(t, dir)
		fmt.Println("held")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it
		mustDo(t, c.Close())
		return
	}
	dir := newCatalog(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInUseBySecondProcess$")
	cmd.Env = append(os.Environ(), "BYOKDB_TEST_HOLD="+dir)
	in, err := cmd.StdinPipe()
	mustDo(t, err)
	out, err := cmd.StdoutPipe()
	mustDo(t, err)
	mustDo(t, cmd.Start())
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || string(line) != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	if _, err := Open(vfs.OS(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("while another process holds it: %v", err)
	}
	if _, err := Read(vfs.OS(), dir); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	mustDo(t, in.Close())
	mustDo(t, cmd.Wait())
	mustOpen(t, dir)
	if _, err := Open(vfs.OS(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("twice in one process: %v", err)
	}
}

// readBytes reads a catalog's bytes as Read does its file.
func readBytes(b []byte) (*Contents, error) {
	s, err := scanFile(b)
	if err != nil {
		return nil, err
	}
	c, found := &Contents{Size: int64(len(b))}, map[string]bool{}
	for i := range s.records {
		if err := c.take(&s.records[i], found); err != nil {
			return nil, err
		}
	}
	if err := c.complete(found); err != nil {
		return nil, err
	}
	return c, checkChain(c.Journal)
}

func isTyped(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotDatabase) || errors.Is(err, ErrTooNew)
}

// TestFlipEveryByte flips one bit in every byte of the file: it is noticed, or
// the byte is one that nothing uses. Where it is accepted, bbolt can go on with
// the file: C2, C2.
func TestFlipEveryByte(t *testing.T) {
	dir := newCatalog(t)
	path := filepath.Join(dir, FileName)
	good, err := os.ReadFile(path)
	mustDo(t, err)
	want, err := readBytes(good)
	mustDo(t, err)
	r := rand.New(rand.NewPCG(1, 1))
	nNoticed, nOpened := 0, 0
	b := bytes.Clone(good)
	step := 1
	if testing.Short() {
		step = 7
	}
	for at := 0; at < len(good); at += step {
		copy(b[max(at-step, 0):], good[max(at-step, 0):at+1]) // takes the flip before back
		b[at] ^= 1 << r.IntN(8)
		got, err := readBytes(b)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotDatabase):
			t.Fatalf("flip at %d: %v", at, err)
		case err != nil:
			nNoticed++
			continue
		case !reflect.DeepEqual(got, want):
			t.Fatalf("flip at %d of page %d goes unnoticed", at%4096, at/4096)
		}
		if r.IntN(1000) != 0 {
			continue
		}
		nOpened++
		mustDo(t, os.WriteFile(path, b, 0o600))
		c, err := Open(vfs.OS(), dir)
		if err != nil {
			t.Fatalf("flip at %d: %v", at, err)
		}
		mustDo(t, c.PutGuard([]byte("again")))
		mustDo(t, c.AppendJournal([]byte("more")))
		mustDo(t, c.Close())
		if after, err := Read(vfs.OS(), dir); err != nil || string(after.Guard) != "again" || len(after.Journal) != len(want.Journal)+1 {
			t.Fatalf("flip at %d, after a write: %v", at, err)
		}
	}
	if nNoticed < 8000/step || nOpened < 5/step {
		t.Errorf("%d flips noticed, %d files opened", nNoticed, nOpened)
	}
}

// TestTruncateAnywhere: C2.
func TestTruncateAnywhere(t *testing.T) {
	dir := newCatalog(t)
	good, err := os.ReadFile(filepath.Join(dir, FileName))
	mustDo(t, err)
	want, err := readBytes(good)
	mustDo(t, err)
	nRefused := 0
	for size := 0; size < len(good); size += 1 + size%61 {
		got, err := readBytes(good[:size])
		if err == nil { // only free pages are gone
			got.Size = want.Size
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("cut at %d goes unnoticed", size)
			}
			continue
		}
		if nRefused++; !isTyped(err) {
			t.Fatalf("cut at %d: %v", size, err)
		}
	}
	if nRefused < 100 {
		t.Errorf("only %d cuts were refused", nRefused)
	}
}

// TestEditedRecords changes records with bbolt itself, as somebody with a tool would: C4, C11.
func TestEditedRecords(t *testing.T) {
	good := frame(bucketMain, keyClear, (&Clear{Database: crypt.ID{9}, KeyID: "k", KeyURI: "u"}).marshal())
	for _, c := range []struct {
		what string
		edit func(tx *bbolt.Tx) error
	}{
		{"value under another key", func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketMain))
			return b.Put([]byte(keyGuard), b.Get([]byte(keyManifest)))
		}},
		{"clear record of another database", func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketMain)).Put([]byte(keyClear), good)
		}},
		{"no clear record", func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketMain)).Delete([]byte(keyClear)) }},
		{"no manifest", func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketMain)).Delete([]byte(keyManifest)) }},
		{"unknown record", func(tx *bbolt.Tx) error { return put(tx, bucketMain, "x", []byte("y")) }},
		{"empty value", func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketMain)).Put([]byte(keyGuard), nil) }},
		{"envelope of another epoch", func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketEnvelopes))
			return b.Put(epochKey(2), b.Get(epochKey(1)))
		}},
		{"no envelopes", func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketEnvelopes))
			return errors.Join(b.Delete(epochKey(1)), b.Delete(epochKey(2)))
		}},
		{"journal entry dropped", func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketJournal)).Delete(binary.BigEndian.AppendUint64(nil, 7))
		}},
		{"journal entry exchanged", func(tx *bbolt.Tx) error {
			k := string(binary.BigEndian.AppendUint64(nil, 7))
			e := Entry{Sequence: 6}.next([]byte("another story"))
			return put(tx, bucketJournal, k, append(e.Hash[:], e.Data...))
		}},
	} {
		dir := newCatalog(t)
		db, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, &bbolt.Options{NoFreelistSync: true})
		mustDo(t, err)
		mustDo(t, db.Update(c.edit))
		mustDo(t, db.Close())
		if _, err := Open(vfs.OS(), dir); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestTooNew(t *testing.T) {
	for _, at := range []int{1, 5} { // version, features that a reader must know
		dir := newCatalog(t)
		c := testClear()
		b := c.marshal()
		b[at] |= 2
		db, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, &bbolt.Options{NoFreelistSync: true})
		mustDo(t, err)
		mustDo(t, db.Update(func(tx *bbolt.Tx) error { return put(tx, bucketMain, keyClear, b) }))
		mustDo(t, db.Close())
		if _, err := Open(vfs.OS(), dir); !errors.Is(err, ErrTooNew) || errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// TestErase reads the whole file afterwards: C12.
func TestErase(t *testing.T) {
	dir := newCatalog(t)
	c := mustOpen(t, dir)
	tomb := Tombstone{
		Erased: time.Unix(2e9, 0).UTC(), FirstDenied: time.Unix(2e9-14400, 0).UTC(), DeniedFor: 4 * time.Hour,
		Reason: "denied", FirstID: "r-1", LastID: "r-2",
	}
	for range 2 { // erasing again ends what a crash cut short
		mustDo(t, c.Erase(tomb))
	}
	mustDo(t, c.Close())
	mustDo(t, Overwrite(vfs.OS(), dir))
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	mustDo(t, err)
	for _, gone := range []string{"WRAPPED", "MANIFEST", "first manifest"} {
		if bytes.Contains(b, []byte(gone)) {
			t.Errorf("%q is still in the file", gone)
		}
	}
	got, err := Read(vfs.OS(), dir)
	mustDo(t, err)
	if got.Tombstone == nil || *got.Tombstone != tomb || len(got.Envelopes) != 0 || got.Manifest != nil || len(got.Journal) != 40 {
		t.Errorf("after the erasure: %+v", got)
	}
}

func FuzzScan(f *testing.F) {
	dir := newCatalog(f)
	good, err := os.ReadFile(filepath.Join(dir, FileName))
	mustDo(f, err)
	f.Add(uint16(0), []byte{1})
	f.Add(uint16(4096*3+10), []byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		b := bytes.Clone(good)
		copy(b[int(at)%len(b):], patch)
		if _, err := readBytes(b); err != nil && !isTyped(err) {
			t.Errorf("not a typed error: %v", err)
		}
		if _, err := agreed(b); err != nil {
			t.Error(err)
		}
	})
}
