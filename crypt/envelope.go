package crypt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Envelope is a wrapped DEK as it is stored, with what is needed to unwrap it
// and to know that the right DEK came back. It is in the clear: nothing in it
// is secret.
type Envelope struct {
	Database ID
	Epoch    Epoch
	Created  time.Time // seconds, UTC
	Salt     Salt      // of the check value
	Check    Commitment
	KeyID    string // of the KEK
	Wrapped  Wrapped
}

// envelopeVersion is on disk.
const envelopeVersion = 1

// Limits of what an envelope may hold, in bytes.
const (
	keyIDSizeMax      = 2048
	wrappedSizeMax    = 6144 // AWS KMS: a ciphertext blob has at most 6144 B
	materialIDSizeMax = 256
)

// ErrEnvelope means that stored envelope bytes do not parse.
var ErrEnvelope = errors.New("damaged envelope")

// NewEnvelope describes a DEK that a provider has just generated.
func NewEnvelope(c Context, keyID string, w Wrapped, dek *Secret, created time.Time) (*Envelope, error) {
	e := &Envelope{
		Database: c.Database, Epoch: c.Epoch, Created: created.UTC().Truncate(time.Second),
		Salt: NewSalt(), KeyID: keyID, Wrapped: w,
	}
	check, err := e.check(dek)
	if err != nil {
		return nil, err
	}
	e.Check = check
	return e, nil
}

// Context returns the encryption context that the DEK was wrapped with.
func (e *Envelope) Context() Context {
	return Context{Database: e.Database, Purpose: PurposeData, Epoch: e.Epoch}
}

// Verify compares dek with the check value. A DEK that does not match is a
// *ProviderError of ClassTampered: the KMS, or somebody who speaks for it,
// returned another key.
func (e *Envelope) Verify(dek *Secret) error {
	got, err := e.check(dek)
	if err != nil {
		return err
	}
	if verifyCommitment(got, e.Check) != nil {
		return &ProviderError{
			Class: ClassTampered, Op: "unwrap", KeyID: e.KeyID, Err: ErrWrongKey,
			Detail: "the key that came back is not the one that sealed this database",
		}
	}
	return nil
}

// check derives the check value in the way of a file's key commitment; no key
// is made from the other half.
func (e *Envelope) check(dek *Secret) (c Commitment, err error) {
	header := append(e.Database[:len(e.Database):len(e.Database)], 0, 0, 0, 0)
	binary.BigEndian.PutUint32(header[len(e.Database):], uint32(e.Epoch))
	header = append(header, e.Salt[:]...)
	err = dek.Use(func(b []byte) error {
		k, got, err := deriveFileKey(b, KindDEK, e.Salt, header)
		if err != nil {
			return err
		}
		k.Wipe()
		c = got
		return nil
	})
	return c, err
}

// MarshalBinary encodes the envelope.
//
//	offset  size  field, integers big-endian
//	     0     1  version, 1
//	     1    16  database id
//	    17     4  epoch
//	    21     8  created, seconds since 1970
//	    29    32  salt
//	    61    32  check value
//	    93     2  n, then n bytes of KEK id
//	     …     2  n, then n bytes of material id
//	     …     2  n, then n bytes of wrapped DEK
//
// Source: FORMAT.md §3.
func (e *Envelope) MarshalBinary() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 128+len(e.KeyID)+len(e.Wrapped.MaterialID)+len(e.Wrapped.Bytes))
	b = append(b, envelopeVersion)
	b = append(b, e.Database[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Created.Unix()))
	b = append(b, e.Salt[:]...)
	b = append(b, e.Check[:]...)
	for _, s := range [][]byte{[]byte(e.KeyID), []byte(e.Wrapped.MaterialID), e.Wrapped.Bytes} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b, nil
}

// UnmarshalBinary decodes an envelope; b is copied. Errors wrap
// ErrEnvelope or ErrTooNew.
func (e *Envelope) UnmarshalBinary(b []byte) error {
	const fixed = 93
	if len(b) == 0 {
		return fmt.Errorf("%w: no bytes", ErrEnvelope)
	}
	if b[0] > envelopeVersion {
		return fmt.Errorf("envelope of version %d: %w", b[0], ErrTooNew)
	}
	if b[0] != envelopeVersion {
		return fmt.Errorf("%w: version %d", ErrEnvelope, b[0])
	}
	if len(b) < fixed {
		return fmt.Errorf("%w: %d bytes", ErrEnvelope, len(b))
	}
	var out Envelope
	copy(out.Database[:], b[1:17])
	out.Epoch = Epoch(binary.BigEndian.Uint32(b[17:]))
	out.Created = time.Unix(int64(binary.BigEndian.Uint64(b[21:])), 0).UTC()
	copy(out.Salt[:], b[29:61])
	copy(out.Check[:], b[61:93])
	rest := b[fixed:]
	var parts [3][]byte
	for i := range parts {
		if len(rest) < 2 {
			return fmt.Errorf("%w: cut short", ErrEnvelope)
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; len(rest) < n {
			return fmt.Errorf("%w: cut short", ErrEnvelope)
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes too many", ErrEnvelope, len(rest))
	}
	out.KeyID = string(parts[0])
	out.Wrapped = Wrapped{MaterialID: string(parts[1]), Bytes: append([]byte(nil), parts[2]...)}
	if err := out.Validate(); err != nil {
		return err
	}
	*e = out
	return nil
}

// Validate checks limits. Errors wrap ErrEnvelope.
func (e *Envelope) Validate() error {
	switch {
	case e.Epoch == 0:
		return fmt.Errorf("%w: epoch 0", ErrEnvelope)
	case e.KeyID == "" || len(e.KeyID) > keyIDSizeMax:
		return fmt.Errorf("%w: KEK id of %d bytes", ErrEnvelope, len(e.KeyID))
	case len(e.Wrapped.Bytes) == 0 || len(e.Wrapped.Bytes) > wrappedSizeMax:
		return fmt.Errorf("%w: wrapped key of %d bytes", ErrEnvelope, len(e.Wrapped.Bytes))
	case len(e.Wrapped.MaterialID) > materialIDSizeMax:
		return fmt.Errorf("%w: material id of %d bytes", ErrEnvelope, len(e.Wrapped.MaterialID))
	}
	return nil
}
