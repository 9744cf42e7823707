package engine

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// spillMark is in every block, so that plaintext would be found.
const spillMark = "MARK-of-a-row-that-was-spilled"

func spillBlockOf(i, size int) []byte {
	b := bytes.Repeat([]byte{byte(i)}, size)
	copy(b, spillMark)
	return b
}

func newSpill(tb testing.TB, tx *Tx) *Spill {
	tb.Helper()
	s, err := tx.NewSpill()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// appendBlocks writes some blocks of different sizes.
func appendBlocks(tb testing.TB, s *Spill, n int) []SpillBlock {
	tb.Helper()
	var blocks []SpillBlock
	for i := range n {
		b, err := s.Append(spillBlockOf(i, 40+i*700))
		if err != nil {
			tb.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func spillsIn(tb testing.TB, f *memfs.FS) []string {
	tb.Helper()
	names, err := f.Files(filepath.Join(memDir, spillDir))
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return names
}

// TestSpill: FORMAT.md T1.
func TestSpill(t *testing.T) {
	f := memFS(t)
	db := openTest(t, memDir, newFakeKey("k"), smallOptions(f))
	f.OnCall(func(c memfs.Call) {
		if c.Op.Syncs() && strings.Contains(c.Path, spillDir) {
			t.Errorf("%v of %s", c.Op, c.Path)
		}
	})
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	s := newSpill(t, tx)
	blocks := appendBlocks(t, s, 20)
	for i := range blocks { // in any order
		i = i * 7 % len(blocks)
		want := spillBlockOf(i, 40+i*700)
		if blocks[i].Size() != len(want) {
			t.Errorf("block %d has %d bytes, want %d", i, blocks[i].Size(), len(want))
		}
		got, err := s.Read([]byte("before"), blocks[i])
		if err != nil || string(got) != "before"+string(want) {
			t.Fatalf("block %d: %v", i, err)
		}
	}
	names := spillsIn(t, f)
	if len(names) != 1 {
		t.Fatalf("files: %v", names)
	}
	data, err := f.ReadFile(names[0])
	if err != nil || int64(len(data)) != s.Size() {
		t.Fatalf("%d bytes, want %d: %v", len(data), s.Size(), err)
	}
	if bytes.Contains(data, []byte(spillMark[:8])) {
		t.Error("there is plaintext in the file")
	}
	other := newSpill(t, tx)
	appendBlocks(t, other, 1)
	if got, want := db.Status().SpillBytes, s.Size()+other.Size(); got != want {
		t.Errorf("%d bytes are in files, want %d", got, want)
	}
	s.Close()
	s.Close()
	if got := db.Status().SpillBytes; got != other.Size() {
		t.Errorf("%d bytes are in the file that is left, want %d", got, other.Size())
	}
	if names := spillsIn(t, f); len(names) != 1 {
		t.Errorf("files after Close: %v", names)
	}
	if _, err := s.Read(nil, blocks[0]); !errors.Is(err, ErrSpill) {
		t.Errorf("read after Close: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if names := spillsIn(t, f); len(names) != 0 {
		t.Errorf("files after the transaction: %v", names)
	}
	if got := db.Status().SpillBytes; got != 0 {
		t.Errorf("%d bytes are in files after the transaction", got)
	}
	if _, err := other.Append([]byte("x")); !errors.Is(err, ErrTxClosed) {
		t.Errorf("append after the transaction: %v", err)
	}
}

// TestSpillPacked: blocks are compressed where that saves something.
func TestSpillPacked(t *testing.T) {
	db := openTest(t, memDir, newFakeKey("k"), smallOptions(memFS(t)))
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing to report
	s := newSpill(t, tx)
	noise := make([]byte, 40<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("large "), sealedKeepMax)
	for name, want := range map[string][]byte{"nothing": nil, "byte": {7}, "noise": noise, "zeros": make([]byte, 40<<10), "half": append(make([]byte, 40<<10), noise...), "large": large} {
		before := s.Size()
		b, err := s.Append(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Read([]byte("before"), b)
		if err != nil || string(got) != "before"+string(want) || b.Size() != len(want) {
			t.Errorf("%s: %d bytes came back of %d, %v", name, len(got)-len("before"), len(want), err)
		}
		took := s.Size() - before - crypt.Overhead
		if squeezable := name == "zeros" || name == "half" || name == "large"; squeezable != (took < int64(len(want))) || took > int64(len(want)) {
			t.Errorf("%s: %d bytes take %d", name, len(want), took)
		}
		if cap(s.packed) > sealedKeepMax || cap(s.sealed) > sealedKeepMax {
			t.Errorf("%s: %d and %d bytes are kept", name, cap(s.packed), cap(s.sealed))
		}
	}
}

// TestSpillMove: a file that was moved ends with its new transaction alone.
func TestSpillMove(t *testing.T) {
	f := memFS(t)
	db := openTest(t, memDir, newFakeKey("k"), smallOptions(f))
	put(t, db, "c", "k", "v")
	begin := func(writable bool) *Tx {
		tx, err := db.Begin(writable)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	from, to, over := begin(true), begin(false), begin(false)
	if err := over.Rollback(); err != nil {
		t.Fatal(err)
	}
	s := newSpill(t, from)
	blocks := appendBlocks(t, s, 3)
	if err := s.Move(over); !errors.Is(err, ErrTxClosed) {
		t.Errorf("moved to a transaction that is over: %v", err)
	}
	if err := errors.Join(s.Move(from), s.Move(to), from.Commit()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(nil, blocks[2]); err != nil || !bytes.Equal(got, spillBlockOf(2, 1440)) {
		t.Errorf("after the commit: %v", err)
	}
	if err := to.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(nil, blocks[2]); !errors.Is(err, ErrTxClosed) {
		t.Errorf("after the transaction: %v", err)
	}
	if names := spillsIn(t, f); len(names) != 0 || db.Status().SpillBytes != 0 {
		t.Errorf("files: %v, %d bytes", names, db.Status().SpillBytes)
	}
	if err := s.Move(begin(false)); !errors.Is(err, ErrSpill) {
		t.Errorf("moved when it is closed: %v", err)
	}
}

// TestSpillMax: all files together hold no more than Options.SpillMax.
func TestSpillMax(t *testing.T) {
	opts := smallOptions(memFS(t))
	opts.SpillMax = 1000
	db := openTest(t, memDir, newFakeKey("k"), opts)
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing to report
	block := make([]byte, 500-crypt.Overhead)
	if _, err := rand.Read(block); err != nil {
		t.Fatal(err)
	}
	first, second := newSpill(t, tx), newSpill(t, tx)
	for _, s := range []*Spill{first, second} {
		if _, err := s.Append(block); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := second.Append([]byte{1}); !errors.Is(err, ErrSpill) || !errors.Is(err, ErrSpillFull) || db.Status().SpillBytes != 1000 {
		t.Errorf("beyond the limit: %v; %d bytes", err, db.Status().SpillBytes)
	}
	first.Close()
	if _, err := second.Append(block); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// TestSpillTamper changes every byte, exchanges blocks and cuts the file:
// FORMAT.md T3.
func TestSpillTamper(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	db := openTest(t, dir, newFakeKey("k"), nil)
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing to report
	s := newSpill(t, tx)
	var blocks []SpillBlock
	for i := range 3 {
		b, err := s.Append(spillBlockOf(i, 60))
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	refused := func(what string, b SpillBlock) {
		t.Helper()
		got, err := s.Read([]byte("x"), b)
		if !errors.Is(err, ErrCorrupt) || string(got) != "x" || !strings.Contains(err.Error(), spillDir+"/") {
			t.Errorf("%s: %v", what, err)
		}
	}
	whole := make([]byte, s.size)
	if _, err := s.file.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		if _, err := s.file.WriteAt([]byte{whole[at] ^ 4}, int64(at)); err != nil {
			t.Fatal(err)
		}
		refused("a changed byte", blocks[at/int(blocks[0].size)])
		if _, err := s.file.WriteAt(whole[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.file.WriteAt(whole[blocks[1].off:blocks[2].off], 0); err != nil {
		t.Fatal(err)
	}
	refused("another block", blocks[0])
	other := newSpill(t, tx)
	if _, err := other.Append(spillBlockOf(1, 60)); err != nil {
		t.Fatal(err)
	}
	alien := make([]byte, other.size)
	if _, err := other.file.ReadAt(alien, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.file.WriteAt(alien, 0); err != nil {
		t.Fatal(err)
	}
	refused("a block of another file", blocks[0])
	if err := s.file.Truncate(s.size - 1); err != nil {
		t.Fatal(err)
	}
	refused("a file cut short", blocks[2])
	if _, err := s.Read(nil, blocks[1]); err != nil {
		t.Errorf("a sound block: %v", err)
	}
}

// TestSpillDiskFull: what needs the file fails, and nothing else.
func TestSpillDiskFull(t *testing.T) {
	for name, fault := range map[string]memfs.Fault{
		"full":      {Err: syscall.ENOSPC, Short: true},
		"quota":     {Err: syscall.EDQUOT},
		"I/O error": {Err: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			f := memFS(t)
			db := openTest(t, memDir, newFakeKey("k"), smallOptions(f))
			put(t, db, "c", "k", "v")
			tx, err := db.Begin(true)
			if err != nil {
				t.Fatal(err)
			}
			c, err := tx.Collection("c")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Put([]byte("k2"), []byte("v2")); err != nil {
				t.Fatal(err)
			}
			s := newSpill(t, tx)
			blocks := appendBlocks(t, s, 3)
			fault.Only = func(_ memfs.Op, path string) bool { return strings.Contains(path, spillDir) }
			f.SetFault(&fault)
			_, err = s.Append(make([]byte, 1000))
			f.SetFault(nil)
			if !errors.Is(err, ErrSpill) || !errors.Is(err, fault.Err) || errors.Is(err, ErrSpillFull) != !errors.Is(err, syscall.EIO) || errors.Is(err, ErrFailed) {
				t.Fatalf("append: %v", err)
			}
			if _, err := s.Read(nil, blocks[2]); err != nil {
				t.Errorf("read what is there: %v", err)
			}
			if b, err := s.Append([]byte("once more")); err != nil {
				t.Error(err)
			} else if got, err := s.Read(nil, b); err != nil || string(got) != "once more" {
				t.Errorf("%q, %v", got, err)
			}
			if err := tx.Commit(); err != nil {
				t.Errorf("commit: %v", err)
			}
			put(t, db, "c", "k3", "v3")
			if names := spillsIn(t, f); len(names) != 0 {
				t.Errorf("files: %v", names)
			}
		})
	}
}

// TestSpillAfterCrash: the next opening removes what a crash has left, and
// verifying a directory names it: FORMAT.md T2.
func TestSpillAfterCrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	key := newFakeKey("k")
	db := openTest(t, dir, key, nil)
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	appendBlocks(t, newSpill(t, tx), 3)
	copied := filepath.Join(t.TempDir(), "copy") // what kill -9 leaves
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	report, err := VerifyDir(t.Context(), copied, key, nil)
	if err != nil || !strings.Contains(strings.Join(report.Notes, "\n"), "nobody can read") {
		t.Errorf("%v, %v", report, err)
	}
	again := openTest(t, copied, key, nil)
	names, err := again.opts.fs.List(filepath.Join(copied, spillDir))
	if err != nil || len(names) != 0 {
		t.Errorf("files: %v, %v", names, err)
	}
	tx, err = again.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	appendBlocks(t, newSpill(t, tx), 1)
	if err := again.Close(); err != nil { // which ends the transaction
		t.Fatal(err)
	}
	if names, err := again.opts.fs.List(filepath.Join(copied, spillDir)); err != nil || len(names) != 0 {
		t.Errorf("files after Close: %v, %v", names, err)
	}
}

// TestSpillPause: without the key a file cannot be used, and the wipe of memory
// removes it and its key.
func TestSpillPause(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{}, Options{})
		tx, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		s := newSpill(t, tx)
		blocks := appendBlocks(t, s, 3)
		fileKey := s.key
		key.set(crypt.ClassDenied)
		time.Sleep(10 * time.Minute)
		if st := db.Status().Key.State; st != Suspended {
			t.Fatalf("state %v", st)
		}
		var ke *KeyError
		if _, err := s.Read(nil, blocks[0]); !errors.As(err, &ke) {
			t.Errorf("read while suspended: %v", err)
		}
		if _, err := s.Append([]byte("x")); !errors.As(err, &ke) {
			t.Errorf("append while suspended: %v", err)
		}
		if _, err := tx.NewSpill(); !errors.As(err, &ke) {
			t.Errorf("a new file while suspended: %v", err)
		}
		time.Sleep(5 * time.Hour)
		if st := db.Status().Key.State; st != Paused {
			t.Fatalf("state %v", st)
		}
		names, err := db.opts.fs.List(filepath.Join(db.dir, spillDir))
		if err != nil || len(names) != 0 {
			t.Errorf("files after the wipe: %v, %v", names, err)
		}
		if _, err := fileKey.Open(nil, make([]byte, 100), crypt.AAD{}); !errors.Is(err, crypt.ErrWiped) {
			t.Errorf("the key is not wiped: %v", err)
		}
		if _, err := s.Read(nil, blocks[0]); !errors.As(err, &ke) {
			t.Errorf("read after the wipe: %v", err)
		}
		s.Close()
		key.set(crypt.ClassNone)
		time.Sleep(10 * time.Minute)
	})
}
