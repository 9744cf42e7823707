package engine

import (
	"bytes"
	"path/filepath"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/pager"
)

// nLevels is the number of levels of the tree. Level 0 holds flushed memtables,
// which may overlap; the runs of each other level do not.
const nLevels = 7

// A run is one open run file. It is closed when the last version that names it
// is gone, and removed from disk then if a compaction replaced it.
type run struct {
	*pager.Run
	meta     catalog.RunMeta
	path     string
	refs     atomic.Int32
	obsolete atomic.Bool
	onGone   func(r *run)

	garbageEra  atomic.Uint64 // 1 + the era of the set that garbageSize is for
	garbageSize atomic.Int64  // bytes; see garbage
}

func (r *run) unref() {
	if r.refs.Add(-1) == 0 {
		r.onGone(r)
	}
}

// overlaps reports whether the run may hold keys of [first, last].
func (r *run) overlaps(first, last []byte) bool {
	return bytes.Compare(r.meta.First, last) <= 0 && bytes.Compare(first, r.meta.Last) <= 0
}

// A version is an immutable set of runs: level 0 newest first, the other
// levels by key. Snapshots hold the one that was current when they were made.
type version struct {
	levels [nLevels][]*run
	refs   atomic.Int32
}

// newVersion takes a reference to every run; the version itself begins with one.
// Level 0 is newest first already.
func newVersion(levels [nLevels][]*run) *version {
	v := &version{levels: levels}
	v.refs.Store(1)
	for l := range v.levels {
		for _, r := range v.levels[l] {
			r.refs.Add(1)
		}
	}
	for l := 1; l < nLevels; l++ {
		slices.SortFunc(v.levels[l], func(a, b *run) int { return bytes.Compare(a.meta.First, b.meta.First) })
	}
	return v
}

func cmpUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (v *version) ref() *version {
	v.refs.Add(1)
	return v
}

func (v *version) unref() {
	if v.refs.Add(-1) != 0 {
		return
	}
	for l := range v.levels {
		for _, r := range v.levels[l] {
			r.unref()
		}
	}
}

// edit returns a version without the runs in gone and with those in added,
// each placed by its level: in level 0 as the newest. Their ids do not tell: a
// bulk load takes some long before it is committed.
func (v *version) edit(gone, added []*run) *version {
	var levels [nLevels][]*run
	for l := range v.levels {
		for _, r := range v.levels[l] {
			if !slices.Contains(gone, r) {
				levels[l] = append(levels[l], r)
			}
		}
	}
	for _, r := range added {
		l := r.meta.Level
		if l > 0 {
			levels[l] = append(levels[l], r)
		} else {
			levels[l] = slices.Insert(levels[l], 0, r)
		}
	}
	return newVersion(levels)
}

// move returns a version in which runs of other levels are in level to.
func (v *version) move(runs []*run, to int) *version {
	levels := v.levels
	for l := range levels {
		if l == to {
			levels[l] = slices.Concat(levels[l], runs)
		} else {
			levels[l] = slices.DeleteFunc(slices.Clone(levels[l]), func(r *run) bool { return slices.Contains(runs, r) })
		}
	}
	return newVersion(levels)
}

// find returns the run of a level above 0 that may hold key, nil if none does.
func (v *version) find(level int, key []byte) *run {
	runs := v.levels[level]
	i := sort.Search(len(runs), func(i int) bool { return bytes.Compare(runs[i].meta.Last, key) >= 0 })
	if i == len(runs) || bytes.Compare(key, runs[i].meta.First) < 0 {
		return nil
	}
	return runs[i]
}

// get appends the newest value of key to dst. With a batch, its n-th key is this
// one, with the run of the last level that may hold it.
func (v *version) get(dst, key []byte, b *pager.Batch, n int) (value []byte, kind pager.EntryKind, found bool, err error) {
	if value, kind, found, err = v.getAbove(dst, key); found || err != nil {
		return value, kind, found, err
	}
	if b != nil {
		return b.Get(n, dst)
	}
	if r := v.find(nLevels-1, key); r != nil { // the last level has nearly everything
		return r.GetLikely(dst, key)
	}
	return dst, 0, false, nil
}

// getAbove is get without the last level.
func (v *version) getAbove(dst, key []byte) (value []byte, kind pager.EntryKind, found bool, err error) {
	for _, r := range v.levels[0] {
		if !r.overlaps(key, key) {
			continue
		}
		if value, kind, found, err = r.Get(dst, key); found || err != nil {
			return value, kind, found, err
		}
	}
	for l := 1; l < nLevels-1; l++ {
		r := v.find(l, key)
		if r == nil {
			continue
		}
		if value, kind, found, err = r.Get(dst, key); found || err != nil {
			return value, kind, found, err
		}
	}
	return dst, 0, false, nil
}

// overlapping returns the runs of a level that may hold keys of [first, last].
func (v *version) overlapping(level int, first, last []byte) []*run {
	var out []*run
	for _, r := range v.levels[level] {
		if r.overlaps(first, last) {
			out = append(out, r)
		}
	}
	return out
}

// all returns every run.
func (v *version) all() []*run {
	var out []*run
	for l := range v.levels {
		out = append(out, v.levels[l]...)
	}
	return out
}

// metas returns what the manifest says of the runs.
func (v *version) metas() []catalog.RunMeta {
	var out []catalog.RunMeta
	for l := range v.levels {
		for _, r := range v.levels[l] {
			m := r.meta
			m.Level = uint8(l) // it may have moved since it was written
			out = append(out, m)
		}
	}
	return out
}

// size returns the bytes of a level's files.
func (v *version) size(level int) (n int64) {
	for _, r := range v.levels[level] {
		n += r.meta.Size
	}
	return n
}

// bytes returns the size of all files.
func (v *version) bytes() (n int64) {
	for l := range v.levels {
		n += v.size(l)
	}
	return n
}

// Names below the database directory.
const (
	walDir   = "wal"
	runDir   = "runs"
	spillDir = "tmp"
)

func runPath(dir string, id uint64) string {
	return filepath.Join(dir, runDir, runName(id))
}
