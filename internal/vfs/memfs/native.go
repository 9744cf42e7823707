package memfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// native is a file of a library that does its own I/O. fs.mu guards it.
type native struct {
	path    string  // in the real file system
	disk    []byte  // what a crash leaves, outside of Update
	changed *update // within Update, once the change was made
	dirty   bool    // written through File and not synced
}

// update is what one Update changed.
type update struct{ before, after []byte }

func (n *native) read() ([]byte, error) { return os.ReadFile(n.path) }

// newNative makes a library's file.
func (f *FS) newNative(image []byte) (*native, error) {
	if err := os.MkdirAll(f.scratch, 0o700); err != nil {
		return nil, err
	}
	f.nNative++
	path := filepath.Join(f.scratch, strconv.Itoa(f.nNative))
	return &native{path: path, disk: image}, os.WriteFile(path, image, 0o600)
}

// OSFile implements vfs.FS: the file lies in the scratch directory.
func (f *FS) OSFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	hit := f.enter(OpOpen, path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return nil, fault("open", path, hit.Err)
	}
	n, err := f.file("open", path)
	switch {
	case err == nil && n.native == nil:
		return nil, fault("open", path, errForeign)
	case errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0:
		if n, err = f.create(path); err != nil {
			return nil, err
		}
		if n.native, err = f.newNative(nil); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	return os.OpenFile(n.native.path, flag, mode)
}

// updateMin is how much room in bytes Update needs on a disk of limited size:
// what a commit will write is not known before.
const updateMin = 32 << 10

// Update implements vfs.FS. See the package's documentation for what a crash and
// a fault make of it.
func (f *FS) Update(path string, change func() error) error {
	f.updating.Lock()
	defer f.updating.Unlock()
	if hit := f.enter(OpUpdate, path); hit != nil {
		return fault("update", path, hit.Err)
	}
	f.mu.Lock()
	if f.capacity > 0 && f.capacity-f.used < updateMin {
		defer f.mu.Unlock()
		return fault("update", path, errNoSpace)
	}
	f.mu.Unlock()
	before, err := f.image(path)
	if err != nil {
		return err
	}
	own := change()
	n, after, err := f.changedBy(path, before)
	if n == nil || err != nil {
		return errors.Join(own, err)
	}
	hit := f.enter(OpCommit, path)
	f.mu.Lock()
	defer f.mu.Unlock()
	l, which := &loss{}, anyPage
	if hit != nil && hit.Lose {
		which = dataPage
	}
	f.used -= int64(len(n.native.disk))
	n.native.disk = l.overlay(n.native.disk, before, after, which, func() bool { return true })
	n.native.changed = nil
	f.used += int64(len(n.native.disk))
	if own == nil && hit != nil {
		own = fault("update", path, hit.Err)
	}
	return own
}

// image returns a library's file as it is, nil when there is none.
func (f *FS) image(path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file("update", path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case n.native == nil:
		return nil, fault("update", path, errForeign)
	}
	return n.native.read()
}

// changedBy notes what a change made of a file. It returns no node when there is
// no file still.
func (f *FS) changedBy(path string, before []byte) (*node, []byte, error) {
	after, err := f.image(path)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file("update", path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		n.native.changed = &update{before: before, after: after}
	}
	return n, after, err
}
