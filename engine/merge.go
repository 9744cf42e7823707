package engine

import (
	"bytes"
	"sort"

	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/pager"
)

// A source is one ordered map among those that make up a snapshot.
type source interface {
	reader
	First() bool
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	Next() bool
	Prev() bool
	Key() []byte
	Value() ([]byte, error)
	large() *pager.Iter // on the value, if it is a large one in a run; else nil

	tombstone() bool
	Err() error
	Close() error
}

// A reader reads ahead: records that are at hand, since they are in memory or in
// the leaf on which the source stands.
type reader interface {
	// ahead moves past records that come next and are at hand, as far as dst has
	// room, and appends them: none that is deleted, large or not within to.
	ahead(dst []pager.Record, to bound) []pager.Record

	// following returns the n-th record that comes next, counted from 0, with its
	// internal key, if all up to it are at hand, not deleted and not large; skip
	// moves past n of them. What they return is valid until the source leaves its
	// leaf.
	following(n int, back bool) (pager.Record, bool)
	skip(n int, back bool)
	reach(back bool) []byte // key of the last record at hand, or of the current one
}

type memSource struct{ *memtable.Iter }

func (s memSource) large() *pager.Iter { return nil }
func (s memSource) tombstone() bool    { return s.Kind() == memtable.Tombstone }

func (s memSource) ahead(dst []pager.Record, to bound) []pager.Record {
	n := 0
	for len(dst) < cap(dst) {
		key, value, ok := s.Following(n, to.back)
		if !ok || !to.admits(key) {
			break
		}
		dst = append(dst, pager.Record{Key: key[collectionIDSize:], Value: value})
		n++
	}
	s.Skip(n)
	return dst
}

func (s memSource) following(n int, back bool) (pager.Record, bool) {
	key, value, ok := s.Following(n, back)
	return pager.Record{Key: key, Value: value}, ok
}

func (s memSource) skip(n int, _ bool)     { s.Skip(n) }
func (s memSource) reach(back bool) []byte { return s.Reach(back) }

type runSource struct{ *pager.Iter }

func (s runSource) large() *pager.Iter { return largeOf(s.Iter) }
func (s runSource) tombstone() bool    { return s.Kind() == pager.Tombstone }

func (s runSource) ahead(dst []pager.Record, to bound) []pager.Record {
	return runAhead(s.Iter, dst, to)
}

func (s runSource) following(n int, back bool) (pager.Record, bool) { return s.Following(n, back) }
func (s runSource) skip(n int, back bool)                           { s.Skip(n, back) }
func (s runSource) reach(back bool) []byte                          { return s.Reach(back) }

func runAhead(it *pager.Iter, dst []pager.Record, to bound) []pager.Record {
	if to.back {
		return it.Behind(dst, to.key, to.inclusive, collectionIDSize)
	}
	return it.Ahead(dst, to.key, collectionIDSize)
}

func largeOf(it *pager.Iter) *pager.Iter {
	if it.Large() {
		return it
	}
	return nil
}

// levelSource walks the runs of one level, which do not overlap, as one map.
// It has at most one run's iterator open.
type levelSource struct {
	runs []*run
	scan bool // past the cache
	i    int
	it   *pager.Iter
	err  error
}

func (s *levelSource) open(i int) bool {
	if s.it != nil {
		s.note(s.it.Err())
		s.note(s.it.Close())
		s.it = nil
	}
	if s.i = i; s.err != nil || i < 0 || i >= len(s.runs) {
		return false
	}
	if s.scan {
		s.it = s.runs[i].NewScan()
	} else {
		s.it = s.runs[i].NewIter()
	}
	return true
}

func (s *levelSource) note(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *levelSource) First() bool { return s.open(0) && (s.it.First() || s.forward()) }

func (s *levelSource) SeekGE(key []byte) bool {
	i := sort.Search(len(s.runs), func(i int) bool { return bytes.Compare(s.runs[i].meta.Last, key) >= 0 })
	return (s.it != nil && s.i == i || s.open(i)) && (s.it.SeekGE(key) || s.forward())
}

func (s *levelSource) SeekLT(key []byte) bool {
	i := sort.Search(len(s.runs), func(i int) bool { return bytes.Compare(s.runs[i].meta.First, key) >= 0 }) - 1
	return (s.it != nil && s.i == i || s.open(i)) && (s.it.SeekLT(key) || s.backward())
}

func (s *levelSource) Next() bool { return s.it != nil && (s.it.Next() || s.forward()) }
func (s *levelSource) Prev() bool { return s.it != nil && (s.it.Prev() || s.backward()) }

// forward goes on with the next run after the end of one.
func (s *levelSource) forward() bool {
	for s.open(s.i + 1) {
		if s.it.First() {
			return true
		}
	}
	return false
}

func (s *levelSource) backward() bool {
	for s.open(s.i - 1) {
		if s.it.Last() {
			return true
		}
	}
	return false
}

func (s *levelSource) Key() []byte            { return s.it.Key() }
func (s *levelSource) Value() ([]byte, error) { return s.it.Value() }
func (s *levelSource) large() *pager.Iter     { return largeOf(s.it) }
func (s *levelSource) tombstone() bool        { return s.it.Kind() == pager.Tombstone }

func (s *levelSource) ahead(dst []pager.Record, to bound) []pager.Record {
	return runAhead(s.it, dst, to)
}

func (s *levelSource) following(n int, back bool) (pager.Record, bool) {
	return s.it.Following(n, back)
}

