//go:build unix

package vfs

import "os"

func syncDirUnix(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the caller's path is the point
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
