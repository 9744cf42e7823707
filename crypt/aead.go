//go:build !byokdb_benchmark_plaintext

package crypt

import (
	"crypto/aes"
	"crypto/cipher"
)

// keyLabel begins what keys of files are derived from. It is part of the format
// on disk.
const keyLabel = "byokdb v1"

// newAEAD returns AES-256-GCM with random nonces.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	wipeState(block) // the GCM object holds a copy of the key schedule
	return aead, nil
}
