package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// cursorKey returns one of few keys, so that sources overlap, with the bytes
// around which comparisons and prefixes go wrong.
func cursorKey(rnd *rand.Rand) string {
	b := make([]byte, rnd.IntN(4))
	for i := range b {
		b[i] = []byte{0, 'a', 'b', 0xff}[rnd.IntN(4)]
	}
	return string(b)
}

// cursorLayer is what one source holds: a nil value is a deletion.
type cursorLayer map[string][]byte

func randomLayer(rnd *rand.Rand, name string) cursorLayer {
	l := cursorLayer{}
	for range rnd.IntN(60) {
		k := cursorKey(rnd)
		switch rnd.IntN(8) {
		case 0, 1:
			l[k] = nil
		case 2: // in pages of its own, in a run
			l[k] = fmt.Appendf(nil, "%s %s %s", name, k, strings.Repeat("large ", 1000+rnd.IntN(8_000)*(1+9*(rnd.IntN(10)/9))))
		case 3:
			l[k] = []byte{}
		default:
			l[k] = fmt.Appendf(nil, "%s %s", name, k)
		}
	}
	return l
}

// cursorScene is a collection whose records are in all kinds of sources, with a
// model of what a reader sees, and of what the transaction that is open does.
type cursorScene struct {
	rnd       *rand.Rand
	db        *DB
	id        uint32
	committed map[string][]byte
}

func newCursorScene(t *testing.T, rnd *rand.Rand) *cursorScene {
	t.Helper()
	db := openTest(t, filepath.Join(t.TempDir(), "c.byok"), newFakeKey("k"), &Options{PageSize: 4 << 10, CacheSize: 1 << 20, scrub: func() error { return nil }})
	put(t, db, "a", "\xff\xff\xff\xff", "the neighbour below")
	in(t, db, true, func(*Collection) {})
	put(t, db, "z", "", "the neighbour above")
	s := &cursorScene{rnd: rnd, db: db, id: db.session.dir.ids["c"], committed: map[string][]byte{}}
	flush(t, db)
	db.session.stop() // the test lays the tree out by itself
	for level := lastLevel; level > 0; level-- {
		if rnd.IntN(3) > 0 {
			s.plant(t, uint8(level), randomLayer(rnd, fmt.Sprint("level ", level)))
		}
	}
	for i := range rnd.IntN(4) {
		s.plant(t, 0, randomLayer(rnd, fmt.Sprint("level 0, ", i)))
	}
	for i := range rnd.IntN(3) {
		layer := randomLayer(rnd, fmt.Sprint("commit ", i))
		in(t, db, true, func(c *Collection) { write(t, c, layer) })
		s.merge(layer)
	}
	return s
}

func (s *cursorScene) merge(l cursorLayer) {
	for k, v := range l {
		if s.committed[k] = v; v == nil {
			delete(s.committed, k)
		}
	}
}

