package wal

import (
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

func testConfig(t testing.TB) Config {
	t.Helper()
	dek, err := crypt.RandomSecret()
	if err != nil {
		t.Fatal(err)
	}
	ring := crypt.NewKeyRing()
	ring.Add(1, dek)
	t.Cleanup(ring.Wipe)
	return Config{FS: vfs.OS(), Dir: t.TempDir(), Database: crypt.ID{1}, Ring: ring}
}

// BenchmarkSync compares one durable frame with one durable write of as many
// bytes to a plain file.
func BenchmarkSync(b *testing.B) {
	payload := make([]byte, 150)
	b.Run("log", func(b *testing.B) {
		cfg := testConfig(b)
		floor, err := Create(cfg)
		if err != nil {
			b.Fatal(err)
		}
		l, err := Open(cfg, floor, func(uint64, []byte) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := l.Append(payload); err != nil {
				b.Fatal(err)
			}
			if err := l.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("plain", func(b *testing.B) {
		f, err := vfs.OS().Create(b.TempDir() + "/plain")
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Preallocate(64 << 20); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		var off int64
		for b.Loop() {
			if _, err := f.WriteAt(payload, off); err != nil {
				b.Fatal(err)
			}
			off += 256
			if err := f.SyncData(); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	})
}
