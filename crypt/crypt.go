// Package crypt is the key hierarchy and the sealing of everything that is
// stored.
//
// Two keys, one above the other. The customer's key (the KEK) lives in their
// KMS and never here; a [Provider] asks it to wrap and unwrap. The data
// encryption key (the DEK) is 256 random bits that are stored only wrapped, in
// an [Envelope], and held unwrapped only in secret memory, in a [KeyRing].
// From the DEK every file derives a key of its own ([FileKey]), which seals
// that file's pages or frames, so that nothing can be moved between files and
// no nonce can meet the same key twice.
//
// The package does no I/O; providers in the packages below it do.
package crypt

import (
	"encoding/hex"
	"fmt"
)

// KeySize is the size of DEKs and file keys in bytes: AES-256.
const KeySize = 32

// ID is a random identifier of 16 bytes, such as a database id.
type ID [16]byte

// String returns the 32 lower-case hexadecimal digits of the id.
func (i ID) String() string { return hex.EncodeToString(i[:]) }

// MarshalText returns the same digits as String.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText parses 32 hexadecimal digits.
func (i *ID) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(i) || len(text)%2 != 0 {
		return fmt.Errorf("an id has %d hexadecimal digits, not %d", 2*len(i), len(text))
	}
	if _, err := hex.Decode(i[:], text); err != nil {
		return fmt.Errorf("parse id: %w", err)
	}
	return nil
}

// Epoch numbers the DEKs of one database from 1 upwards; a rotation begins a
// new one.
type Epoch uint32

// String returns the epoch as eight decimal digits.
func (e Epoch) String() string { return fmt.Sprintf("%08d", uint32(e)) }
