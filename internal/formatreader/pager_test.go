package formatreader

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// TestReadsRuns reads runs as large as databases of these tests do not get:
// several levels of inner nodes, several pages of the filter, values of several
// chunks, every compression, and none at all.
func TestReadsRuns(t *testing.T) {
	for _, c := range []struct {
		name        string
		compression pager.Compression
		pageSize, n int
	}{
		{"S2", pager.S2, 4096, 20000},
		{"zstd", pager.Zstd, 4096, 4000},
		{"stored", pager.None, 65536, 4000},
		{"one entry", pager.S2, 0, 1},
		{"empty", pager.S2, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dek, err := crypt.RandomSecret()
			if err != nil {
				t.Fatal(err)
			}
			var plain []byte
			if err := dek.Use(func(b []byte) error { plain = bytes.Clone(b); return nil }); err != nil {
				t.Fatal(err)
			}
			ring := crypt.NewKeyRing()
			ring.Add(3, dek)
			path := filepath.Join(t.TempDir(), "00000009.run")
			b, err := pager.NewBuilder(pager.BuilderConfig{
				FS: vfs.OS(), Path: path, Ring: ring, Database: crypt.ID(fixedID), RunID: 9, PageSize: c.pageSize, Compression: c.compression,
			})
			if err != nil {
				t.Fatal(err)
			}
			want := entriesFor(c.n)
			for _, e := range want {
				kind := pager.Put
				if e.Tombstone {
					kind = pager.Tombstone
				}
				if err := b.Add(e.Key, kind, e.Value); err != nil {
					t.Fatal(err)
				}
			}
			info, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ReadRun(data, fixedID, map[uint32][]byte{3: plain}, &Run{
				Number: 9, Epoch: 3, Size: uint64(info.Size), Entries: info.Entries, Tombstones: info.Tombstones,
				KeyBytes: info.KeyBytes, ValueBytes: info.ValueBytes, Root: info.RootTag, First: info.First, Last: info.Last,
			})
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d entries, want %d: %v", len(got), len(want), err)
			}
			for i, e := range got {
				if !bytes.Equal(e.Key, want[i].Key) || !bytes.Equal(e.Value, want[i].Value) || e.Tombstone != want[i].Tombstone {
					t.Fatalf("entry %d differs", i)
				}
			}
		})
	}
}

func entriesFor(n int) []Entry {
	rnd := rand.New(rand.NewPCG(9, uint64(n)))
	list := make([]Entry, n)
	for i := range list {
		list[i].Key = fmt.Appendf(nil, "key with a common prefix %08d", 3*i)
		switch {
		case i%17 == 3:
			list[i].Tombstone = true
		case i%1999 == 5: // of three chunks
			list[i].Value = bytes.Repeat(fmt.Append(nil, i), 600_000/len(fmt.Append(nil, i)))
		default:
			list[i].Value = bytes.Repeat([]byte{byte(rnd.Uint32())}, rnd.IntN(40))
		}
	}
	return list
}
