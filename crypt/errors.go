package crypt

import (
	"errors"
	"fmt"
)

// Errors of sealed data. None of them says more than the place does: an
// authentication failure must not help whoever caused it.
var (
	// ErrAuth means that sealed bytes do not open under their key: damaged,
	// moved, replayed or forged. Retrying does not help.
	ErrAuth = errors.New("sealed data does not authenticate")

	// ErrWrongKey means that a key commitment does not match: the data was
	// sealed under another DEK, or its header was edited. Retrying does not help.
	ErrWrongKey = errors.New("sealed under another key")

	// ErrTooNew means that a newer version of the program wrote an envelope, a
	// policy or a guard record. Retrying does not help; upgrading does.
	ErrTooNew = errors.New("written by a newer version of the program")

	// ErrNoEpoch means that the key ring holds no DEK of the epoch that a
	// header names.
	ErrNoEpoch = errors.New("no data key of this epoch")

	// ErrWiped means that the key was wiped: the database is paused or closed.
	ErrWiped = errors.New("key was wiped from memory")

	// ErrNotSupported means that this provider cannot do what was asked, such
	// as rewrapping.
	ErrNotSupported = errors.New("not supported by this key provider")
)

// Class sorts the failures of a provider by what they mean for the customer's
// switch. Nothing above a provider looks at any other property of its errors.
type Class uint8

const (
	// ClassNone is not a failure of a provider.
	ClassNone Class = iota

	// ClassDenied means that the KMS answered no: the key is disabled, pending
	// deletion, gone, or its policy refuses.
	ClassDenied

	// ClassUnreachable means that no answer came, or none that says anything
	// about the key: network, time-out, throttling, a fault inside the KMS.
	ClassUnreachable

	// ClassCredentials means that the caller's own credentials are missing,
	// expired or invalid.
	ClassCredentials

	// ClassTampered means that the KMS answered, and that the envelope or the
	// answer is not genuine: an invalid ciphertext, a wrong context, a DEK
	// that is not the one expected.
	ClassTampered
)

// String returns the word that outputs and records use for the class.
func (c Class) String() string {
	switch c {
	case ClassDenied:
		return "denied"
	case ClassUnreachable:
		return "unreachable"
	case ClassCredentials:
		return "credentials"
	case ClassTampered:
		return "tampered"
	default:
		return "none"
	}
}

// MarshalText returns the same word as String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText parses the words that String returns.
func (c *Class) UnmarshalText(text []byte) error {
	for k := ClassNone; k <= ClassTampered; k++ {
		if k.String() == string(text) {
			*c = k
			return nil
		}
	}
	return fmt.Errorf("unknown failure class %q", text)
}

// ProviderError is a failure of a key provider, sorted.
type ProviderError struct {
	Class     Class
	Op        string // what was asked: "generate", "unwrap", "rewrap", "check"
	KeyID     string // of the key that answered: the KEK, or a replica of it; never secret
	Code      string // the provider's own code, such as "DisabledException"
	RequestID string // the provider's request id, to lay beside its log; may be empty
	Detail    string // for a person: what happened, and what to do about it
	WholeKey  bool   // a denial that concerns every use of the key, not this caller or this envelope
	Err       error  // the cause; may be nil

	// Simulated means that the KMS was not asked: a drill plays its part. Such a
	// denial is never one for which data are erased.
	Simulated bool
}

// Error says what failed at which key, and what the provider said.
func (e *ProviderError) Error() string {
	s := fmt.Sprintf("%s with key %s: %s", e.Op, e.KeyID, e.Class)
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	switch {
	case e.Detail != "":
		s += ": " + e.Detail
	case e.Err != nil:
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *ProviderError) Unwrap() error { return e.Err }

// ClassOf returns the class of the first *ProviderError in err's chain.
// A nil error is ClassNone; any other error is ClassUnreachable, because an
// unknown failure must suspend and must never count as the customer's denial.
func ClassOf(err error) Class {
	if err == nil {
		return ClassNone
	}
	if pe, ok := errors.AsType[*ProviderError](err); ok {
		return pe.Class
	}
	return ClassUnreachable
}
