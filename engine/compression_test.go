package engine

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompression writes the same records with each compression, one behind the
// other into one database, and reads all of them. Sizes on disk must tell values
// that are alike from others with compression, and not without.
func TestCompression(t *testing.T) {
	const n = 2000
	alike := func(i int) []byte { return fmt.Appendf(nil, "%04d%s", i, strings.Repeat("same", 50)) }
	unlike := func(i int) []byte {
		out := make([]byte, 0, 224)
		for x := uint64(i)*0x9E3779B97F4A7C15 + 1; len(out) < 204; {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			out = append(out, byte(x>>24), byte(x>>32), byte(x>>40), byte(x>>48))
		}
		return out[:204]
	}
	size := func(t *testing.T, c Compression, value func(i int) []byte) int64 {
		t.Helper()
		db := openTest(t, filepath.Join(t.TempDir(), "z.byok"), newFakeKey("k"), &Options{Compression: c})
		putMany(t, db, "c", n, value)
		if err := db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		return db.Status().RunBytes
	}
	none := size(t, CompressNone, alike)
	fast, more := size(t, CompressFast, alike), size(t, CompressMore, alike)
	if none != size(t, CompressNone, unlike) {
		t.Error("without compression, the size tells what the values are")
	}
	if fast*4 > none || more >= fast {
		t.Errorf("2000 values that are alike take %d bytes with none, %d with fast, %d with more", none, fast, more)
	}

	dir, key := filepath.Join(t.TempDir(), "z.byok"), newFakeKey("k")
	for c := range CompressNone + 1 {
		db := openTest(t, dir, key, &Options{Compression: c})
		putMany(t, db, fmt.Sprint("c", c), n, alike)
		if err := db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := openTest(t, dir, key, nil)
	for c := range CompressNone + 1 {
		for i := range n {
			mustGet(t, db, fmt.Sprint("c", c), fmt.Sprint(i), string(alike(i)))
		}
	}
}

// TestOptionsRefused lists settings that Open refuses before it touches anything.
func TestOptionsRefused(t *testing.T) {
	for _, o := range []Options{
		{PageSize: 1}, {PageSize: 1 << 20}, {MemtableSize: -1}, {SpillMax: -1}, {Compression: CompressNone + 1}, {Sync: SyncOff + 1}, {RotateEvery: 1},
	} {
		dir := filepath.Join(t.TempDir(), "o.byok")
		db, err := Open(t.Context(), dir, newFakeKey("k"), &o)
		if err == nil {
			_ = db.Close() // the test has failed
			t.Errorf("%+v is taken", o)
			continue
		}
		if found, err := filepath.Glob(dir); err != nil || found != nil {
			t.Errorf("%+v: there is %v, %v", o, found, err)
		}
	}
}
