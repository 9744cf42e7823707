package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// compareAll compares a snapshot with all that it must hold, forwards and
// backwards.
func (m *modelRun) compareAll(tx *Tx, want modelContents) error {
	if err := compareNames(tx, want); err != nil {
		return err
	}
	for name, records := range want {
		c, err := tx.Collection(name)
		if err != nil {
			return err
		}
		keys := slices.Sorted(maps.Keys(records))
		cur := c.Cursor(nil, nil)
		n := 0
		for cur.Next() {
			if n == len(keys) {
				return fmt.Errorf("%s: a record too many: %s", name, shortKey(string(cur.Key())))
			}
			if err := compareRecord(cur, name, keys[n], records[keys[n]]); err != nil {
				return err
			}
			n++
		}
		if cur.Err() != nil || n != len(keys) {
			return fmt.Errorf("%s: %d of %d records: %w", name, n, len(keys), errors.Join(errModelMissing, cur.Err()))
		}
		for cur.Prev() {
			if n == 0 {
				return fmt.Errorf("%s: a record before the first: %s", name, shortKey(string(cur.Key())))
			}
			n--
			if err := compareRecord(cur, name, keys[n], records[keys[n]]); err != nil {
				return err
			}
		}
		if cur.Err() != nil || n != 0 {
			return fmt.Errorf("%s: backwards, %d of %d records left: %w", name, n, len(keys), errors.Join(errModelMissing, cur.Err()))
		}
		if err := cur.Close(); err != nil {
			return err
		}
		m.nCompared += 2 * len(keys)
	}
	return nil
}

var errModelMissing = errors.New("records are missing")

func compareRecord(cur *Cursor, name, key, value string) error {
	if have := string(cur.Key()); have != key {
		return fmt.Errorf("%s: record %s, want %s", name, shortKey(have), shortKey(key))
	}
	have := cur.Value()
	if string(have) != value {
		return fmt.Errorf("%s/%s: another value, of %d bytes, want %d: %w", name, shortKey(key), len(have), len(value), errors.Join(errModelMissing, cur.Err()))
	}
	return nil
}

func compareNames(tx *Tx, want modelContents) error {
	names, err := tx.Collections()
	if err != nil {
		return err
	}
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(names, sorted) {
		return fmt.Errorf("collections %q, want %q", names, sorted)
	}
	return nil
}

// compareSome compares look-ups and walks in parts of a snapshot.
func (m *modelRun) compareSome(tx *Tx, want modelContents) error {
	if err := compareNames(tx, want); err != nil {
		return err
	}
	for name, records := range want {
		for range 20 {
			if err := m.compareGet(tx, name, records, m.randomKey()); err != nil {
				return err
			}
		}
		w, err := m.newWalk(tx, name, records)
		if err != nil {
			return err
		}
		for range 60 {
			if err := w.move(m); err != nil {
				return err
			}
		}
		if err := w.close(); err != nil {
			return err
		}
	}
	return nil
}

func (m *modelRun) compareGet(tx *Tx, name string, records map[string]string, key string) error {
	c, err := tx.Collection(name)
	if err != nil {
		return err
	}
	m.nCompared++
	have, err := c.Get([]byte(key))
	want, ok := records[key]
	if ok && err == nil && string(have) == want || !ok && errors.Is(err, ErrNotFound) {
		return nil
	}
	return fmt.Errorf("get %s/%s: %d bytes, %w; want %d bytes, %t", name, shortKey(key), len(have), errors.Join(errModelMissing, err), len(want), ok)
}

// A modelWalk is a cursor over a range and where it must stand.
type modelWalk struct {
	cur     *Cursor
	name    string
	keys    []string // in the range
	records map[string]string
	i       int // of the current record; -1 before the first, len(keys) behind the last
	fresh   bool
	trace   string
}

func (m *modelRun) newWalk(tx *Tx, name string, records map[string]string) (*modelWalk, error) {
	c, err := tx.Collection(name)
	if err != nil {
		return nil, err
	}
	w := &modelWalk{name: name, records: records, fresh: true}
	var lo, hi []byte
	if m.rng.IntN(3) > 0 {
		lo = []byte(m.randomKey())
	}
	if m.rng.IntN(3) > 0 {
		hi = []byte(m.randomKey())
	}
	for _, k := range slices.Sorted(maps.Keys(records)) {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			w.keys = append(w.keys, k)
		}
	}
	w.trace = fmt.Sprintf("[%s, %s)", shortKey(string(lo)), shortKey(string(hi)))
	w.cur = c.Cursor(lo, hi)
	return w, nil
}

// move makes one move and compares where it leads.
func (w *modelWalk) move(m *modelRun) error {
	var ok bool
	switch m.rng.IntN(9) {
	case 0:
		key := m.randomKey()
		w.trace += " seek " + shortKey(key)
		ok = w.cur.Seek([]byte(key))
		w.i, _ = slices.BinarySearch(w.keys, key)
	case 1, 2, 3, 4:
		w.trace += " prev"
		if ok = w.cur.Prev(); w.fresh {
			w.i = len(w.keys)
		}
		w.i = max(w.i-1, -1)
	default:
		w.trace += " next"
		if ok = w.cur.Next(); w.fresh {
			w.i = -1
		}
		w.i = min(w.i+1, len(w.keys))
	}
	w.fresh = false
	if err := w.cur.Err(); err != nil {
		return err
	}
	within := w.i >= 0 && w.i < len(w.keys)
	if ok != within {
		return fmt.Errorf("walk in %s%s: on a record: %t, want %t", w.name, w.trace, ok, within)
	}
	if !ok {
		return nil
	}
	m.nCompared++
	if err := compareRecord(w.cur, w.name, w.keys[w.i], w.records[w.keys[w.i]]); err != nil {
		return fmt.Errorf("walk %s: %w", w.trace, err)
	}
	return nil
}

func (w *modelWalk) close() error { return w.cur.Close() }
