package memfs

import (
	"io"
	"io/fs"
	"os"
)

// file is an open file.
type file struct {
	fs     *FS
	node   *node
	path   string
	write  bool
	closed bool // fs.mu guards it
}

// begin counts a call, takes fs.mu and checks that the file may be used so.
// The caller gives the lock back, also after an error.
func (h *file) begin(op Op, write bool) (hit *Fault, err error) {
	hit = h.fs.enter(op, h.path)
	h.fs.mu.Lock()
	switch {
	case h.closed:
		return hit, fault(op.String(), h.path, fs.ErrClosed)
	case write && !h.write:
		return hit, fault(op.String(), h.path, fs.ErrPermission)
	case hit != nil:
		return hit, fault(op.String(), h.path, hit.Err)
	}
	return nil, nil
}

// ReadAt implements vfs.File.
func (h *file) ReadAt(p []byte, off int64) (int, error) {
	_, err := h.begin(OpRead, false)
	defer h.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fault("read", h.path, fs.ErrInvalid)
	}
	n := 0
	if h.node.native != nil {
		b, err := h.node.native.read()
		if err != nil {
			return 0, err
		}
		n = copy(p, b[min(off, int64(len(b))):])
	} else {
		n = h.node.readAt(p, off)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements vfs.File.
func (h *file) WriteAt(p []byte, off int64) (int, error) {
	hit, err := h.begin(OpWrite, true)
	defer h.fs.mu.Unlock()
	switch {
	case hit != nil && hit.Short && !h.closed && h.write:
		p = p[:len(p)/2]
	case err != nil:
		return 0, err
	}
	if off < 0 {
		return 0, fault("write", h.path, fs.ErrInvalid)
	}
	if h.node.native != nil {
		return h.writeNative(p, off, err)
	}
	if room := h.fs.room(&h.node.content); off+int64(len(p)) > room {
		p, err = p[:max(0, min(int64(len(p)), room-off))], fault("write", h.path, errNoSpace)
	}
	if len(p) > 0 {
		h.fs.resized(h.node, func(c *content) { c.writeAt(p, off) })
	}
	return len(p), err
}

// writeNative writes to a library's file.
func (h *file) writeNative(p []byte, off int64, err error) (int, error) {
	f, oerr := os.OpenFile(h.node.native.path, os.O_RDWR, 0)
	if oerr != nil {
		return 0, oerr
	}
	h.node.native.dirty = true
	n, werr := f.WriteAt(p, off)
	if cerr := f.Close(); werr == nil {
		werr = cerr
	}
	if err == nil {
		err = werr
	}
	return n, err
}

// room returns the size in bytes to which a file may grow.
func (f *FS) room(c *content) int64 {
	if f.capacity == 0 {
		return 1 << 62
	}
	free := max(0, f.capacity-f.used)
	return c.space() + free/pageSize*pageSize
}

// resized runs fn, which changes a file's size, and counts the space.
func (f *FS) resized(n *node, fn func(c *content)) {
	f.used -= n.space()
	fn(&n.content)
	f.used += n.space()
}

// Sync implements vfs.File.
func (h *file) Sync() error { return h.sync(OpSync) }

// SyncData implements vfs.File.
func (h *file) SyncData() error { return h.sync(OpSyncData) }

func (h *file) sync(op Op) error {
	hit, err := h.begin(op, false)
	defer h.fs.mu.Unlock()
	if err != nil {
		if hit != nil && hit.Lose {
			h.node.lose()
		}
		return err
	}
	if h.node.native == nil {
		h.node.sync()
		return nil
	}
	image, err := h.node.native.read()
	if err == nil {
		h.node.native.disk, h.node.native.dirty = image, false
	}
	return err
}

// Preallocate implements vfs.File.
func (h *file) Preallocate(size int64) error {
	_, err := h.begin(OpPreallocate, true)
	defer h.fs.mu.Unlock()
	switch {
	case err != nil:
		return err
	case h.node.native != nil:
		return fault("preallocate", h.path, errForeign)
	case size > h.node.size && size > h.fs.room(&h.node.content):
		return fault("preallocate", h.path, errNoSpace)
	}
	h.fs.resized(h.node, func(c *content) { c.grow(size) })
	return nil
}

// Truncate implements vfs.File.
func (h *file) Truncate(size int64) error {
	_, err := h.begin(OpTruncate, true)
	defer h.fs.mu.Unlock()
	switch {
	case err != nil:
		return err
	case size < 0:
		return fault("truncate", h.path, fs.ErrInvalid)
	case h.node.native != nil:
		return fault("truncate", h.path, errForeign)
	case size > h.fs.room(&h.node.content):
		return fault("truncate", h.path, errNoSpace)
	}
	h.fs.resized(h.node, func(c *content) { c.truncate(size) })
	return nil
}

// Size implements vfs.File.
func (h *file) Size() (int64, error) {
	_, err := h.begin(OpSize, false)
	defer h.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if h.node.native != nil {
		st, err := os.Stat(h.node.native.path)
		if err != nil {
			return 0, err
		}
		return st.Size(), nil
	}
	return h.node.size, nil
}

// Close implements vfs.File. A fault is reported, and the file closed all the
// same.
func (h *file) Close() error {
	op := OpClose
	if h.write {
		op = OpCloseWrite
	}
	hit, err := h.begin(op, false)
	defer h.fs.mu.Unlock()
	if h.closed {
		return err
	}
	h.closed = true
	h.node.nOpen--
	if h.node.native == nil {
		h.fs.freeSpace(h.node)
	}
	if hit != nil {
		return err
	}
	return nil
}
