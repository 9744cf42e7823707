package offheap

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapMemory(n int) ([]byte, error) {
	p, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_COMMIT|windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	// Read as a pointer, not converted: the address is no Go memory and does not move.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n), nil
}

func unmapMemory(b []byte) error {
	return windows.VirtualFree(uintptr(unsafe.Pointer(unsafe.SliceData(b))), 0, windows.MEM_RELEASE)
}

func discardMemory([]byte) {}

func mapSecret(n int) ([]byte, SecretKind, error) {
	b, err := mapMemory(n)
	if err != nil {
		return nil, SecretNone, err
	}
	if err := windows.VirtualLock(uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(n)); err != nil {
		return b, SecretPlain, nil //nolint:nilerr // the kind reports it
	}
	return b, SecretLocked, nil
}

func unmapSecret(b []byte) error { return unmapMemory(b) }
