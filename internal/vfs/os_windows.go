package vfs

import (
	"math"
	"os"

	"golang.org/x/sys/windows"
)

func syncData(f *os.File) error { return f.Sync() }

func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

// Room is GetDiskFreeSpaceEx.
func (osFS) Room(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return int64(min(free, math.MaxInt64)), err
}

// syncDir does nothing: NTFS journals names, and a directory handle cannot be
// flushed.
func syncDir(string) error { return nil }
