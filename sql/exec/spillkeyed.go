package exec

import (
	"sort"

	"github.com/byokdb/byokdb/sql/value"
)

const (
	keyedBlock     = 8 << 10 // bytes of a block, of which one is read for a key
	keyedCacheMin  = 1       // blocks
	keyedCacheMax  = 2048
	keyedFirstSize = 40 // bytes that a block's first key takes beside itself
)

// keyedFile is rows sorted by a key, their first value, in blocks whose first
// keys are in memory: rows are found by their key. It is not used within an
// operation of the transaction.
type keyedFile struct {
	f      *frame
	run    *spillRun
	firsts []string
	cache  []cachedBlock // block i is in place i modulo its length; made by end
	mem    int64

	key  []byte // that is looked for
	next int    // the block after the one that rest is of
	rest []byte // from where rows may have it
	row  []value.Value
}

type cachedBlock struct {
	i     int // number of the block, from 1; 0: none
	rows  []byte
	marks []int32 // where every keyedMark-th row begins
}

// keyedMark is after how many rows of a block the next mark is.
const keyedMark = 16

// newKeyedFile returns a file for rows of width values.
func newKeyedFile(f *frame, width int) *keyedFile {
	return &keyedFile{f: f, run: &spillRun{file: &spillFile{f: f, size: keyedBlock}}, row: make([]value.Value, width)}
}

// add takes the next row; keys come in their order.
func (s *keyedFile) add(row []value.Value) error {
	if len(s.run.file.block) == 0 {
		key := row[keyedKey].Str()
		s.firsts = append(s.firsts, key)
		s.hold(int64(len(key)) + keyedFirstSize)
	}
	return s.run.add(row)
}

// end ends the adding. memory is how many bytes of blocks may be cached.
func (s *keyedFile) end(memory int64) error {
	s.cacheFor(memory)
	if err := s.run.flush(); err != nil {
		return err
	}
	s.run.file.written()
	return nil
}

// cacheFor makes an empty cache.
func (s *keyedFile) cacheFor(memory int64) {
	n := min(max(memory/keyedBlock, keyedCacheMin), keyedCacheMax)
	s.cache = make([]cachedBlock, min(n, int64(len(s.firsts))))
}

func (s *keyedFile) hold(n int64) {
	s.mem += n
	s.f.keep(n, 0)
}

// find looks a key up; match gives its rows.
func (s *keyedFile) find(key []byte) {
	s.key = append(s.key[:0], key...)
	s.rest = nil
	i := sort.Search(len(s.firsts), func(i int) bool { return s.firsts[i] >= string(key) })
	s.next = max(i-1, 0) // whose last rows may have the key
}

// forget ends the rows of the key that was looked for last.
func (s *keyedFile) forget() {
	if s != nil {
		s.rest, s.next = nil, len(s.firsts)
	}
}

// match puts the next row with the key into s.row; false: there are no more. Its
// values are for ever.
func (s *keyedFile) match() (bool, error) {
	b, err := s.matchRaw()
	if err != nil || b == nil {
		return false, err
	}
	_, err = readSpilled(s.row, b)
	return err == nil, err
}

// matchRaw is match without decoding; nil: there are no more.
func (s *keyedFile) matchRaw() ([]byte, error) {
	for {
		if len(s.rest) == 0 {
			if s.next >= len(s.firsts) || s.firsts[s.next] > string(s.key) {
				return nil, nil
			}
			if err := s.load(s.next); err != nil {
				return nil, err
			}
		}
		b, n := rawSpilled(s.rest)
		if n <= 0 {
			return nil, errSpilled
		}
		s.rest = s.rest[n:]
		key, err := firstSpilled(b)
		if err != nil {
			return nil, err
		}
		switch {
		case string(key) < string(s.key):
			continue
		case string(key) > string(s.key):
			s.rest, s.next = nil, len(s.firsts)
			return nil, nil
		}
		return b, nil
	}
}

// load reads a block, unless it is in the cache. rest begins before the first row
// that may have the key.
func (s *keyedFile) load(i int) error {
	c := &s.cache[i%len(s.cache)]
	if c.i != i+1 {
		before := int64(cap(c.rows) + 4*cap(c.marks))
		c.i = 0
		rows, err := s.run.file.spill.Read(c.rows[:0], s.run.blocks[i])
		c.rows = rows
		if err == nil {
			err = c.mark()
		}
		s.hold(int64(cap(c.rows)+4*cap(c.marks)) - before)
		if err != nil {
			return err
		}
		c.i = i + 1
	}
	k := sort.Search(len(c.marks), func(k int) bool {
		b, _ := rawSpilled(c.rows[c.marks[k]:])
		key, _ := firstSpilled(b) // mark has looked
		return string(key) >= string(s.key)
	})
	s.rest, s.next = c.rows, i+1
	if k > 0 {
		s.rest = c.rows[c.marks[k-1]:]
	}
	return nil
}

// mark notes where rows begin.
func (c *cachedBlock) mark() error {
	c.marks = c.marks[:0]
	for at, k := 0, 0; at < len(c.rows); k++ {
		b, n := rawSpilled(c.rows[at:])
		if n <= 0 {
			return errSpilled
		}
		if k%keyedMark == 0 {
			if _, err := firstSpilled(b); err != nil {
				return err
			}
			c.marks = append(c.marks, int32(at))
		}
		at += n
	}
	return nil
}

// close drops the rows and removes the file.
func (s *keyedFile) close() {
	if s == nil {
		return
	}
	for _, c := range s.cache {
		clear(c.rows[:cap(c.rows)])
	}
	clear(s.firsts)
	clear(s.key[:cap(s.key)])
	clear(s.row)
	s.cache, s.firsts, s.rest = nil, nil, nil
	s.run.file.close()
	s.f.release(s.mem)
	s.mem = 0
}
