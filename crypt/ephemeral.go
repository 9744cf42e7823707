package crypt

import (
	"crypto/rand"
	"fmt"

	"github.com/byokdb/byokdb/internal/scrub"
)

// NewEphemeralKey returns a file key of random bits that is derived from nothing
// and is stored nowhere, for temporary files: what it sealed cannot be opened
// any more, by anybody, once it is wiped or the process is gone. The 256 bits
// that it is made of are cleared before it returns.
func NewEphemeralKey() (*FileKey, error) {
	scrub.Stack() // now, so that the stack does not move with the key on it
	defer scrub.Stack()
	var bits [KeySize]byte
	defer clear(bits[:])
	rand.Read(bits[:]) // never fails: crypto/rand ends the program instead
	aead, err := newAEAD(bits[:])
	if err != nil {
		return nil, fmt.Errorf("make an ephemeral key: %w", err)
	}
	return &FileKey{aead: aead}, nil
}
