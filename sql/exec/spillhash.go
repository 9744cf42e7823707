package exec

import (
	"encoding/binary"
	"sort"

	"github.com/byokdb/byokdb/sql/value"
)

// What a hash join does when the table does not fit into memory: the rows of
// inner are sorted by their keys into a file, and looked up there. So the rows
// come in the same order as from the table.

const (
	hashBlock     = 8 << 10 // bytes of a block, of which one is read for a key
	hashCacheMin  = 4       // blocks
	hashCacheMax  = 2048
	hashFirstSize = 40 // bytes that a block's first key takes beside itself
)

// spilledHash is rows sorted by a key, in blocks whose first keys are in memory.
type spilledHash struct {
	f      *frame
	run    *spillRun
	firsts []string
	cache  []cachedBlock // block i is in place i modulo its length
	mem    int64

	key  []byte // that is looked for
	next int    // the block after the one that rest is of
	rest []byte // from where rows may have it
	row  []value.Value
}

type cachedBlock struct {
	i    int // number of the block, from 1; 0: none
	rows []byte
}

// spill moves the rows of the table to a sorter.
func (it *hashIter) spill() error {
	it.sorted = newRowSorter(it.f, byKey)
	for key, list := range it.table {
		for _, i := range list {
			row := make([]value.Value, keyedRow, keyedRow+len(it.n.slots))
			row[keyedKey], row[keyedNumber] = value.NewBlob(key), value.NewInt(int64(i))
			vals, err := it.rows.row(int(i))
			if err != nil {
				return err
			}
			if err := it.sorted.add(append(row, vals...)); err != nil {
				return err
			}
		}
	}
	it.nRows = int64(it.rows.n)
	clear(it.table)
	it.rows.close(it.f)
	return it.sorted.spill()
}

// index makes the file in which keys are looked up.
func (it *hashIter) index() error {
	if err := it.sorted.sort(); err != nil {
		return err
	}
	s := &spilledHash{f: it.f, row: make([]value.Value, keyedRow+len(it.n.slots))}
	it.filed = s
	s.run = &spillRun{file: &spillFile{f: it.f, size: hashBlock}}
	for {
		row, err := it.sorted.next()
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		if len(s.run.file.block) == 0 {
			key := row[keyedKey].Str()
			s.firsts = append(s.firsts, key)
			s.hold(int64(len(key)) + hashFirstSize)
		}
		if err := s.run.add(row); err != nil {
			return err
		}
	}
	it.sorted.close()
	n := min(max(it.f.s.memory/16/hashBlock, hashCacheMin), hashCacheMax)
	s.cache = make([]cachedBlock, n)
	return s.run.flush()
}

func (s *spilledHash) hold(n int64) {
	s.mem += n
	s.f.keep(n, 0)
}

// find looks a key up; match gives its rows.
func (s *spilledHash) find(key []byte) {
	s.key = append(s.key[:0], key...)
	s.rest = nil
	i := sort.Search(len(s.firsts), func(i int) bool { return s.firsts[i] >= string(key) })
	s.next = max(i-1, 0) // whose last rows may have the key
}

// forget ends the rows of the key that was looked for last.
func (s *spilledHash) forget() {
	if s != nil {
		s.rest, s.next = nil, len(s.firsts)
	}
}

// match puts the next row with the key into the registers.
func (s *spilledHash) match(f *frame, slots []int) (bool, error) {
	for {
		if len(s.rest) == 0 {
			if s.next >= len(s.firsts) || s.firsts[s.next] > string(s.key) {
				return false, nil
			}
			if err := s.load(s.next); err != nil {
				return false, err
			}
		}
		size, n := binary.Uvarint(s.rest)
		if n <= 0 || size > uint64(len(s.rest)-n) {
			return false, errSpilled
		}
		b := s.rest[n : n+int(size)]
		s.rest = s.rest[n+int(size):]
		key, err := firstSpilled(b)
		if err != nil {
			return false, err
		}
		switch {
		case string(key) < string(s.key):
			continue
		case string(key) > string(s.key):
			s.rest, s.next = nil, len(s.firsts)
			return false, nil
		}
		if _, err := readSpilled(s.row, b); err != nil {
			return false, err
		}
		loadKeyed(f, s.row, slots)
		return true, nil
	}
}

// load reads a block, unless it is in the cache.
func (s *spilledHash) load(i int) error {
	c := &s.cache[i%len(s.cache)]
	if c.i != i+1 {
		before := int64(cap(c.rows))
		c.i = 0
		rows, err := s.run.file.spill.Read(c.rows[:0], s.run.blocks[i])
		c.rows = rows
		s.hold(int64(cap(c.rows)) - before)
		if err != nil {
			return err
		}
		c.i = i + 1
	}
	s.rest, s.next = c.rows, i+1
	return nil
}

// close drops the rows and removes the file.
func (s *spilledHash) close() {
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
