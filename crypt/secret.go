package crypt

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"unsafe"

	"github.com/byokdb/byokdb/internal/offheap"
)

// Secret holds key bytes in secret memory ([offheap.AllocSecret]). It prints
// as "[redacted]" everywhere. Safe for concurrent use.
type Secret struct {
	mu   sync.RWMutex
	mem  func() []byte // nil after Wipe
	kind offheap.SecretKind
}

// hidden keeps memory where package fmt does not follow it. Format is not found
// on a Secret given by value or in an unexported field, and fmt then prints what
// it reaches through pointers; of a func it prints the address.
func hidden(b []byte) func() []byte { return func() []byte { return b } }

// NewSecret copies b into a new Secret and zeroes b. b must not be empty.
func NewSecret(b []byte) (*Secret, error) {
	defer clear(b)
	if len(b) == 0 {
		return nil, errors.New("an empty secret")
	}
	mem, kind, err := offheap.AllocSecret(len(b))
	if err != nil {
		return nil, err
	}
	copy(mem, b)
	return &Secret{mem: hidden(mem), kind: kind}, nil
}

// RandomSecret returns KeySize bytes from the system's random source.
func RandomSecret() (*Secret, error) {
	mem, kind, err := offheap.AllocSecret(KeySize)
	if err != nil {
		return nil, err
	}
	rand.Read(mem) // never fails: crypto/rand ends the program instead
	return &Secret{mem: hidden(mem), kind: kind}, nil
}

// Use calls fn with the secret's bytes, which are valid until fn returns and
// must not be kept. It returns ErrWiped, without calling fn, after Wipe.
func (s *Secret) Use(fn func(b []byte) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mem == nil {
		return ErrWiped
	}
	return fn(s.mem())
}

// Equal reports in constant time whether two secrets hold the same bytes. A
// wiped secret equals nothing.
func (s *Secret) Equal(o *Secret) bool {
	if s == o {
		return s.Use(func([]byte) error { return nil }) == nil
	}
	if uintptr(unsafe.Pointer(s)) > uintptr(unsafe.Pointer(o)) {
		s, o = o, s // one order of locks: Wipe of both, beside Equal both ways, must not deadlock
	}
	equal := false
	_ = s.Use(func(a []byte) error { // a wiped secret leaves equal false
		return o.Use(func(b []byte) error {
			equal = subtle.ConstantTimeCompare(a, b) == 1
			return nil
		})
	})
	return equal
}

// Memory tells what kind of memory the secret is in.
func (s *Secret) Memory() string { return s.kind.String() }

// Wipe zeroes the secret and returns its memory. It waits for Use, may be
// called more than once, and on a nil Secret.
func (s *Secret) Wipe() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil {
		return
	}
	if err := offheap.FreeSecret(s.mem()); err != nil {
		clear(s.mem()) // zeroed all the same; the address space is lost, nothing else
	}
	s.mem = nil
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (s *Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s *Secret) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb.
func (s *Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted) // fmt.State reports no errors
}

// MarshalText returns "[redacted]"; encoding/json uses it too.
func (s *Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (s *Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
