//go:build unix

package offheap

import "golang.org/x/sys/unix"

func mapMemory(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	dontDump(b)
	return b, nil
}

func unmapMemory(b []byte) error { return unix.Munmap(b) }

func discardMemory(b []byte) {
	_ = unix.Madvise(b, unix.MADV_DONTNEED) // advice: the bytes are zero already
}

// mapLocked is the fallback for secrets where memfd_secret is missing.
func mapLocked(n int) ([]byte, SecretKind, error) {
	b, err := mapMemory(n)
	if err != nil {
		return nil, SecretNone, err
	}
	if err := unix.Mlock(b); err != nil { // RLIMIT_MEMLOCK: weaker, not fatal
		return b, SecretPlain, nil //nolint:nilerr // the kind reports it
	}
	return b, SecretLocked, nil
}

func unmapSecret(b []byte) error { return unix.Munmap(b) }
