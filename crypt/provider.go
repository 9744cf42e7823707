package crypt

import (
	"context"
	"strconv"
)

// Provider wraps and unwraps DEKs with one customer key.
//
// Obligations: every method passes the full key id and the encryption context
// to the KMS and checks both in the answer; a failure is a *[ProviderError]
// with its class; a returned Secret has [KeySize] bytes; nothing secret is
// logged or kept. Methods are safe for concurrent use and return soon after
// ctx ends.
type Provider interface {
	// KeyID returns the KEK's full id: a key ARN, or "local:" and a
	// fingerprint. It names the key for life and holds nothing secret.
	KeyID() string

	// URI returns the URI from which keyuri.Open makes this provider again.
	// It holds nothing secret.
	URI() string

	// Development reports that the key protects nothing, as of a key file.
	Development() bool

	// Check asks whether the key exists and is of a kind that can serve here.
	Check(ctx context.Context) error

	// Generate makes a new random DEK and returns it unwrapped and wrapped.
	Generate(ctx context.Context, c Context) (*Secret, Wrapped, Receipt, error)

	// Unwrap returns the DEK in w. A different context or key is ClassTampered
	// or ClassDenied, as the KMS says.
	Unwrap(ctx context.Context, w Wrapped, c Context) (*Secret, Receipt, error)

	// Rewrap wraps the same DEK anew with the KEK's newest material, without
	// the DEK leaving the KMS where that can be. ErrNotSupported if it cannot.
	Rewrap(ctx context.Context, w Wrapped, c Context) (Wrapped, Receipt, error)

	// Close releases connections. The provider must not be used afterwards.
	Close() error
}

// MaterialReporter is a Provider that can say which material of the KEK wraps
// now. An Unwrap's receipt names the material that the DEK was wrapped under,
// which stays the same when the KEK is rotated.
type MaterialReporter interface {
	CurrentMaterial(ctx context.Context) (materialID string, r Receipt, err error)
}

type primaryOnly struct{}

// PrimaryOnly returns a context under which no replica of the KEK unwraps, as
// after a denial that the process does not remember.
func PrimaryOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, primaryOnly{}, true)
}

// IsPrimaryOnly reports whether ctx is PrimaryOnly's, or made from it.
func IsPrimaryOnly(ctx context.Context) bool { return ctx.Value(primaryOnly{}) != nil }

// Wrapped is a DEK under a KEK.
type Wrapped struct {
	Bytes      []byte // the provider's ciphertext blob, 1 B to 6 KiB
	MaterialID string // which material of the KEK wrapped it; may be empty
}

// Receipt says which call a provider made, to lay beside its own log.
type Receipt struct {
	RequestID  string // may be empty
	MaterialID string // KEK material that served the call; may be empty
	KeyID      string // of the key that answered: the KEK, or a replica of it; may be empty
}

// Context is bound to every wrapped DEK: unwrapping with another one fails. It
// is shown in the clear in the KMS's log, so it names no customer data.
type Context struct {
	Database ID
	Purpose  string // what the DEK is for; PurposeData is the only one today
	Epoch    Epoch
}

// PurposeData is the purpose of the DEKs that seal a database's files.
const PurposeData = "data"

// Names of the encryption context's members, as policies and CloudTrail see
// them.
const (
	ContextDatabase = "byokdb:database"
	ContextPurpose  = "byokdb:purpose"
	ContextEpoch    = "byokdb:epoch"
)

// Map returns the context as the key-value pairs that a KMS takes.
func (c Context) Map() map[string]string {
	return map[string]string{
		ContextDatabase: c.Database.String(),
		ContextPurpose:  c.Purpose,
		ContextEpoch:    strconv.FormatUint(uint64(c.Epoch), 10),
	}
}

// Canonical returns the context as one unambiguous byte string, for providers
// that take associated data instead of pairs. It is on disk: in the associated
// data of DEKs that local keys wrapped.
func (c Context) Canonical() []byte {
	b := []byte("byokdb context v1\x00")
	b = append(b, c.Database[:]...)
	b = append(b, byte(len(c.Purpose)))
	b = append(b, c.Purpose...)
	return append(b, byte(c.Epoch>>24), byte(c.Epoch>>16), byte(c.Epoch>>8), byte(c.Epoch))
}
