// Package vfs is the file system as the database needs it: few calls, each
// with its durability stated. Tests put other file systems behind it that
// crash, fill up or fail at the n-th call.
package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// FS is a file system. Paths are the operating system's. Errors wrap the
// errors of package io/fs (fs.ErrNotExist, fs.ErrExist) where they apply.
// Implementations are safe for concurrent use.
type FS interface {
	// Create makes a new file, open for reading and writing, and fails with
	// fs.ErrExist when the name is taken. The file's data are durable after
	// File.Sync, its name after SyncDir.
	Create(path string) (File, error)

	// Open opens an existing file for reading.
	Open(path string) (File, error)

	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(path string) (File, error)

	// Remove unlinks a file. Its space returns when the last open file on it
	// is closed.
	Remove(path string) error

	// Rename moves a file within a directory, over an existing one if there
	// is one. It is durable after SyncDir.
	Rename(from, to string) error

	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)

	// MkdirAll makes a directory and its parents, mode 0700.
	MkdirAll(dir string) error

	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error

	// OSFile opens the operating system's own file at path, as os.OpenFile
	// does, for a library that does its own I/O on it. Its writes belong inside
	// of Update.
	OSFile(path string, flag int, mode fs.FileMode) (*os.File, error)

	// Update runs change, in which such a library changes the file at path in
	// one durable step, and returns its error. An error that is not change's
	// own leaves undecided whether the step was made.
	Update(path string, change func() error) error
}

// Roomer is an FS that knows how much room its disk has for this process, in
// bytes.
type Roomer interface {
	Room(dir string) (int64, error)
}

// CheckRoom returns the error of a full disk if there is no room for n bytes more
// in dir. Where fs does not know, there is.
func CheckRoom(files FS, dir string, n int64) error {
	r, ok := files.(Roomer)
	if !ok {
		return nil
	}
	if free, err := r.Room(dir); err == nil && free < n {
		return fmt.Errorf("%d bytes are free, %d are needed: %w", free, n, errFull)
	}
	return nil
}

// Prefetcher is a File that can be asked to bring a part of it into the system's
// cache, without waiting for it: a hint, which may come to nothing.
type Prefetcher interface {
	Prefetch(off, n int64)
}

// WritebackStarter is a File that can be asked to write a part of it to the disk
// soon, without waiting: a hint, which makes nothing durable. A large file that is
// written without it is all dirty at its sync, and every other sync on the disk
// waits behind that.
type WritebackStarter interface {
	StartWriteback(off, n int64) error
}

// File is an open file. ReadAt and WriteAt are safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Sync makes data and size durable.
	Sync() error

	// SyncData is Sync without times and other attributes that no later read
	// needs (fdatasync where the system has it).
	SyncData() error

	// Preallocate reserves space up to size bytes and extends the file to it,
	// reading as zeros; a file that is larger stays as it is.
	Preallocate(size int64) error

	// Truncate sets the size.
	Truncate(size int64) error

	// Size returns the size in bytes.
	Size() (int64, error)
}
