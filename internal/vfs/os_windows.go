package vfs

import "os"

func syncData(f *os.File) error { return f.Sync() }

func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

// syncDir does nothing: NTFS journals names, and a directory handle cannot be
// flushed.
func syncDir(string) error { return nil }
