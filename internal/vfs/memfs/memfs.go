// Package memfs is a file system in memory that crashes, fails and fills up, for
// tests.
//
// # What is durable
//
// A file's bytes and size are durable after Sync or SyncData, and names
// (creations, renames, removals) after SyncDir of their directory. A sync of a
// file does not make its name durable, nor the other way round.
//
// # Crash
//
// [FS.Crash] returns an independent file system as a power failure at that
// moment would have left it, while the original goes on. It keeps what is
// durable, and of the rest a random part:
//
//   - of unsynced data any set of 512-byte sectors, each as it was at the last
//     sync or as it is now; what was written to it in between is never kept;
//   - of an unsynced size the old one, the new one or, when the file grew, one
//     in between; sectors within it that were not kept read as zeros;
//   - of unsynced names, for each directory, the first changes up to a random
//     one, as journaling file systems do ([Ordered]), or any of them ([AnyNames]).
//
// A rename is atomic. How much is kept is random too: sometimes all, sometimes
// nothing.
//
// # Faults
//
// [FS.SetFault] makes the n-th call fail: with any error, once or from then on.
// A write may write its first half before. A sync may lose the dirty pages, as
// Linux does: the system's cache still has the data and thinks that they are
// written, a later sync succeeds, and the disk does not have them until the
// page, of 4 KiB, is written again. [FS.SetCapacity] sets the size of the disk:
// beyond it, calls fail with ENOSPC.
//
// # Files of a library that does its own I/O
//
// bbolt maps its file, so a file opened with OSFile lies in a directory of the
// real file system, and only its name lies here. What the library does to it is
// seen as a whole, before and after Update. A crash within Update has one of the
// states that bbolt's protocol allows: any set of sectors of the pages that
// changed, but not of the two meta pages; all of those pages, and any set of
// sectors of the meta pages; everything. Update counts as two calls: a fault at
// the first comes before the change, one at the second comes after it, as a
// failed sync of the meta page would: the caller sees an error, the file in the
// system's cache has the change, and the disk has it too or, with Fault.Lose, all
// but the meta pages.
package memfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/byokdb/byokdb/internal/vfs"
)

