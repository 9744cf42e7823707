// Package memtable is the sorted table in memory that takes every write before
// it is flushed to a run.
//
// Order is kept by a google/btree of small items without pointers; key and
// value bytes live in an arena outside the Go heap, which can be wiped. The
// tree's O(1) clone is the snapshot of a reader.
//
// The first eight bytes of every user key stand in the items themselves, so
// that most comparisons touch no other memory. They are on the Go heap: after a
// wipe the engine's heap scrub must run as well.
package memtable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/google/btree"
)

// Kind tells what an entry says about its key. The numbers are those of runs.
type Kind uint8

// The kinds of entries.
const (
	Put       Kind = 1 // the key has this value
	Tombstone Kind = 2 // the key was deleted
)

// CollectionSize is the size in bytes of the collection id that begins every
// internal key; the user key follows.
const CollectionSize = 4

// KeySizeMax is the size in bytes that an internal key may have.
const KeySizeMax = CollectionSize + 32<<10

// ErrWiped means that the table was wiped: the database is paused or closed.
var ErrWiped = errors.New("memtable was wiped")

// Errors of arguments.
var (
	ErrKeySize   = fmt.Errorf("an internal key has %d to %d bytes", CollectionSize, KeySizeMax)
	ErrValueSize = errors.New("value is too large for a memtable, or a tombstone has one")
)

const (
	prefixSize = 8

	// treeDegree: measured with random 16-byte keys. A larger one makes the
	// first insert after a clone dearer, a smaller one makes lookups so.
	treeDegree = 24

	// itemOverhead is what one entry costs in the tree, in bytes: an item of
	// 24 B in nodes that are two thirds full, and its share of inner nodes.
	itemOverhead = 40
)

// item is one entry of the tree. It holds no pointer, so that the garbage
// collector does not scan the nodes.
//
// At its place in the arena:
//
//	value size (4 B) ‖ internal key ‖ value
type item struct {
	prefix     uint64 // first eight bytes of the user key, big-endian, zero-padded
	at         place
	collection uint32
	keySize    uint16 // of the user key
	kind       Kind
	pivot      bool // at is the index of a pivot, not a place
}

const recordKeyAt = 4 // behind the value's size

// Table is a memtable. One goroutine at a time may write; views are read by any
// number of goroutines meanwhile.
type Table struct {
	tree   *btree.BTreeG[item]
	shared *shared
	len    atomic.Int64
	bytes  atomic.Int64
}

// shared is what the table and its views have in common.
type shared struct {
	arena  arena
	pivots pivots
}

// New returns an empty table. It takes no memory outside the heap before the
// first Set.
func New() *Table {
	s := new(shared)
	s.arena.init()
	s.pivots.init()
	return &Table{tree: btree.NewG(treeDegree, s.less), shared: s}
}

// Set stores an entry, in place of the key's earlier one; both slices are
// copied. Errors: ErrKeySize, ErrValueSize, ErrWiped, or that the system has no
// memory; the table is unchanged then.
func (t *Table) Set(key []byte, kind Kind, value []byte) error {
	if len(key) < CollectionSize || len(key) > KeySizeMax {
		return ErrKeySize
	}
	if len(value) > math.MaxInt32-KeySizeMax || kind == Tombstone && len(value) > 0 {
		return ErrValueSize
	}
	if t.shared.arena.wiped.Load() {
		return ErrWiped
	}
	b, at, err := t.shared.arena.alloc(recordKeyAt + len(key) + len(value))
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b, uint32(len(value)))
	copy(b[recordKeyAt:], key)
	copy(b[recordKeyAt+len(key):], value)
	it := newItem(key)
	it.at, it.kind = at, kind
	added := int64(len(b))
	if _, replaced := t.tree.ReplaceOrInsert(it); !replaced {
		added += itemOverhead
		t.len.Add(1)
	}
	t.bytes.Add(added)
	return nil
}

// Bytes returns the memory that the table takes: arena bytes handed out and an
// estimate of the tree. Safe for concurrent use.
func (t *Table) Bytes() int64 { return t.bytes.Load() }

