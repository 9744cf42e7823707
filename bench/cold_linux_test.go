package bench

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const canDropCache = true

// dropCache has the system forget what it has of a file.
func dropCache(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync() // dirty pages would stay
	if err == nil {
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return errors.Join(err, f.Close())
}
