package crypt

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/byokdb/byokdb/internal/scrub"
)

// SaltSize is the size in bytes of the random salt in every file's header.
const SaltSize = 32

// CommitmentSize is the size in bytes of a key commitment. It is on disk.
const CommitmentSize = 32

// Overhead is what sealing adds to the plaintext, in bytes: nonce (12 B) and
// tag (16 B).
const Overhead = nonceSize + TagSize

// TagSize is the size in bytes of the authentication tag that ends sealed data.
const TagSize = 16

const nonceSize = 12

const (
	_ = uint(Overhead - 28) // both are on disk
	_ = uint(28 - Overhead)
)

// Kind tells what sort of sealed object a key is for. It is on disk, and part
// of the key's derivation.
type Kind uint8

// The kinds of sealed objects.
const (
	KindRun      Kind = 1 // a B-tree file
	KindSegment  Kind = 2 // a segment of the write-ahead log
	KindManifest Kind = 3 // the manifest value in the catalog
	KindDEK      Kind = 4 // the check value of a DEK in its envelope
)

// Salt is the random part of a header from which a file's key is derived.
type Salt [SaltSize]byte

// Commitment binds a header to the one key that it was written under.
type Commitment [CommitmentSize]byte

// FileKey seals and opens the pages or frames of one file. Safe for concurrent
// use, except that Wipe must not run beside Seal or Open.
type FileKey struct {
	aead  cipher.AEAD // AES-256-GCM with random nonces
	wiped atomic.Bool
}

// deriveFileKey returns the file's key and the commitment to it.
//
//	HKDF-SHA256(secret = DEK, salt, info = "byokdb v1" ‖ kind (1 B) ‖ header), 64 B
//	→ file key (32 B) ‖ commitment (32 B)
//
// header is everything in the file's clear header that precedes the
// commitment, the salt included, so that any change of it yields another key.
//
// Source: FORMAT.md §2; RFC 5869; NIST SP 800-56C rev. 2.
func deriveFileKey(dek []byte, kind Kind, salt Salt, header []byte) (*FileKey, Commitment, error) {
	scrub.Stack() // now, so that the stack does not move with the key on it
	defer scrub.Stack()
	info := make([]byte, 0, len(keyLabel)+1+len(header))
	info = append(info, keyLabel...)
	info = append(info, byte(kind))
	info = append(info, header...)
	var okm [okmSize]byte
	defer clear(okm[:])
	deriveKeys(&okm, dek, salt[:], info)
	aead, err := newAEAD(okm[:KeySize])
	if err != nil {
		return nil, Commitment{}, fmt.Errorf("derive file key: %w", err)
	}
	return &FileKey{aead: aead}, Commitment(okm[KeySize:]), nil
}

// verifyCommitment compares in constant time.
func verifyCommitment(got, want Commitment) error {
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return ErrWrongKey
	}
	return nil
}

// AAD is the associated data of a sealed page or frame: what it is and where it
// stands.
//
//	place (8 B, big-endian) ‖ kind of content (1 B)
type AAD [9]byte

// PlaceAAD returns the associated data for a place: a page's byte offset in its
// file, or a frame's number.
func PlaceAAD(place uint64, content byte) AAD {
	var a AAD
	binary.BigEndian.PutUint64(a[:8], place)
	a[8] = content
	return a
}

// Seal appends the sealed form of plain to dst and returns the extended slice.
//
//	output: nonce (12 B) ‖ ciphertext (len(plain) B) ‖ tag (16 B)
//
// The nonce is random; a file has at most 2³² pages, so that the chance of a
// repeat under one key stays below 2⁻³². dst's spare capacity must not overlap
// plain, unless plain begins exactly where dst ends. It panics on a wiped key:
// sealing after a wipe is a fault of ours.
//
// Source: FORMAT.md §2; NIST SP 800-38D §8.2.2.
func (k *FileKey) Seal(dst, plain []byte, aad AAD) []byte {
	if k.wiped.Load() {
		panic("crypt: seal with a wiped key")
	}
	a := borrowAAD(aad)
	defer aadPool.Put(a)
	return k.aead.Seal(dst, nil, plain, a[:])
}

// aadPool keeps associated data off the path's allocations: what is handed to
// an interface escapes to the heap.
var aadPool = sync.Pool{New: func() any { return new(AAD) }}

func borrowAAD(aad AAD) *AAD {
	a, ok := aadPool.Get().(*AAD)
	if !ok {
		a = new(AAD)
	}
	*a = aad
	return a
}

// Open appends the plaintext of sealed to dst and returns the extended slice.
// It returns ErrAuth when sealed does not authenticate at this place, and
// ErrWiped on a wiped key; dst's contents are unchanged then. dst's spare
// capacity must not overlap sealed, unless dst is sealed[:0].
//
// Source: FORMAT.md §2.
func (k *FileKey) Open(dst, sealed []byte, aad AAD) ([]byte, error) {
	if k.wiped.Load() {
		return dst, ErrWiped
	}
	if len(sealed) < Overhead {
		return dst, ErrAuth
	}
	a := borrowAAD(aad)
	defer aadPool.Put(a)
	out, err := k.aead.Open(dst, nil, sealed, a[:])
	if err != nil {
		return dst, ErrAuth
	}
	return out, nil
}

// Wipe clears the key schedule. Later calls of Open return ErrWiped. No Seal or
// Open may be under way.
func (k *FileKey) Wipe() {
	if k == nil || k.wiped.Swap(true) {
		return
	}
	wipeState(k.aead)
}