func (s *levelSource) skip(n int, back bool)  { s.it.Skip(n, back) }
func (s *levelSource) reach(back bool) []byte { return s.it.Reach(back) }

func (s *levelSource) Err() error {
	if s.it != nil {
		s.note(s.it.Err())
	}
	return s.err
}

func (s *levelSource) Close() error {
	s.open(-1)
	return s.err
}

// A merge walks several sources as one map: of equal keys the first source's
// entry counts. It yields tombstones; its user skips them.
type merge struct {
	sources []source // newest first
	keys    [][]byte // the key that each stands on, nil at its end; valid until it moves
	cur     int      // index of the current source, −1 when not valid
	back    bool     // the other sources stand behind the current key
	scratch []byte   // key at a change of direction
	heads   []head   // of mingle
	err     error
}

func newMerge(sources []source) *merge {
	return &merge{sources: sources, keys: make([][]byte, len(sources)), cur: -1}
}

func (m *merge) first() bool {
	m.back = false
	for i, s := range m.sources {
		m.moved(i, s.First())
	}
	return m.pick()
}

func (m *merge) seekGE(key []byte) bool {
	m.back = false
	for i, s := range m.sources {
		m.moved(i, s.SeekGE(key))
	}
	return m.pick()
}

func (m *merge) seekLT(key []byte) bool {
	m.back = true
	for i, s := range m.sources {
		m.moved(i, s.SeekLT(key))
	}
	return m.pick()
}

// moved notes where a source stands after a move.
func (m *merge) moved(i int, ok bool) {
	if ok {
		m.keys[i] = m.sources[i].Key()
		return
	}
	m.keys[i] = nil
	if err := m.sources[i].Err(); err != nil && m.err == nil {
		m.err = err
	}
}

// next moves to the next larger key. The merge must be valid.
func (m *merge) next() bool {
	if m.back {
		m.turn()
	}
	key := m.keys[m.cur]
	for i, k := range m.keys { // older entries of the same key
		if i != m.cur && k != nil && bytes.Equal(k, key) {
			m.moved(i, m.sources[i].Next())
		}
	}
	m.moved(m.cur, m.sources[m.cur].Next())
	return m.pick()
}

// prev moves to the next smaller key. The merge must be valid.
func (m *merge) prev() bool {
	if !m.back {
		m.turn()
	}
	key := m.keys[m.cur]
	for i, k := range m.keys {
		if i != m.cur && k != nil && bytes.Equal(k, key) {
			m.moved(i, m.sources[i].Prev())
		}
	}
	m.moved(m.cur, m.sources[m.cur].Prev())
	return m.pick()
}

func (m *merge) step(back bool) bool {
	if back {
		return m.prev()
	}
	return m.next()
}

// turn changes direction: the current source stays, every other one moves to
// its nearest key on the other side.
func (m *merge) turn() {
	m.back = !m.back
	m.scratch = append(m.scratch[:0], m.keys[m.cur]...)
	for i, s := range m.sources {
		switch {
		case i == m.cur:
		case m.back:
			m.moved(i, s.SeekLT(m.scratch))
		default:
			if m.moved(i, s.SeekGE(m.scratch)); m.keys[i] != nil && bytes.Equal(m.keys[i], m.scratch) {
				m.moved(i, s.Next())
			}
		}
	}
}

// pick makes the source with the nearest key the current one.
func (m *merge) pick() bool {
	m.cur = -1
	if m.err != nil {
		return false
	}
	for i, key := range m.keys {
		if key == nil {
			continue
		}
		if m.cur >= 0 {
			c := bytes.Compare(key, m.keys[m.cur])
			if m.back && c <= 0 || !m.back && c >= 0 {
				continue
			}
		}
		m.cur = i
	}
	return m.cur >= 0
}

// A bound is where a walk in one direction ends.
type bound struct {
	key       []byte
	inclusive bool // going back: a record of this key is within
	back      bool
}

func (b bound) admits(key []byte) bool {
	c := bytes.Compare(key, b.key)
	return !b.back && c < 0 || b.back && (c > 0 || c == 0 && b.inclusive)
}

// ahead appends records that follow the current one, up to the end of the walk,
// and moves to the last of them. No source leaves its leaf for it. The last move
// must have been in the same direction.
func (m *merge) ahead(dst []pager.Record, end bound) []pager.Record {
	near, others := end, false // up to the nearest record of another source
	for i, key := range m.keys {
		if i != m.cur && key != nil && near.admits(key) {
			near.key, near.inclusive, others = key, false, true
		}
	}
	n := len(dst)
	if dst = m.sources[m.cur].ahead(dst, near); len(dst) > n {
		m.moved(m.cur, true)
	}
	if others && len(dst) < cap(dst) {
		dst = m.mingle(dst, end)
	}
	return dst
}

func (m *merge) inMemory() bool { // the current record lives as long as the snapshot
	_, ok := m.sources[m.cur].(memSource)
	return ok
}

func (m *merge) fail(err error) {
	m.cur = -1
	if m.err == nil {
		m.err = err
	}
}

func (m *merge) key() []byte            { return m.keys[m.cur] }
func (m *merge) value() ([]byte, error) { return m.sources[m.cur].Value() }
func (m *merge) large() *pager.Iter     { return m.sources[m.cur].large() }
func (m *merge) tombstone() bool        { return m.sources[m.cur].tombstone() }

func (m *merge) close() error {
	err := m.err
	for _, s := range m.sources {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}
	clear(m.scratch[:cap(m.scratch)])
	m.sources, m.keys, m.cur, m.scratch, m.heads = nil, nil, -1, nil, nil
	return err
}
