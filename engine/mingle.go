package engine

import (
	"bytes"

	"github.com/byokdb/byokdb/pager"
)

// A head is the nearest record of a source that has not been taken, while a merge
// reads ahead in several sources at once.
type head struct {
	key, value []byte // the key is nil where the source has no record
	taken      int    // how many records the source is behind
}

// mingle appends records that follow the current one as long as every source has
// what comes next at hand, and moves to the last of them. It looks where they will
// stand, and moves them in the end.
func (m *merge) mingle(dst []pager.Record, end bound) []pager.Record {
	if m.heads == nil {
		m.heads = make([]head, len(m.sources))
	}
	free := true // all that is at hand is within the bound
	for i, key := range m.keys {
		m.heads[i] = head{key: key}
		free = free && (key == nil || end.admits(m.sources[i].reach(end.back)))
	}
	last := m.cur
	for equal := true; len(dst) < cap(dst) && (!equal || m.passEqual(last, end.back)) && m.pull(last, end.back); {
		var i int
		i, equal = m.nearest(end.back)
		h := &m.heads[i]
		if !free && !end.admits(h.key) || !m.readable(i) {
			m.heads[last].taken-- // it stays on the record that was taken last
			break
		}
		dst = append(dst, pager.Record{Key: h.key[collectionIDSize:], Value: h.value})
		last = i
	}
	for i := range m.heads {
		if n := m.heads[i].taken; n > 0 {
			m.sources[i].skip(n, end.back)
			m.moved(i, true)
		}
		m.heads[i] = head{}
	}
	m.cur = last
	return dst
}

// passEqual takes what other sources have of the key that a source's head has. It
// reports false when one of them does not have the record at hand that comes next.
func (m *merge) passEqual(last int, back bool) bool {
	key := m.heads[last].key
	for i := range m.heads {
		if h := &m.heads[i]; i != last && h.key != nil && bytes.Equal(h.key, key) && !m.pull(i, back) {
			return false
		}
	}
	return true
}

// pull makes the record behind a source's head its head.
func (m *merge) pull(i int, back bool) bool {
	h := &m.heads[i]
	r, ok := m.sources[i].following(h.taken, back)
	if ok {
		*h = head{key: r.Key, value: r.Value, taken: h.taken + 1}
	}
	return ok
}

// nearest returns the source with the nearest head, of equal ones the newest, and
// whether there are equal ones. At least one source has a head.
func (m *merge) nearest(back bool) (near int, equal bool) {
	near = -1
	for i := range m.heads {
		key := m.heads[i].key
		if key == nil {
			continue
		}
		if near >= 0 {
			c := bytes.Compare(key, m.heads[near].key)
			if equal = equal || c == 0; back && c <= 0 || !back && c >= 0 {
				continue
			}
		}
		near = i
	}
	return near, equal
}

// readable reports whether a head is a record to append, and reads the value where
// the source stands on it.
func (m *merge) readable(i int) bool {
	h, s := &m.heads[i], m.sources[i]
	if h.taken > 0 {
		return true
	}
	if s.tombstone() || s.large() != nil {
		return false
	}
	var err error
	h.value, err = s.Value() // in a leaf or in memory: whoever asks for it again sees an error
	return err == nil
}
