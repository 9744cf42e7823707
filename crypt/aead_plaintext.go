//go:build byokdb_benchmark_plaintext

package crypt

import (
	"crypto/cipher"
	"errors"
	"slices"
	"testing"
)

// This file encrypts nothing. It is there to measure what encryption costs:
// benchmarks are built with it and without. Three things keep it from users: it
// is not compiled without a tag that says what it does; a program that is built
// with the tag refuses to start unless go test has built it; and files of such a
// build are refused by every other one, since their keys are derived from
// another label. See docs/adr.

// keyLabel makes files of this build another format.
const keyLabel = "byokdb benchmark, not encrypted"

func init() {
	if !testing.Testing() {
		panic("crypt: this program was built with the tag byokdb_benchmark_plaintext, which turns encryption off: it runs benchmarks only")
	}
}

// newAEAD returns what has the sizes of AES-GCM with random nonces and seals by
// copying.
func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, errors.New("crypt: the key has another size")
	}
	return plainCopy{}, nil
}

type plainCopy struct{}

func (plainCopy) NonceSize() int { return 0 }
func (plainCopy) Overhead() int  { return Overhead }

// Seal moves plain behind a nonce of zeros, and puts a tag of zeros behind it.
// plain may begin where dst ends.
func (plainCopy) Seal(dst, _, plain, _ []byte) []byte {
	n := len(plain)
	out := slices.Grow(dst, n+Overhead)[:len(dst)+n+Overhead]
	copy(out[len(dst)+nonceSize:], plain)
	clear(out[len(dst) : len(dst)+nonceSize])
	clear(out[len(dst)+nonceSize+n:])
	return out
}

func (plainCopy) Open(dst, _, sealed, _ []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrAuth
	}
	return append(dst, sealed[nonceSize:len(sealed)-TagSize]...), nil
}
