package crypt

import (
	"crypto/hmac"
	"crypto/sha256"
)

// okmSize is how much deriveKeys derives, in bytes: two blocks of SHA-256.
const okmSize = KeySize + CommitmentSize

// deriveKeys puts HKDF-SHA256 with an output of 64 bytes into okm. The one of the
// standard library leaves its input behind, in the dead states of hashes on the Go
// heap; here they are cleared. The caller clears the stack.
//
// Source: RFC 5869; FORMAT.md §2.
func deriveKeys(okm *[okmSize]byte, secret, salt, info []byte) {
	var prk, t [sha256.Size]byte
	mac(&prk, salt, secret)
	mac(&t, prk[:], info, []byte{1})
	copy(okm[:], t[:])
	mac(&t, prk[:], t[:], info, []byte{2})
	copy(okm[sha256.Size:], t[:])
	clear(prk[:])
	clear(t[:])
}

const _ = uint(okmSize-2*sha256.Size) + uint(2*sha256.Size-okmSize)

// mac puts HMAC-SHA256 of the parts, joined, into out, which may be one of them.
func mac(out *[sha256.Size]byte, key []byte, parts ...[]byte) {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		_, _ = h.Write(p) // a hash has no errors
	}
	h.Sum(out[:0])
	wipeState(h)
}
