package vfs

import (
	"math"
	"sync/atomic"
)

// Traffic counts what goes through a file system. Safe for concurrent use.
type Traffic struct {
	written atomic.Int64
	syncs   atomic.Int64
}

// Written returns how many bytes were written to files.
func (t *Traffic) Written() int64 { return t.written.Load() }

// Syncs returns how many syncs of files and directories there were. A change by
// FS.Update counts as two, which is what bbolt makes; what that writes is not in
// Written.
func (t *Traffic) Syncs() int64 { return t.syncs.Load() }

// Counting returns inner with its traffic counted.
func Counting(inner FS, t *Traffic) FS { return countingFS{inner, t} }

type countingFS struct {
	FS
	traffic *Traffic
}

func (c countingFS) Create(path string) (File, error)    { return c.file(c.FS.Create(path)) }
func (c countingFS) OpenWrite(path string) (File, error) { return c.file(c.FS.OpenWrite(path)) }

// file counts what is written to a file. Files that are only read stay as they are.
func (c countingFS) file(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return countingFile{f, c.traffic}, nil
}

// Room implements Roomer. An FS that does not know has no end.
func (c countingFS) Room(dir string) (int64, error) {
	if r, ok := c.FS.(Roomer); ok {
		return r.Room(dir)
	}
	return math.MaxInt64, nil
}

func (c countingFS) SyncDir(dir string) error {
	c.traffic.syncs.Add(1)
	return c.FS.SyncDir(dir)
}

func (c countingFS) Update(path string, change func() error) error {
	c.traffic.syncs.Add(2)
	return c.FS.Update(path, change)
}

type countingFile struct {
	File
	traffic *Traffic
}

func (f countingFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.traffic.written.Add(int64(n))
	return n, err
}

func (f countingFile) Sync() error {
	f.traffic.syncs.Add(1)
	return f.File.Sync()
}

func (f countingFile) SyncData() error {
	f.traffic.syncs.Add(1)
	return f.File.SyncData()
}

// StartWriteback passes on the hint where the file takes it.
func (f countingFile) StartWriteback(off, n int64) error {
	if w, ok := f.File.(WritebackStarter); ok {
		return w.StartWriteback(off, n)
	}
	return nil
}
