package vfs

import (
	"errors"
	"os"
)

// ErrLocked means that another holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes the exclusive lock of the file at path, made when absent, and
// returns what gives it back. The system gives it back when the process ends.
// Errors: ErrLocked at once, when another process or this one holds it.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the caller's path is the point
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
