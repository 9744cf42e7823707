package scrub

import (
	"crypto/aes"
	"crypto/cipher"
	"runtime"
)

// clearRegisters has the vector registers hold nothing of anybody: it encrypts
// and copies zeros in the ways that use them all.
func clearRegisters() {
	var zero [4096]byte
	var key [32]byte
	if block, err := aes.NewCipher(key[:]); err == nil {
		if aead, err := cipher.NewGCMWithRandomNonce(block); err == nil {
			_ = aead.Seal(nil, nil, zero[:1024], nil)
		}
	}
	to := zero
	runtime.KeepAlive(&to)
}
