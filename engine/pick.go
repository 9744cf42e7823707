package engine

import (
	"bytes"
	"math"
	"slices"
)

// A compaction replaces runs of one level and of another below it by new ones
// of the lower. Its version holds the runs meanwhile, its claim keeps other
// compactions away.
type compaction struct {
	v      *version
	from   int
	to     int
	inputs [nLevels][]*run // by level, each in the version's order
	live   *live
	claim  span
	kind   compactionKind
}

// compactionKind says how a compaction is carried out.
type compactionKind uint8

const (
	mergeDown compactionKind = iota // write new runs
	moveDown                        // the upper runs go down as they are
	dropDead                        // the upper runs hold dropped collections alone
)

// garbageShare is the part of a run that has to belong to dropped collections,
// or that tombstones have to be of its entries, before it is rewritten for that
// alone.
const (
	garbageShare   = 0.125
	tombstoneShare = 0.5
)

// pickCompaction returns the most urgent compaction that is in nobody's way,
// claimed and with a reference to its version, or nil. When the database is
// idle, level 0 is emptied too: reads get faster.
func (s *session) pickCompaction(idle bool) (*compaction, error) {
	s.mu.Lock()
	v := s.version.ref()
	s.mu.Unlock()
	s.manifestMu.Lock()
	l := newLive(s.manifest) // not older than v: a bulk load brings a collection whose id was passed over
	s.manifestMu.Unlock()
	p := picker{s: s, v: v, sh: v.shape(s.db.opts.baseSize()), live: l}
	c, err := p.pick(idle)
	if c == nil {
		v.unref()
	}
	return c, err
}

// A picker looks for work in one version.
type picker struct {
	s    *session
	v    *version
	sh   shape
	live *live
}

func (p *picker) pick(idle bool) (*compaction, error) {
	if c := p.dead(); c != nil {
		return c, nil
	}
	for _, l := range p.byUrgency() {
		if c := p.level(l); c != nil {
			return c, nil
		}
	}
	if c, err := p.wasteful(); c != nil || err != nil {
		return c, err
	}
	if idle && len(p.v.levels[0]) > 0 {
		return p.level(0), nil
	}
	return nil, nil //nolint:nilnil // nothing to do is no error
}

// byUrgency returns the levels that want to be merged, most urgent first.
func (p *picker) byUrgency() []int {
	var levels []int
	for l := range lastLevel {
		if p.v.score(l, &p.sh) >= 1 {
			levels = append(levels, l)
		}
	}
	slices.SortStableFunc(levels, func(a, b int) int {
		x, y := p.v.score(a, &p.sh), p.v.score(b, &p.sh)
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		default:
			return 0
		}
	})
	return levels
}

// dead returns a compaction that drops a run whose collections were all dropped.
func (p *picker) dead() *compaction {
	for l := range p.v.levels {
		for _, r := range p.v.levels[l] {
			first, _ := splitKey(r.meta.First)
			last, _ := splitKey(r.meta.Last)
			whole := false
			_ = p.live.gaps(first, last, func(from, to uint32) error { // fn returns no error
				whole = from <= first && to >= last
				return nil
			})
			if !whole {
				continue
			}
			c := p.job(l, l, []*run{r})
			c.kind = dropDead
			if p.claim(c) {
				return c
			}
		}
	}
	return nil
}

// level returns the best compaction of one level into the next, nil if another
// is in the way.
func (p *picker) level(level int) *compaction {
	to := p.v.below(level, &p.sh)
	if level == 0 {
		if c := p.job(0, to, p.v.levels[0]); p.claim(c) {
			return c
		}
		return nil
	}
	type candidate struct {
		c    *compaction
		cost float64
	}
	found := make([]candidate, 0, len(p.v.levels[level]))
	for _, r := range p.v.levels[level] {
		c := p.job(level, to, []*run{r})
		found = append(found, candidate{c, c.cost()})
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		switch {
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		default: // over time every part of the level has its turn
			return cmpUint(a.c.upper()[0].meta.ID, b.c.upper()[0].meta.ID)
		}
	})
	for _, f := range found {
		if p.claim(f.c) {
			return f.c
		}
	}
	return nil
}

// cost says what a compaction of one upper run rewrites for each byte that it
// moves down. Tombstones make it cheaper: they free what they meet.
func (c *compaction) cost() float64 {
	r := c.upper()[0]
	n := 0.0
	for _, o := range c.inputs[c.to] {
		n += float64(o.meta.Size)
	}
	alive := 1 - float64(r.meta.Tombstones)/math.Max(float64(r.meta.Entries), 1)
	return n / math.Max(float64(r.meta.Size), 1) * alive
}

// wasteful returns a compaction of a run that holds much of dropped
// collections, or many tombstones: their space returns though nothing more is
// written.
func (p *picker) wasteful() (*compaction, error) {
	for l := 1; l < nLevels; l++ {
		for _, r := range p.v.levels[l] {
			n, err := r.garbage(p.live)
			if err != nil {
				return nil, err
			}
			to := l // as far as dropped collections go, there is nothing to merge with
			if float64(r.meta.Tombstones) >= tombstoneShare*float64(r.meta.Entries) && l < lastLevel {
				to = p.v.below(l, &p.sh)
			} else if float64(n) < garbageShare*float64(r.meta.Size) || n == 0 {
				continue
			}
			if c := p.job(l, to, []*run{r}); p.claim(c) {
				return c, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // nothing to do is no error
}

// job completes a compaction from its upper runs. From a level into itself it
// rewrites them.
func (p *picker) job(from, to int, upper []*run) *compaction {
	c := p.v.job(from, to, upper)
	c.live = p.live
	if from > 0 && from < to && len(c.inputs[to]) == 0 && !p.rewrites(c) {
		c.kind = moveDown
	}
	return c
}

// rewrites reports whether moving runs as they are would keep what a merge drops.
func (p *picker) rewrites(c *compaction) bool {
	for _, r := range c.upper() {
		n, err := r.garbage(p.live)
		if err != nil || n > 0 || r.meta.Tombstones > 0 && c.to == lastLevel {
			return true // the merge meets the error again and reports it
		}
	}
	return false
}

func (v *version) job(from, to int, upper []*run) *compaction {
	c := &compaction{v: v, from: from, to: to}
	c.inputs[from] = upper
	if from < to { // the levels between have nothing
		first, last := keyRange(upper)
		c.inputs[to] = v.overlapping(to, first, last)
	}
	first, last := keyRange(c.runs())
	c.claim = span{from: from, to: to, first: first, last: last}
	return c
}

func (c *compaction) upper() []*run { return c.inputs[c.from] }

// runs returns all inputs.
func (c *compaction) runs() []*run { return slices.Concat(c.inputs[:]...) }

// claim takes the compaction's part of the tree, if nobody else is at work there.
func (p *picker) claim(c *compaction) bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.version != p.v { // another ended meanwhile: look again
		kick(p.s.merges)
		return false
	}
	return p.s.claimSpan(&c.claim)
}

// claimSpan takes a part of the tree, so that nobody else changes what runs hold
// there. s.mu is held. Flushes need no claim: they add to level 0 only.
func (s *session) claimSpan(want *span) bool {
	for _, have := range s.claims {
		if have.overlaps(want) {
			return false
		}
	}
	s.claims = append(s.claims, want)
	return true
}

func (s *session) releaseSpan(was *span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = slices.DeleteFunc(s.claims, func(c *span) bool { return c == was })
	s.changed.Broadcast()
	kick(s.reseals)
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
