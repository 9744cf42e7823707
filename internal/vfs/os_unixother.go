//go:build unix && !linux

package vfs

import "os"

// syncData is a full sync: darwin's fsync does not reach the platter, Go's
// File.Sync asks for F_FULLFSYNC there.
func syncData(f *os.File) error { return f.Sync() }

func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

func syncDir(dir string) error { return syncDirUnix(dir) }
