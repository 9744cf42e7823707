package pager

import (
	"slices"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

// watchedFS notes what is prefetched from the files that it opens.
type watchedFS struct {
	vfs.FS
	asked *[]ref
}

func (w watchedFS) Open(path string) (vfs.File, error) {
	f, err := w.FS.Open(path)
	return watchedFile{f, w.asked}, err
}

type watchedFile struct {
	vfs.File
	asked *[]ref
}

func (w watchedFile) Prefetch(off, n int64) { *w.asked = append(*w.asked, ref{uint64(off), uint32(n)}) }

// TestPrefetch checks that the first read of a run, and no later one, asks for the
// inner nodes below the root, if there are any, and nothing else.
func TestPrefetch(t *testing.T) {
	reads := map[string]func(t *testing.T, r *Run, key []byte){
		"get": func(t *testing.T, r *Run, key []byte) {
			t.Helper()
			if _, _, found, err := r.Get(nil, key); !found || err != nil {
				t.Fatal(found, err)
			}
		},
		"seek": func(t *testing.T, r *Run, key []byte) {
			t.Helper()
			it := r.NewIter()
			if !it.SeekGE(key) {
				t.Fatal(it.Err())
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, read := range reads {
		for _, n := range []int{10, 200, 12000} {
			f := newFixture(t, 1<<20)
			cfg := f.config(PageSizeMin, None)
			entries := numbered(n, func(int) []byte { return make([]byte, 100) })
			info := f.build(t, cfg, entries)
			var asked []ref
			rc := f.runConfig(cfg.Path, info)
			rc.FS = watchedFS{vfs.OS(), &asked}
			r, err := OpenRun(rc)
			if err != nil {
				t.Fatal(err)
			}
			read(t, r, entries[n/2].key)
			var want []ref
			if r.t.depth >= 2 {
				p, err := f.cache.get(r, r.t.root, kindInner)
				if err != nil {
					t.Fatal(err)
				}
				for i := range node(p.data).len() {
					want = append(want, node(p.data).child(i))
				}
				p.release()
			}
			if n == 12000 && (r.t.depth != 2 || len(want) < 3) {
				t.Fatalf("%d rows make a tree of depth %d with %d nodes below the root: not what is to be tested", n, r.t.depth, len(want))
			}
			read(t, r, entries[0].key)
			if !slices.Equal(asked, want) {
				t.Errorf("%s among %d rows: it asked for %v, want %v", name, n, asked, want)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