// Len returns the number of keys, tombstones included. Safe for concurrent use.
func (t *Table) Len() int { return int(t.len.Load()) }

// Snapshot returns a view of the table as it is now, in constant time. It must
// not run beside Set; the view may be used beside later calls of Set.
func (t *Table) Snapshot() *View {
	return &View{tree: t.tree.Clone(), shared: t.shared, len: t.Len()}
}

// Wipe zeroes all keys and values in place and drops the tree. The addresses
// stay mapped: readers that still hold a value or a view see zeros, never a
// fault, and iterators end with ErrWiped. It must not run beside Set.
func (t *Table) Wipe() {
	t.shared.arena.wipe()
	t.drop()
}

// Free wipes the table and unmaps its memory. No view or value of it may be in
// use.
func (t *Table) Free() {
	t.shared.arena.free()
	t.drop()
}

func (t *Table) drop() {
	t.tree = btree.NewG(treeDegree, t.shared.less)
	t.len.Store(0)
	t.bytes.Store(0)
}

// newItem returns an item that has the key's order and no place yet. A key
// shorter than a collection id sorts before every longer one, as padded with
// zeros.
func newItem(key []byte) item {
	var b [CollectionSize + prefixSize]byte
	copy(b[:], key)
	return item{
		collection: binary.BigEndian.Uint32(b[:]),
		prefix:     binary.BigEndian.Uint64(b[CollectionSize:]),
		keySize:    uint16(min(max(len(key)-CollectionSize, 0), math.MaxUint16)),
	}
}

// less is the order of the tree: collection, then user key.
//
// Equal prefixes of which one is a whole key: the shorter key is a beginning of
// the longer one, but for zeros that padding and key share, so the sizes
// decide.
func (s *shared) less(a, b item) bool {
	if a.collection != b.collection {
		return a.collection < b.collection
	}
	if a.prefix != b.prefix {
		return a.prefix < b.prefix
	}
	if a.keySize <= prefixSize || b.keySize <= prefixSize {
		return a.keySize < b.keySize
	}
	return bytes.Compare(s.rest(a), s.rest(b)) < 0
}

// rest returns the part of a user key behind its prefix.
func (s *shared) rest(it item) []byte {
	if it.pivot {
		return s.pivots.keys[it.at][CollectionSize+prefixSize:]
	}
	return s.arena.at(it.at, recordKeyAt+CollectionSize+prefixSize, int(it.keySize)-prefixSize)
}

// key returns an item's internal key; it aliases the arena.
func (s *shared) key(it item) []byte {
	return s.arena.at(it.at, recordKeyAt, CollectionSize+int(it.keySize))
}

// value returns an item's value; it aliases the arena. Wiped memory gives an
// empty one.
func (s *shared) value(it item) []byte {
	size := s.arena.at(it.at, 0, recordKeyAt)
	if len(size) < recordKeyAt {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(size))
	return s.arena.at(it.at, recordKeyAt+CollectionSize+int(it.keySize), n)
}

// pivots lends slots in which a reader puts the key that it seeks, because an
// item has room for a number and not for a slice. A slot is held for one
// descent of the tree.
type pivots struct {
	free atomic.Uint64 // bit i: slot i is free
	keys [64][]byte
}

func (p *pivots) init() { p.free.Store(math.MaxUint64) }

// take returns an item that compares as the key does. The key must stay as it
// is until give.
func (p *pivots) take(key []byte) item {
	it := newItem(key)
	if it.keySize <= prefixSize {
		return it
	}
	for {
		free := p.free.Load()
		if free == 0 { // each is held by a goroutine that is about to give it back
			runtime.Gosched()
			continue
		}
		i := bits.TrailingZeros64(free)
		if p.free.CompareAndSwap(free, free&^(1<<i)) {
			p.keys[i] = key
			it.at, it.pivot = place(i), true
			return it
		}
	}
}

func (p *pivots) give(it item) {
	if !it.pivot {
		return
	}
	p.keys[it.at] = nil
	p.free.Or(1 << it.at)
}
