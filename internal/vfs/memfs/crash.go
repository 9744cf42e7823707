package memfs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
)

// Rand is a source of random decisions; *rand.Rand is one.
type Rand interface {
	IntN(n int) int
	Float64() float64
}

// Names says which of the changes of names that were not synced a crash keeps.
type Names uint8

const (
	// Ordered keeps, of each directory, the changes up to a random one.
	Ordered Names = iota

	// AnyNames keeps any of them.
	AnyNames
)

// loss decides what a crash keeps of what was not synced.
type loss struct {
	rng   Rand
	names Names
	keep  float64 // how probable it is that a thing is kept
}

func newLoss(rng Rand, names Names) *loss {
	l := &loss{rng: rng, names: names}
	switch rng.IntN(4) {
	case 0:
	case 1:
		l.keep = 1
	default:
		l.keep = rng.Float64()
	}
	return l
}

func (l *loss) keeps() bool { return l.rng.Float64() < l.keep }

// page returns a page that has some sectors of its new state.
func (l *loss) page(old, now *page) *page {
	out := new(page)
	if old != nil {
		*out = *old
	}
	for at := 0; at < pageSize; at += sectorSize {
		if !l.keeps() {
			continue
		}
		if now == nil {
			clear(out[at : at+sectorSize])
		} else {
			copy(out[at:at+sectorSize], now[at:])
		}
	}
	return out
}

// size returns a size that a crash may leave.
func (l *loss) size(old, now int64) int64 {
	switch {
	case l.keeps():
		return now
	case now > old && l.keeps():
		return min(old+int64(l.rng.IntN(int(now-old)/sectorSize+1))*sectorSize, now)
	default:
		return old
	}
}

// Crash returns what a power failure at this moment leaves, as a file system of
// its own; f goes on. Capacity, faults
// and hooks are not inherited. It may be called at any time, also from within
// the function given to OnCall.
func (f *FS) Crash(rng Rand, names Names) (*FS, error) {
	scratch, err := os.MkdirTemp(f.base, "crash-")
	if err != nil {
		return nil, fmt.Errorf("crash: %w", err)
	}
	out := newFS(f.base, scratch)
	f.mu.Lock()
	defer f.mu.Unlock()
	c := crash{loss: newLoss(rng, names), to: out, files: map[*node]*node{}}
	if out.root, err = c.dir(f.root); err != nil {
		return nil, fmt.Errorf("crash: %w", err)
	}
	return out, nil
}

// Discard removes what lies in the scratch directory of this file system and no
// other. It must not be used any more.
func (f *FS) Discard() error { return os.RemoveAll(f.scratch) }

// crash is one crash under way.
type crash struct {
	*loss
	to    *FS
	files map[*node]*node // copies by original: a file may have two names
}

func (c *crash) dir(n *node) (*node, error) {
	names := maps.Clone(n.durable)
	kept := len(n.changes)
	if c.names == Ordered && !c.keeps() {
		kept = c.rng.IntN(kept + 1)
	}
	for _, ch := range n.changes[:kept] {
		if c.names == AnyNames && !c.keeps() {
			continue
		}
		if ch.from != "" && names[ch.from] == ch.node {
			delete(names, ch.from)
		}
		if ch.to != "" {
			names[ch.to] = ch.node
		}
	}
	out := newDir()
	for _, name := range sortedNames(names) {
		child, err := c.node(names[name])
		if err != nil {
			return nil, err
		}
		out.names[name], out.durable[name] = child, child
	}
	return out, nil
}

func (c *crash) node(n *node) (*node, error) {
	if n.isDir() {
		return c.dir(n)
	}
	out := c.files[n]
	if out == nil {
		out = &node{}
		if n.native == nil {
			out.content = n.crash(c.loss)
			c.to.used += out.space()
		} else {
			image, err := n.native.crash(c.loss)
			if err == nil {
				out.native, err = c.to.newNative(image)
			}
			if err != nil {
				return nil, err
			}
			c.to.used += int64(len(image))
		}
		c.files[n] = out
	}
	out.nNames++
	return out, nil
}

// crash returns what a disk may have of a library's file.
func (n *native) crash(l *loss) ([]byte, error) {
	switch {
	case n.changed != nil: // within Update
		return n.changed.crash(l, n.disk), nil
	case n.dirty:
		now, err := n.read()
		if err != nil {
			return nil, err
		}
		return l.overlay(n.disk, n.disk, now, anyPage, l.keeps), nil
	default:
		return n.disk, nil
	}
}

// crash returns what the disk may have in the middle of a library's commit.
func (u *update) crash(l *loss, disk []byte) []byte {
	all := func() bool { return true }
	switch l.rng.IntN(3) {
	case 0:
		if len(u.after) > len(disk) && !l.keeps() {
			return disk // it grows the file durably, before anything else
		}
		return l.overlay(disk, u.before, u.after, dataPage, l.keeps)
	case 1:
		disk = l.overlay(disk, u.before, u.after, dataPage, all)
		return l.overlay(disk, u.before, u.after, metaPage, l.keeps)
	default:
		return l.overlay(disk, u.before, u.after, anyPage, all)
	}
}

// Which pages of bbolt's file: the first two are its meta pages.
func anyPage(int) bool    { return true }
func metaPage(i int) bool { return i < 2 }
func dataPage(i int) bool { return i >= 2 }

// overlay returns the disk's image with those sectors of changed pages that are
// kept, at the size of after. Pages have the size of the system's, as bbolt's do.
func (l *loss) overlay(disk, before, after []byte, which func(i int) bool, keeps func() bool) []byte {
	out := make([]byte, len(after))
	copy(out, disk)
	size := os.Getpagesize()
	for i := 0; i*size < len(after); i++ {
		lo, hi := i*size, min((i+1)*size, len(after))
		if !which(i) || hi <= len(before) && bytes.Equal(before[lo:hi], after[lo:hi]) {
			continue
		}
		for at := lo; at < hi; at += sectorSize {
			if keeps() {
				copy(out[at:min(at+sectorSize, hi)], after[at:])
			}
		}
	}
	return out
}
