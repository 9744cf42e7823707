package vfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// OS returns the operating system's file system. Files are made with mode
// 0600, directories with 0700.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(path string) (File, error) {
	return wrapFile(os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)) //nolint:gosec // the caller's path is the point
}

func (osFS) Open(path string) (File, error) {
	return wrapFile(openRead(path))
}

func (osFS) OpenWrite(path string) (File, error) {
	return wrapFile(os.OpenFile(path, os.O_RDWR, 0)) //nolint:gosec // the caller's path is the point
}

func (osFS) Remove(path string) error     { return os.Remove(path) }
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o700) }
func (osFS) SyncDir(dir string) error     { return syncDir(filepath.Clean(dir)) }

func (osFS) List(dir string) ([]string, error) {
	f, err := os.Open(dir) //nolint:gosec // the caller's path is the point
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	sort.Strings(names)
	return names, err
}

func (osFS) OSFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode) //nolint:gosec // the caller's path is the point
}

func (osFS) Update(_ string, change func() error) error { return change() }

type osFile struct{ f *os.File }

func wrapFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f: f}, nil
}

func (o osFile) ReadAt(p []byte, off int64) (int, error)  { return o.f.ReadAt(p, off) }
func (o osFile) WriteAt(p []byte, off int64) (int, error) { return o.f.WriteAt(p, off) }
func (o osFile) Close() error                             { return o.f.Close() }
func (o osFile) Sync() error                              { return o.f.Sync() }
func (o osFile) SyncData() error                          { return syncData(o.f) }
func (o osFile) Truncate(size int64) error                { return o.f.Truncate(size) }

func (o osFile) Preallocate(size int64) error {
	have, err := o.Size()
	if err != nil || have >= size {
		return err
	}
	return preallocate(o.f, size)
}

func (o osFile) Size() (int64, error) {
	st, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
