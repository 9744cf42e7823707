//go:build unix

package vfs

import "os"

func openRead(path string) (*os.File, error) {
	return os.Open(path) //nolint:gosec // the caller's path is the point
}