// FS is a file system in memory. It begins with an empty root directory. Safe
// for concurrent use.
type FS struct {
	base    string // real directory that clones share
	scratch string // in base: of the files of OSFile

	updating sync.Mutex // one Update at a time

	mu       sync.Mutex
	root     *node
	capacity int64 // in bytes; 0 without limit
	used     int64
	nNative  int
	calls    Calls
	hook     func(c Call)
	fault    *Fault
	left     int64 // counted calls until the fault
	nFaults  int64
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system. scratch is an existing directory of the real
// file system for it and what becomes of it; whoever made it removes it.
func New(scratch string) *FS { return newFS(scratch, filepath.Join(scratch, "first")) }

func newFS(base, scratch string) *FS { return &FS{base: base, scratch: scratch, root: newDir()} }

// node is a file or a directory. fs.mu guards it.
type node struct {
	// Of a directory.
	names   map[string]*node // nil for a file
	durable map[string]*node
	changes []change // since the last SyncDir

	// Of a file.
	content
	native *native // nil for a file in memory
	nNames int     // in any directory
	nOpen  int
}

// change is one change of a directory's names: a creation (no from), a removal
// (no to) or a rename.
type change struct {
	from, to string
	node     *node
}

func newDir() *node { return &node{names: map[string]*node{}, durable: map[string]*node{}} }

func (n *node) isDir() bool { return n.names != nil }

// split returns the names of a path, from the root on.
func split(path string) []string {
	path = filepath.ToSlash(filepath.Clean(path[len(filepath.VolumeName(path)):]))
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// find returns the node at a path.
func (f *FS) find(op, path string) (*node, error) {
	n := f.root
	for _, name := range split(path) {
		if !n.isDir() {
			return nil, fault(op, path, syscall.ENOTDIR)
		}
		if n = n.names[name]; n == nil {
			return nil, fault(op, path, fs.ErrNotExist)
		}
	}
	return n, nil
}

// parent returns the directory in which a path lies, and its name there.
func (f *FS) parent(op, path string) (dir *node, name string, err error) {
	parts := split(path)
	if len(parts) == 0 {
		return nil, "", fault(op, path, fs.ErrInvalid)
	}
	dir, err = f.find(op, filepath.Dir(filepath.Clean(path)))
	if err == nil && !dir.isDir() {
		err = fault(op, path, syscall.ENOTDIR)
	}
	return dir, parts[len(parts)-1], err
}

// file returns the file at a path.
func (f *FS) file(op, path string) (*node, error) {
	n, err := f.find(op, path)
	if err == nil && n.isDir() {
		return nil, fault(op, path, syscall.EISDIR)
	}
	return n, err
}

func fault(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }

// Create implements vfs.FS.
func (f *FS) Create(path string) (vfs.File, error) {
	hit := f.enter(OpCreate, path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return nil, fault("create", path, hit.Err)
	}
	n, err := f.create(path)
	if err != nil {
		return nil, err
	}
	return f.open(n, path, true), nil
}

// create makes an empty file.
func (f *FS) create(path string) (*node, error) {
	dir, name, err := f.parent("create", path)
	if err != nil {
		return nil, err
	}
	if dir.names[name] != nil {
		return nil, fault("create", path, fs.ErrExist)
	}
	n := &node{nNames: 1}
	dir.names[name] = n
	dir.changes = append(dir.changes, change{to: name, node: n})
	return n, nil
}

func (f *FS) open(n *node, path string, write bool) *file {
	n.nOpen++
	return &file{fs: f, node: n, path: path, write: write}
}

// Open implements vfs.FS.
func (f *FS) Open(path string) (vfs.File, error) { return f.openExisting(path, false) }

// OpenWrite implements vfs.FS.
func (f *FS) OpenWrite(path string) (vfs.File, error) { return f.openExisting(path, true) }

func (f *FS) openExisting(path string, write bool) (vfs.File, error) {
	hit := f.enter(OpOpen, path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return nil, fault("open", path, hit.Err)
	}
	n, err := f.file("open", path)
	if err != nil {
		return nil, err
	}
	return f.open(n, path, write), nil
}

// Remove implements vfs.FS.
func (f *FS) Remove(path string) error {
	hit := f.enter(OpRemove, path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return fault("remove", path, hit.Err)
	}
	dir, name, err := f.parent("remove", path)
	if err != nil {
		return err
	}
	n := dir.names[name]
	switch {
	case n == nil:
		return fault("remove", path, fs.ErrNotExist)
	case n.isDir():
		return fault("remove", path, syscall.EISDIR)
	}
	delete(dir.names, name)
	dir.changes = append(dir.changes, change{from: name, node: n})
	return f.unlink(n)
}

// Rename implements vfs.FS.
func (f *FS) Rename(from, to string) error {
	hit := f.enter(OpRename, from)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return fault("rename", from, hit.Err)
	}
	dir, old, err := f.parent("rename", from)
	if err != nil {
		return err
	}
	dir2, name, err := f.parent("rename", to)
	if err != nil {
		return err
	}
	n, over := dir.names[old], dir2.names[name]
	switch {
	case n == nil:
		return fault("rename", from, fs.ErrNotExist)
	case dir != dir2:
		return fault("rename", from, syscall.EXDEV)
	case n.isDir() || over != nil && over.isDir():
		return fault("rename", from, syscall.EISDIR)
	case n == over:
		return nil
	}
	delete(dir.names, old)
	dir.names[name] = n
	dir.changes = append(dir.changes, change{from: old, to: name, node: n})
	if over != nil {
		return f.unlink(over)
	}
	return nil
}

// unlink takes one name from a file; its space returns with the last of its
// names and openings.
func (f *FS) unlink(n *node) error {
	n.nNames--
	f.freeSpace(n)
	if n.native == nil || n.nNames > 0 {
		return nil
	}
	f.used -= int64(len(n.native.disk))
	return os.Remove(n.native.path) // a crash that keeps the name has native.disk
}

// freeSpace gives back the space of a file that has neither names nor openings.
func (f *FS) freeSpace(n *node) {
	if n.nNames == 0 && n.nOpen == 0 {
		f.used -= n.space() // its bytes stay: a crash may keep a name
	}
}

// List implements vfs.FS.
func (f *FS) List(dir string) ([]string, error) {
	hit := f.enter(OpList, dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return nil, fault("list", dir, hit.Err)
	}
	n, err := f.find("list", dir)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, fault("list", dir, syscall.ENOTDIR)
	}
	return sortedNames(n.names), nil
}