// plant adds runs of a layer at a level, several ones if there is a choice.
func (s *cursorScene) plant(t *testing.T, level uint8, l cursorLayer) {
	t.Helper()
	w := &runWriter{s: s.db.session, ctx: t.Context(), level: level}
	for _, k := range slices.Sorted(maps.Keys(l)) {
		err := w.add(append(collectionPrefix(s.id), k...), l[k] == nil, l[k])
		if err == nil && s.rnd.IntN(10) == 0 {
			err = w.end()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	added, err := w.finish()
	if err == nil {
		err = s.db.session.install(nil, added, func(*catalog.Manifest) {}, func() {})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.merge(l)
}

func write(t *testing.T, c *Collection, l cursorLayer) {
	t.Helper()
	for k, v := range l {
		var err error
		if v == nil {
			err = c.Delete([]byte(k))
		} else {
			err = c.Put([]byte(k), v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A cursorModel is what a cursor over some bounds does.
type cursorModel struct {
	lo    string
	keys  []string // within the bounds, sorted
	place place
	i     int // of keys, when within
}

func newCursorModel(state map[string][]byte, lo, hi []byte) *cursorModel {
	m := &cursorModel{lo: string(lo)}
	for _, k := range slices.Sorted(maps.Keys(state)) {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			m.keys = append(m.keys, k)
		}
	}
	return m
}

// at moves to an index, or to the end that lies there.
func (m *cursorModel) at(i int, forward bool) bool {
	if i >= 0 && i < len(m.keys) {
		m.i, m.place = i, within
		return true
	}
	m.place = before
	if forward {
		m.place = behind
	}
	return false
}

func (m *cursorModel) next() bool {
	switch m.place {
	case behind:
		return false
	case within:
		return m.at(m.i+1, true)
	default:
		return m.at(0, true)
	}
}

func (m *cursorModel) prev() bool {
	switch m.place {
	case before:
		return false
	case within:
		return m.at(m.i-1, false)
	default:
		return m.at(len(m.keys)-1, false)
	}
}

func (m *cursorModel) seek(key string) bool {
	i, _ := slices.BinarySearch(m.keys, max(key, m.lo))
	return m.at(i, true)
}

// bounds returns random bounds, those among them that hold nothing.
func (s *cursorScene) bounds() (lo, hi []byte) {
	if s.rnd.IntN(4) > 0 {
		lo = []byte(cursorKey(s.rnd))
	}
	switch s.rnd.IntN(6) {
	case 0:
	case 1:
		hi = append([]byte{}, lo...) // equal
	case 2:
		hi = append([]byte{}, lo[:len(lo)/2]...) // a prefix, which is below
	case 3:
		hi = append(append([]byte{}, lo...), 0) // one key
	default:
		hi = []byte(cursorKey(s.rnd)) // below lo too
	}
	return lo, hi
}

// walk moves a cursor at random beside its model.
func (s *cursorScene) walk(t *testing.T, c *Collection, state map[string][]byte) int {
	t.Helper()
	lo, hi := s.bounds()
	cur, m := c.Cursor(lo, hi), newCursorModel(state, lo, hi)
	defer func() {
		if err := cur.Close(); err != nil {
			t.Error(err)
		}
	}()
	n := 0
	var done []string
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("[%q, %q) %s: %s", lo, hi, strings.Join(done, " "), fmt.Sprintf(format, args...))
	}
	back := false
	for range 100 {
		var got, want bool
		if s.rnd.IntN(6) == 0 { // mostly one way, as records are read ahead then
			back = !back
		}
		switch k := cursorKey(s.rnd); {
		case s.rnd.IntN(20) == 0:
			done = append(done, fmt.Sprintf("Seek(%q)", k))
			got, want = cur.Seek([]byte(k)), m.seek(k)
		case s.rnd.IntN(8) == 0:
			n, stop, back := 1+s.rnd.IntN(20), s.rnd.IntN(21), s.rnd.IntN(3) == 0
			done = append(done, fmt.Sprintf("Walk(%d, %v, stop at %d)", n, back, stop))
			got, want = walkBoth(t, cur, m, state, n, stop, back)
		case back:
			done = append(done, "Prev")
			got, want = cur.Prev(), m.prev()
		default:
			done = append(done, "Next")
			got, want = cur.Next(), m.next()
		}
		if got != want || cur.Err() != nil {
			fail("%v, want %v, %v", got, want, cur.Err())
		}
		if !want {
			if cur.Key() != nil || cur.Value() != nil || cur.UnsafeKey() != nil || cur.UnsafeValue() != nil {
				fail("a record, on none")
			}
			continue
		}
		n++
		key := m.keys[m.i]
		if string(cur.Key()) != key || string(cur.UnsafeKey()) != key {
			fail("key %q, want %q", cur.Key(), key)
		}
		s.compare(cur, state[key], fail)
	}
	return n
}

// walkBoth walks a cursor and its model up to max records, stopping at one.
func walkBoth(t *testing.T, cur *Cursor, m *cursorModel, state map[string][]byte, max, stop int, back bool) (got, want bool) {
	t.Helper()
	var keys []string
	got = cur.Walk(max, back, stop%2 == 0, func(key, value []byte) bool {
		if stop%2 == 0 && !bytes.Equal(value, state[string(key)]) || stop%2 != 0 && value != nil {
			t.Errorf("value of %q is %.20q", key, value)
		}
		keys = append(keys, string(key))
		return len(keys) != stop
	})
	var wanted []string
	for want = true; want && len(wanted) < max && (len(wanted) == 0 || len(wanted) != stop); {
		if back {
			want = m.prev()
		} else {
			want = m.next()
		}
		if want {
			wanted = append(wanted, m.keys[m.i])
		}
	}
	if !slices.Equal(keys, wanted) {
		t.Errorf("walked over %q, want %q", keys, wanted)
	}
	return got, want
}

// compare reads the current value in one of the ways.
func (s *cursorScene) compare(cur *Cursor, want []byte, fail func(string, ...any)) {
	var got []byte
	var err error
	switch s.rnd.IntN(4) {
	case 0:
		got = cur.Value()
	case 1:
		got = cur.UnsafeValue()
	case 2:
		var r *ValueReader
		if r, err = cur.ValueReader(); err == nil {
			got, err = io.ReadAll(r)
			err = errors.Join(err, r.Close())
		}
	default: // move on without reading
		return
	}
	if err != nil || cur.Err() != nil || got == nil || !bytes.Equal(got, want) {
		fail("value of %d bytes, want %d: %v, %v", len(got), len(want), err, cur.Err())
	}
}

// TestCursorModel walks cursors over memtables, runs of several levels,
// tombstones, large values and a transaction's own writes, beside a model.
func TestCursorModel(t *testing.T) {
	seed := testSeed(t, 0)
	scenes := 16
	if testing.Short() {
		scenes = 4
	}
	n := 0
	for i := range scenes {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		s := newCursorScene(t, rnd)
		in(t, s.db, false, func(c *Collection) {
			for range 30 {
				n += s.walk(t, c, s.committed)
			}
		})
		tx, err := s.db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }() // ended below, unless the test fails
		c, err := tx.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		own := maps.Clone(s.committed)
		for range 3 {
			layer := randomLayer(rnd, "own")
			write(t, c, layer)
			for k, v := range layer {
				if own[k] = v; v == nil {
					delete(own, k)
				}
			}
			for range 10 {
				n += s.walk(t, c, own)
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n < scenes*500 {
		t.Errorf("only %d records were seen", n)
	}
}

// TestCursorBounds spells out what the model says of a few records.
func TestCursorBounds(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "c.byok"), newFakeKey("k"), nil)
	for _, k := range []string{"b", "bb", "c", "d"} {
		put(t, db, "c", k, "")
	}
	put(t, db, "next", "a", "")
	for _, x := range []struct {
		lo, hi []byte
		want   string
	}{
		{nil, nil, "b bb c d"},
		{[]byte{}, nil, "b bb c d"},
		{nil, []byte{}, ""},
		{[]byte("b"), []byte("d"), "b bb c"},
		{[]byte("b\x00"), []byte("c\x00"), "bb c"},
		{[]byte("b"), []byte("b"), ""},
		{[]byte("b"), []byte("b\x00"), "b"},
		{[]byte("d"), []byte("b"), ""},
		{[]byte("bb"), []byte("b"), ""},
		{[]byte("e"), nil, ""},
		{nil, []byte("a"), ""},
		{[]byte("\xff\xff\xff\xff\xff"), nil, ""},
	} {
		in(t, db, false, func(c *Collection) {
			cur := c.Cursor(x.lo, x.hi)
			var forth, back []string
			for cur.Next() {
				forth = append(forth, string(cur.Key()))
			}
			for cur.Prev() {
				back = append(back, string(cur.Key()))
			}
			slices.Reverse(back)
			if f, b := strings.Join(forth, " "), strings.Join(back, " "); f != x.want || b != x.want {
				t.Errorf("[%q, %q): forth %q, back %q, want %q", x.lo, x.hi, f, b, x.want)
			}
			first := x.want != ""
			if cur.Seek(nil) != first || cur.Seek([]byte("\xff")) || cur.Prev() != first {
				t.Errorf("[%q, %q): Seek before the bounds, behind them, Prev", x.lo, x.hi)
			}
		})
	}
}
