package vfs

import (
	"errors"

	"golang.org/x/sys/windows"
)

// errFull is what a full disk says.
const errFull = windows.ERROR_DISK_FULL

// IsFull reports whether err says that the disk, or what its owner may use of
// it, is full.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
