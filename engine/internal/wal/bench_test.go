package wal

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

func BenchmarkAppendSync(b *testing.B) {
	for _, size := range []int{100, 4000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			cfg := testConfig(b)
			cfg.SegmentSize = 64 << 20
			l, _ := mustOpen(b, cfg, Floor{})
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if l.Size() > 32<<20 { // as a flush does: from the third segment on, files are used again
					floor, err := l.Rotate()
					mustDo(b, err)
					mustDo(b, l.Release(floor))
				}
				if _, err := l.Append(payload); err != nil {
					b.Fatal(err)
				}
				if err := l.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	cfg := testConfig(b)
	l, _ := mustOpen(b, cfg, Floor{})
	payload := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Append(payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainSync writes and syncs the same bytes to a preallocated file.
func BenchmarkPlainSync(b *testing.B) {
	for _, size := range []int{100, 4000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f, err := vfs.OS().Create(filepath.Join(b.TempDir(), "plain"))
			mustDo(b, err)
			defer func() { _ = f.Close() }()
			mustDo(b, f.Preallocate(64<<20))
			mustDo(b, f.Sync())
			buf := make([]byte, size)
			off := int64(0)
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := f.WriteAt(buf, off%(63<<20)); err != nil {
					b.Fatal(err)
				}
				mustDo(b, f.SyncData())
				off = alignUp(off + int64(size))
			}
		})
	}
}