func sortedNames(names map[string]*node) []string {
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(dir string) error {
	hit := f.enter(OpMkdir, dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return fault("mkdir", dir, hit.Err)
	}
	n := f.root
	for _, name := range split(dir) {
		next := n.names[name]
		if next == nil {
			next = newDir()
			n.names[name] = next
			n.changes = append(n.changes, change{to: name, node: next})
		}
		if !next.isDir() {
			return fault("mkdir", dir, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(dir string) error {
	hit := f.enter(OpSyncDir, dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if hit != nil {
		return fault("sync directory", dir, hit.Err)
	}
	n, err := f.find("sync directory", dir)
	if err != nil {
		return err
	}
	if !n.isDir() {
		return fault("sync directory", dir, syscall.ENOTDIR)
	}
	n.durable, n.changes = maps.Clone(n.names), nil
	return nil
}

// SetCapacity sets the size of the disk in bytes, 0 for one without limit. What
// is there stays when it is more.
func (f *FS) SetCapacity(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = size
}

// Room implements vfs.Roomer.
func (f *FS) Room(string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.capacity == 0 {
		return math.MaxInt64, nil
	}
	return f.capacity - f.used, nil
}

// Used returns the bytes that files take, preallocated and unlinked ones that
// are open included.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// DropCaches makes the system's cache forget what it thinks is written: data
// that a failed sync has lost read as they are on disk from now on. Dirty pages
// stay. Files of OSFile must not be open.
func (f *FS) DropCaches() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	f.walk(f.root, func(n *node) {
		if n.native != nil && !n.native.dirty {
			errs = append(errs, os.WriteFile(n.native.path, n.native.disk, 0o600))
		}
		for i := range n.pages {
			if !n.dirty[i] {
				n.pages[i] = pageAt(n.disk, i)
				delete(n.fresh, i)
			}
		}
	})
	return errors.Join(errs...)
}

// walk calls fn for every file below a directory.
func (f *FS) walk(dir *node, fn func(n *node)) {
	for _, n := range dir.names {
		if n.isDir() {
			f.walk(n, fn)
		} else {
			fn(n)
		}
	}
}

// ReadFile returns a file's bytes, without being counted.
func (f *FS) ReadFile(path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file("read", path)
	if err != nil {
		return nil, err
	}
	if n.native != nil {
		return n.native.read()
	}
	b := make([]byte, n.size)
	n.readAt(b, 0)
	return b, nil
}

// Files returns the paths of all files below a directory, sorted.
func (f *FS) Files(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find("list", dir)
	if err != nil {
		return nil, err
	}
	var out []string
	var list func(n *node, path string)
	list = func(n *node, path string) {
		for name, child := range n.names {
			if p := filepath.Join(path, name); child.isDir() {
				list(child, p)
			} else {
				out = append(out, p)
			}
		}
	}
	list(n, dir)
	slices.Sort(out)
	return out, nil
}

var errNoSpace = fmt.Errorf("the disk is full: %w", syscall.ENOSPC)

// errForeign means that a path was not made by OSFile.
var errForeign = errors.New("not a file of OSFile")
