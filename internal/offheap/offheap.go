// Package offheap hands out memory that the Go runtime neither scans, moves
// nor copies, so that its owner can wipe it: plain memory for pages and
// memtables, secret memory for keys.
//
// Nothing here is freed by the garbage collector. Whoever allocates frees.
package offheap

import "fmt"

// Alloc returns n zeroed bytes outside the Go heap, page-aligned and left out
// of core dumps where the system can do that. The memory is not locked.
// n must be positive.
func Alloc(n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("offheap: size %d is not positive", n)
	}
	b, err := mapMemory(n)
	if err != nil {
		return nil, fmt.Errorf("offheap: map %d bytes: %w", n, err)
	}
	return b, nil
}

// Free wipes memory from [Alloc] and returns it to the system. The slice must
// be the one that Alloc returned, and must not be used afterwards.
func Free(b []byte) error {
	clear(b)
	if err := unmapMemory(b); err != nil {
		return fmt.Errorf("offheap: unmap %d bytes: %w", len(b), err)
	}
	return nil
}

// FreeZero is Free for memory that the caller knows to be zero: its pages need
// not be touched.
func FreeZero(b []byte) error {
	if err := unmapMemory(b); err != nil {
		return fmt.Errorf("offheap: unmap %d bytes: %w", len(b), err)
	}
	return nil
}

// Discard wipes memory from [Alloc] and gives the physical pages back to the
// system; the addresses stay valid and read as zeros afterwards. Readers that
// still hold the slice see zeros, never a fault.
func Discard(b []byte) {
	clear(b)
	discardMemory(b)
}

// AllocSecret returns n zeroed bytes for keys: memory made with memfd_secret
// where the kernel has it (not even a root debugger can read it), else locked
// and kept out of core dumps. Kind says which it was.
func AllocSecret(n int) (b []byte, kind SecretKind, err error) {
	if n <= 0 {
		return nil, SecretNone, fmt.Errorf("offheap: size %d is not positive", n)
	}
	b, kind, err = mapSecret(n)
	if err != nil {
		return nil, SecretNone, fmt.Errorf("offheap: map %d secret bytes: %w", n, err)
	}
	return b, kind, nil
}

// FreeSecret wipes and unmaps memory from [AllocSecret].
func FreeSecret(b []byte) error {
	clear(b)
	if err := unmapSecret(b); err != nil {
		return fmt.Errorf("offheap: unmap %d secret bytes: %w", len(b), err)
	}
	return nil
}

// SecretKind tells how well the system hides secret memory.
type SecretKind uint8

// The kinds, from none to best.
const (
	SecretNone   SecretKind = iota
	SecretPlain             // the system refused to lock it; still off-heap and wiped
	SecretLocked            // locked in memory, left out of core dumps
	SecretMemfd             // memfd_secret: removed from the kernel's own map
)

// String names the kind.
func (k SecretKind) String() string {
	switch k {
	case SecretPlain:
		return "plain"
	case SecretLocked:
		return "locked"
	case SecretMemfd:
		return "memfd_secret"
	default:
		return "none"
	}
}
