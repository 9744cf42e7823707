// Package memtable keeps recent writes in memory, in order: a google/btree of
// small items without pointers, whose keys and values live in an off-heap arena
// that can be wiped.
//
// A key is collection id (4 B, big-endian) ‖ user key. An item holds the
// collection id and the first eight bytes of the user key, so that most
// comparisons need not follow the reference into the arena.
package memtable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/google/btree"

	"github.com/byokdb/byokdb/internal/offheap"
)

// Kind tells what an entry says about its key. The numbers are those of run
// files.
type Kind uint8

// What an entry can say.
const (
	Put       Kind = 1 // the key has this value
	Tombstone Kind = 2 // the key was deleted
)

// ErrWiped means that a table was wiped below an iterator.
var ErrWiped = errors.New("memtable was wiped")

// item is one entry. It holds no pointer: the garbage collector skips the nodes.
type item struct {
	prefix     uint64 // first 8 bytes of the user key, padded with zeros
	entry      entry
	collection uint32
}

// degree of the tree: chosen by BenchmarkSet among 8, 16, 32 and 64. Small
// nodes keep an insertion after a snapshot cheap, which copies its path.
const degree = 16

// itemSize is an estimate of what the tree costs per entry, in bytes.
const itemSize = 40

// Table is a memtable. One goroutine at a time may write or take snapshots;
// snapshots may be read by any number beside it. Whoever writes while a live
// view is in use holds Lock.
type Table struct {
	mu    sync.RWMutex // of tree, for live views
	tree  *btree.BTreeG[item]
	arena arena
	size  atomic.Int64 // see Bytes
}

// New returns an empty table. It holds no memory until the first write.
func New() *Table { return NewIn(offheap.Alloc) }

// NewIn is New for a table whose memory comes from alloc, which returns what
// offheap.Alloc does, or an error.
func NewIn(alloc func(n int) ([]byte, error)) *Table {
	return &Table{tree: newTree(), arena: arena{take: alloc}}
}

// spareNodes is how many empty nodes a table that was reset keeps.
const spareNodes = 4

func newTree() *btree.BTreeG[item] {
	return btree.NewWithFreeListG(degree, less, btree.NewFreeListG[item](spareNodes))
}

// less orders items by key. Equal prefixes decide nothing: a short key is
// padded, a long one cut.
func less(a, b item) bool {
	switch {
	case a.collection != b.collection:
		return a.collection < b.collection
	case a.prefix != b.prefix:
		return a.prefix < b.prefix
	default:
		return bytes.Compare(a.entry.key(), b.entry.key()) < 0
	}
}

func newItem(key []byte, e entry) item {
	return item{collection: binary.BigEndian.Uint32(key), prefix: prefixOf(key[4:]), entry: e}
}

func prefixOf(user []byte) uint64 {
	if len(user) >= 8 {
		return binary.BigEndian.Uint64(user)
	}
	var b [8]byte
	copy(b[:], user)
	return binary.BigEndian.Uint64(b[:])
}

// Set stores an entry over an older one of the same key. Key, of at least
// 4 bytes, and value are copied. The error is one of the operating system's:
// no memory; the table is unchanged then.
func (t *Table) Set(key []byte, kind Kind, value []byte) error {
	e, err := t.arena.add(key, kind, value)
	if err != nil {
		return err
	}
	t.insert(key, e)
	return nil
}

func (t *Table) insert(key []byte, e entry) {
	t.tree.ReplaceOrInsert(newItem(key, e))
	t.resize()
}

func (t *Table) resize() { t.size.Store(t.arena.used + int64(t.tree.Len())*itemSize) }

// Reserved is memory for a put whose value is yet to come. Only who reserved it
// knows it, until Insert.
type Reserved struct {
	b       []byte
	keySize int
}

// Value returns where the value belongs.
func (r Reserved) Value() []byte { return r.b[entryHeaderSize+r.keySize:] }

