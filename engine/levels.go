package engine

import (
	"bytes"
	"slices"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// The shape of the tree. Level 0 is what was flushed. The last level holds
// nearly everything; each level above it may hold a tenth of the one below, up
// to the base level, the uppermost in use below level 0. So at most about a
// ninth of the tree can be older versions of records, whatever its size; with
// fixed sizes for the upper levels it could be half.
const (
	level0RunsMax = 4         // runs in level 0 before they are merged into the base level
	baseSizeMax   = 256 << 20 // bytes of the base level
	levelFactor   = 10
	lastLevel     = nLevels - 1
)

// shape says how large each level of a version may be.
type shape struct {
	base int            // uppermost level in use below level 0
	size [nLevels]int64 // bytes; 0 above base: what is there moves down
}

// baseSize scales the levels with the memtable, so that small ones have a tree
// of several levels too.
func (o *Options) baseSize() int64 { return min(baseSizeMax, 4*o.MemtableSize) }

func (v *version) shape(baseSize int64) shape {
	var most int64
	for l := 1; l < nLevels; l++ {
		most = max(most, v.size(l))
	}
	sh := shape{base: lastLevel}
	sh.size[lastLevel] = max(most, 1)
	for sh.base > 1 && sh.size[sh.base] > baseSize {
		sh.base--
		sh.size[sh.base] = sh.size[sh.base+1] / levelFactor
	}
	return sh
}

// below returns where the runs of a level go: to the next level that may hold
// runs or does.
func (v *version) below(level int, sh *shape) int {
	for l := level + 1; l < lastLevel; l++ {
		if l >= sh.base || len(v.levels[l]) > 0 {
			return l
		}
	}
	return lastLevel
}

// score says how urgently a level wants to be merged into the one below: from 1
// on it does.
func (v *version) score(level int, sh *shape) float64 {
	switch {
	case level == 0:
		return float64(len(v.levels[0])) / level0RunsMax
	case level == lastLevel || len(v.levels[level]) == 0:
		return 0
	case level < sh.base:
		return 2
	default:
		return float64(v.size(level)) / float64(max(sh.size[level], 1))
	}
}

// A span is a part of the tree: levels and keys, both ends included.
type span struct {
	from, to    int
	first, last []byte
}

func (a *span) overlaps(b *span) bool {
	return a.from <= b.to && b.from <= a.to &&
		bytes.Compare(a.first, b.last) <= 0 && bytes.Compare(b.first, a.last) <= 0
}

// live is the set of collections that a manifest knows, to tell what belongs to
// dropped ones.
type live struct {
	ids  []uint32 // ascending
	next uint32   // ids from here on were not given when the manifest was written
	era  uint64   // two sets of one database with the same era are the same
}

func newLive(m *catalog.Manifest) *live {
	l := &live{ids: make([]uint32, 0, len(m.Collections)), next: m.NextCollection}
	for _, c := range m.Collections {
		l.ids = append(l.ids, c.ID)
	}
	slices.Sort(l.ids)
	// Creating raises next, dropping only shortens the list: no pair comes twice.
	l.era = uint64(l.next)<<32 | uint64(len(l.ids))
	return l
}

// dead reports whether a collection was dropped. What runs hold was flushed
// together with a directory: an id that was given and is not listed was dropped.
func (l *live) dead(id uint32) bool {
	_, found := slices.BinarySearch(l.ids, id)
	return !found && id < l.next
}

// gaps calls fn for every range of dropped ids within [first, last].
func (l *live) gaps(first, last uint32, fn func(from, to uint32) error) error {
	end := min(uint64(last)+1, uint64(l.next))
	i, _ := slices.BinarySearch(l.ids, first)
	for from := uint64(first); from < end; i++ {
		to := end // exclusive
		if i < len(l.ids) {
			to = min(to, uint64(l.ids[i]))
		}
		if from < to {
			if err := fn(uint32(from), uint32(to-1)); err != nil {
				return err
			}
		}
		from = to + 1
	}
	return nil
}

// garbage returns about how many bytes of a run belong to dropped collections:
// 0 only if there are none, and never 0 if there are any, so that a run that was
// rewritten for them is not rewritten again. It reads a leaf for each gap between
// the ids of live collections, once for each run and set of collections.
func (r *run) garbage(l *live) (int64, error) {
	if r.garbageEra.Load() == l.era+1 {
		return r.garbageSize.Load(), nil
	}
	first, _ := splitKey(r.meta.First)
	last, _ := splitKey(r.meta.Last)
	var n int64
	err := l.gaps(first, last, func(from, to uint32) error {
		size, err := r.sizeOf(from, to, last)
		n += size
		return err
	})
	if err != nil {
		return 0, translate(err)
	}
	r.garbageSize.Store(n)
	r.garbageEra.Store(l.era + 1)
	return n, nil
}

// sizeOf returns about how many bytes of the run belong to collections from to
// to; last is the run's last one.
func (r *run) sizeOf(from, to, last uint32) (n int64, err error) {
	it := r.NewIter()
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	if !it.SeekGE(collectionPrefix(from)) {
		return 0, it.Err()
	}
	if id, _ := splitKey(it.Key()); id > to {
		return 0, nil
	}
	begin, err := r.OffsetOf(it.Key())
	if err != nil {
		return 0, err
	}
	end := r.meta.Size
	if to < last {
		if end, err = r.OffsetOf(collectionPrefix(to + 1)); err != nil {
			return 0, err
		}
	}
	return max(end-begin, 1), nil
}
