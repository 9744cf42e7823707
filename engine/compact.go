package engine

import (
	"bytes"
	"slices"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// Compaction keeps the tree in shape: level 0 short, every other level within
// its size, ten times the one above.
const (
	level0RunsMax = 4         // runs in level 0 before they are merged into level 1
	level1SizeMax = 256 << 20 // bytes
	levelFactor   = 10
)

// compactor merges runs while there is a level that is too large.
func (s *session) compactor() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.merges:
		}
		for s.ctx.Err() == nil {
			job := s.pickCompaction()
			if job == nil {
				break
			}
			if err := s.compact(job); err != nil {
				if s.backgroundFault("compaction", err) {
					return
				}
				break
			}
		}
	}
}

// A compaction replaces runs of one level and of the next by new ones of the
// next. Its version holds the runs meanwhile.
type compaction struct {
	v      *version
	level  int
	upper  []*run // from level
	lower  []*run // from level+1
	dead   func(collection uint32) bool
	drop   bool // the upper runs hold dropped collections alone: just drop them
	bottom bool // nothing below level+1 holds any key of these
}

// pickCompaction returns the most urgent compaction with a reference to its
// version, nil if the tree is in shape.
func (s *session) pickCompaction() *compaction {
	s.manifestMu.Lock()
	m := s.manifest
	s.manifestMu.Unlock()
	live := make(map[uint32]bool, len(m.Collections))
	for _, c := range m.Collections {
		live[c.ID] = true
	}
	// What runs hold was flushed with a directory: an id that the manifest gave
	// and does not list was dropped.
	dead := func(id uint32) bool { return id < m.NextCollection && !live[id] }

	s.mu.Lock()
	v := s.version.ref()
	s.mu.Unlock()
	c := v.pick(dead, s.db.opts.level1Size())
	if c == nil {
		v.unref()
		return nil
	}
	c.v, c.dead = v, dead
	return c
}

// level1Size scales the levels with the memtable, so that small ones in tests
// have a tree of several levels too.
func (o *Options) level1Size() int64 { return min(level1SizeMax, 4*o.MemtableSize) }

func (v *version) pick(dead func(uint32) bool, level1Size int64) *compaction {
	for l := range v.levels {
		for _, r := range v.levels[l] {
			first, _ := splitKey(r.meta.First)
			last, _ := splitKey(r.meta.Last)
			if first == last && dead(first) {
				return &compaction{level: l, upper: []*run{r}, drop: true}
			}
		}
	}
	if len(v.levels[0]) >= level0RunsMax {
		return v.job(0, v.levels[0])
	}
	limit := level1Size
	for l := 1; l < nLevels-1; l++ {
		if v.size(l) > limit {
			return v.job(l, []*run{v.oldest(l)})
		}
		limit *= levelFactor
	}
	return nil
}

// oldest returns the run of a level that was written first: over time every
// part of the level has its turn.
func (v *version) oldest(level int) *run {
	return slices.MinFunc(v.levels[level], func(a, b *run) int { return cmpUint(a.meta.ID, b.meta.ID) })
}

// job completes a compaction from its upper runs.
func (v *version) job(level int, upper []*run) *compaction {
	c := &compaction{level: level, upper: upper, bottom: true}
	first, last := keyRange(upper)
	c.lower = v.overlapping(level+1, first, last)
	for l := level + 2; l < nLevels; l++ {
		if len(v.overlapping(l, first, last)) > 0 {
			c.bottom = false
		}
	}
	return c
}

func keyRange(runs []*run) (first, last []byte) {
	for i, r := range runs {
		if i == 0 || bytes.Compare(r.meta.First, first) < 0 {
			first = r.meta.First
		}
		if i == 0 || bytes.Compare(r.meta.Last, last) > 0 {
			last = r.meta.Last
		}
	}
	return first, last
}

// compact carries a compaction out.
func (s *session) compact(c *compaction) error {
	defer c.v.unref()
	gone := append(slices.Clone(c.upper), c.lower...)
	if c.drop {
		return s.install(gone, nil, func(*catalog.Manifest) {}, func() {})
	}
	added, err := s.mergeRuns(c)
	if err != nil {
		return err
	}
	return s.install(gone, added, func(*catalog.Manifest) {}, func() {})
}

// mergeRuns writes the newest entry of every key to new runs. Tombstones end
// where nothing below can need them; what belonged to dropped collections ends
// everywhere.
func (s *session) mergeRuns(c *compaction) ([]*run, error) {
	var sources []source
	if c.level == 0 {
		for _, r := range c.upper { // newest first, as in the version
			sources = append(sources, runSource{r.NewIter()})
		}
	} else {
		sources = append(sources, &levelSource{runs: c.upper, i: -1})
	}
	if len(c.lower) > 0 {
		sources = append(sources, &levelSource{runs: c.lower, i: -1})
	}
	m := newMerge(sources)
	w := &runWriter{s: s, ctx: s.ctx, level: uint8(c.level + 1)}
	for ok := m.first(); ok; ok = m.next() {
		id, _ := splitKey(m.key())
		if m.tombstone() && c.bottom || c.dead(id) {
			continue
		}
		value, err := m.value()
		if err == nil {
			err = w.add(m.key(), m.tombstone(), value)
		}
		if err != nil {
			m.fail(err)
			break
		}
	}
	if err := m.close(); err != nil {
		w.abort()
		return nil, err
	}
	return w.finish()
}
