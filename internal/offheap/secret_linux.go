package offheap

import "golang.org/x/sys/unix"

// mapSecret asks for memfd_secret first. The descriptor is closed at once: the
// mapping keeps the memory.
func mapSecret(n int) ([]byte, SecretKind, error) {
	fd, err := unix.MemfdSecret(unix.O_CLOEXEC)
	if err != nil {
		return mapLocked(n)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Ftruncate(fd, int64(n)); err != nil {
		return mapLocked(n)
	}
	b, err := unix.Mmap(fd, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil { // RLIMIT_MEMLOCK is counted here
		return mapLocked(n)
	}
	dontDump(b)
	_ = unix.Madvise(b, unix.MADV_DONTFORK)
	return b, SecretMemfd, nil
}

func dontDump(b []byte) {
	_ = unix.Madvise(b, unix.MADV_DONTDUMP) // advice: an old kernel may refuse
}
