//go:build unix

package vfs

import (
	"errors"
	"syscall"
)

// errFull is what a full disk says.
const errFull = syscall.ENOSPC

// IsFull reports whether err says that the disk, or what its owner may use of
// it, is full.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
