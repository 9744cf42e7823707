package crypt

import (
	"crypto/rand"
	"fmt"
	"sync"
)

// KeyRing holds the unwrapped DEKs of one open database by epoch. Safe for
// concurrent use.
type KeyRing struct {
	mu      sync.RWMutex
	deks    map[Epoch]*Secret
	current Epoch
	wiped   bool
}

// NewKeyRing returns an empty ring.
func NewKeyRing() *KeyRing { return &KeyRing{deks: make(map[Epoch]*Secret)} }

// Add takes ownership of a DEK. The highest epoch added is the current one. A
// DEK of the same epoch that was there before is wiped.
func (r *KeyRing) Add(e Epoch, dek *Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wiped {
		dek.Wipe()
		return
	}
	r.deks[e].Wipe()
	r.deks[e] = dek
	r.current = max(r.current, e)
}

// Drop wipes the DEK of one epoch.
func (r *KeyRing) Drop(e Epoch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deks[e].Wipe()
	delete(r.deks, e)
}

// Current returns the epoch under which new files are sealed, 0 in an empty ring.
func (r *KeyRing) Current() Epoch {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.current
}

// Equal reports in constant time whether dek is the ring's DEK of that epoch.
func (r *KeyRing) Equal(e Epoch, dek *Secret) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	have, ok := r.deks[e]
	return ok && have.Equal(dek)
}

// NewSalt returns a fresh random salt.
func NewSalt() Salt {
	var s Salt
	rand.Read(s[:]) // never fails: crypto/rand ends the program instead
	return s
}

// Create derives the key of a new file and the commitment that belongs behind
// its header. header is everything that precedes the commitment and must hold
// the salt and the epoch. Errors: ErrNoEpoch, ErrWiped.
func (r *KeyRing) Create(e Epoch, kind Kind, salt Salt, header []byte) (*FileKey, Commitment, error) {
	return r.derive(e, kind, salt, header)
}

// Open derives the key of an existing file and compares the commitment first.
// Errors: ErrWrongKey when the header was written under another DEK or edited,
// ErrNoEpoch, ErrWiped.
func (r *KeyRing) Open(e Epoch, kind Kind, salt Salt, header []byte, want Commitment) (*FileKey, error) {
	k, got, err := r.derive(e, kind, salt, header)
	if err != nil {
		return nil, err
	}
	if err := verifyCommitment(got, want); err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

func (r *KeyRing) derive(e Epoch, kind Kind, salt Salt, header []byte) (k *FileKey, c Commitment, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.wiped {
		return nil, c, ErrWiped
	}
	dek, ok := r.deks[e]
	if !ok {
		return nil, c, fmt.Errorf("epoch %s: %w", e, ErrNoEpoch)
	}
	err = dek.Use(func(b []byte) error {
		k, c, err = deriveFileKey(b, kind, salt, header)
		return err
	})
	return k, c, err
}

// Wipe wipes every DEK. The ring stays empty afterwards: Add wipes what it is
// given, the other methods return ErrWiped.
func (r *KeyRing) Wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e, dek := range r.deks {
		dek.Wipe()
		delete(r.deks, e)
	}
	r.wiped = true
}