// Reserve returns memory for a put of key with a value of size bytes, for Insert
// or Drop. Errors: as Set.
func (t *Table) Reserve(key []byte, size int) (Reserved, error) {
	b, err := t.arena.alloc(key, size)
	if err != nil {
		return Reserved{}, err
	}
	putHead(b, key, Put, size)
	return Reserved{b: b, keySize: len(key)}, nil
}

// Insert stores what was reserved, as Set does.
func (t *Table) Insert(r Reserved) {
	e := entryOf(r.b)
	t.insert(e.key(), e)
}

// Drop wipes what was reserved and is not wanted after all.
func (t *Table) Drop(r Reserved) {
	t.arena.drop(r.b)
	t.resize()
}

// Get returns the newest entry of key; the value is valid until Wipe or Reset.
func (t *Table) Get(key []byte) (value []byte, kind Kind, found bool) {
	return get(t.tree, &t.arena, key)
}

// Len returns the number of keys.
func (t *Table) Len() int { return t.tree.Len() }

// Bytes returns an estimate of the memory in use, overwritten entries included.
// It may be called beside a writer.
func (t *Table) Bytes() int64 { return t.size.Load() }

// Snapshot returns the table as it is now, in O(1). The next writes copy the
// nodes of the tree that they change, once each.
func (t *Table) Snapshot() *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &View{tree: t.tree.Clone(), arena: &t.arena}
}

// Live returns a view that shows the table as it is at each look, at no cost to
// writes. Its iterators walk a snapshot made with them.
func (t *Table) Live() *View { return &View{table: t, arena: &t.arena} }

// Still returns a view of a table to which nobody writes any more, or not before
// the last use of the view.
func (t *Table) Still() *View { return &View{tree: t.tree, arena: &t.arena} }

// Lock keeps live views waiting while entries are set.
func (t *Table) Lock() { t.mu.Lock() }

// Unlock ends Lock.
func (t *Table) Unlock() { t.mu.Unlock() }

// Restore puts the table back to a snapshot of it. The memory of what came
// later is not reused before Reset.
func (t *Table) Restore(v *View) { t.tree = v.tree.Clone() }

// Reset wipes and empties the table but keeps up to keep bytes of its memory, and
// at least 16 KiB, for reuse. No snapshot may be in use.
func (t *Table) Reset(keep int) {
	t.tree.Clear(true) // what it keeps of the nodes is empty
	t.arena.reset(keep)
	t.size.Store(0)
}

// Wipe zeroes every key and value in place and drops the tree. Memory stays
// mapped: a stale reader sees zeros, a stale iterator ends with ErrWiped.
func (t *Table) Wipe() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tree = newTree()
	t.arena.wipe()
}

// Free wipes the table and returns its memory. No snapshot may be in use.
func (t *Table) Free() {
	t.tree = newTree()
	t.arena.close()
	t.size.Store(0)
}

// View is a table as it was, or is. Safe for concurrent use.
type View struct {
	table *Table              // of a live view
	tree  *btree.BTreeG[item] // of any other
	arena *arena
}

// Get returns the entry of key; the value aliases the arena.
func (v *View) Get(key []byte) (value []byte, kind Kind, found bool) {
	if v.table != nil {
		v.table.mu.RLock()
		defer v.table.mu.RUnlock()
		return get(v.table.tree, v.arena, key)
	}
	return get(v.tree, v.arena, key)
}

// Len returns the number of keys.
func (v *View) Len() int {
	if v.table != nil {
		v.table.mu.RLock()
		defer v.table.mu.RUnlock()
		return v.table.tree.Len()
	}
	return v.tree.Len()
}

func get(tree *btree.BTreeG[item], a *arena, key []byte) (value []byte, kind Kind, found bool) {
	if tree.Len() == 0 {
		return nil, 0, false
	}
	p := a.probe(key)
	hit, found := tree.Get(newItem(key, p.entry()))
	a.release(p)
	if !found {
		return nil, 0, false
	}
	return hit.entry.value(), hit.entry.kind(), true
}
