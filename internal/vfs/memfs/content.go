package memfs

import (
	"maps"
	"slices"
)

// Sizes in bytes: what a system caches, and what a disk writes as a whole.
const (
	pageSize   = 4096
	sectorSize = 512
)

type page [pageSize]byte

// content is what a file holds: pages as the system's cache has them, and as the
// disk does. A nil page reads as zeros. A page is shared with the disk and with
// clones, and copied before it is written, unless it is fresh.
type content struct {
	size  int64
	pages []*page
	fresh map[int]bool // nobody else has them
	dirty map[int]bool // written since the last sync

	diskSize int64
	disk     []*page
}

func nPages(size int64) int { return int((size + pageSize - 1) / pageSize) }

func pageAt(pages []*page, i int) *page {
	if i < len(pages) {
		return pages[i]
	}
	return nil
}

// space returns the bytes that the file takes on disk.
func (c *content) space() int64 { return int64(len(c.pages)) * pageSize }

// readAt copies bytes from an offset on, and returns how many there are.
func (c *content) readAt(p []byte, off int64) (n int) {
	for n < len(p) && off < c.size {
		from := int(off % pageSize)
		m := min(len(p)-n, pageSize-from, int(c.size-off))
		if pg := c.pages[off/pageSize]; pg != nil {
			copy(p[n:n+m], pg[from:])
		} else {
			clear(p[n : n+m])
		}
		n += m
		off += int64(m)
	}
	return n
}

// writeAt writes bytes at an offset; the file's space holds them.
func (c *content) writeAt(p []byte, off int64) {
	c.grow(off + int64(len(p)))
	for len(p) > 0 {
		m := copy(c.writable(int(off / pageSize))[off%pageSize:], p)
		p = p[m:]
		off += int64(m)
	}
}

// writable returns a page to be written, and marks it dirty.
func (c *content) writable(i int) *page {
	c.touch(i)
	if !c.fresh[i] {
		pg := new(page)
		if c.pages[i] != nil {
			*pg = *c.pages[i]
		}
		c.pages[i] = pg
		if c.fresh == nil {
			c.fresh = map[int]bool{}
		}
		c.fresh[i] = true
	}
	return c.pages[i]
}

func (c *content) touch(i int) {
	if c.dirty == nil {
		c.dirty = map[int]bool{}
	}
	c.dirty[i] = true
}

// grow extends the file with zeros.
func (c *content) grow(size int64) {
	if size <= c.size {
		return
	}
	c.size = size
	for len(c.pages) < nPages(size) {
		c.pages = append(c.pages, nil)
		if i := len(c.pages) - 1; pageAt(c.disk, i) != nil { // cut off before, and not synced since
			c.touch(i)
		}
	}
}

// truncate sets the size.
func (c *content) truncate(size int64) {
	if size >= c.size {
		c.grow(size)
		return
	}
	n := nPages(size)
	for i := n; i < len(c.pages); i++ {
		delete(c.fresh, i)
		delete(c.dirty, i)
	}
	c.pages, c.size = c.pages[:n:n], size
	if rest := size % pageSize; rest != 0 && c.pages[n-1] != nil {
		clear(c.writable(n - 1)[rest:])
	}
}

// sync makes everything durable but the pages that an earlier sync has lost.
func (c *content) sync() {
	disk := slices.Clone(c.pages)
	for i := range disk {
		if !c.dirty[i] {
			disk[i] = pageAt(c.disk, i)
		}
	}
	c.disk, c.diskSize = disk, c.size
	c.fresh, c.dirty = nil, nil
}

// lose makes the cache think that the dirty pages are written.
func (c *content) lose() { c.dirty = nil }

// crash returns what a disk may have of the file.
func (c *content) crash(l *loss) content {
	size := l.size(c.diskSize, c.size)
	disk := slices.Clone(c.disk)
	for len(disk) < nPages(max(size, c.diskSize)) {
		disk = append(disk, nil)
	}
	for _, i := range slices.Sorted(maps.Keys(c.dirty)) {
		if i < len(disk) {
			disk[i] = l.page(disk[i], c.pages[i])
		}
	}
	clear(c.fresh) // the clone shares them
	out := content{size: max(size, c.diskSize), pages: disk}
	out.truncate(size)
	out.fresh, out.dirty = nil, nil
	out.disk, out.diskSize = slices.Clone(out.pages), size
	return out
}
