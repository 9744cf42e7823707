package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return pathError("fdatasync", f, err)
		}
	}
}

func preallocate(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return f.Truncate(size)
		default:
			return pathError("fallocate", f, err)
		}
	}
}

func pathError(op string, f *os.File, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

func syncDir(dir string) error { return syncDirUnix(dir) }

// Room is statfs.
func (osFS) Room(dir string) (int64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if !errors.Is(err, unix.EINTR) {
			return int64(st.Bavail) * st.Bsize, err
		}
	}
}

// Prefetch is posix_fadvise with POSIX_FADV_WILLNEED.
func (o osFile) Prefetch(off, n int64) {
	_ = unix.Fadvise(int(o.f.Fd()), off, n, unix.FADV_WILLNEED)
}

// StartWriteback is sync_file_range with SYNC_FILE_RANGE_WRITE.
func (o osFile) StartWriteback(off, n int64) error {
	for {
		err := unix.SyncFileRange(int(o.f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ESPIPE), errors.Is(err, unix.EINVAL):
			return nil // no such file system: it was a hint
		default:
			return pathError("sync_file_range", o.f, err)
		}
	}
}
