package guard

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// ErrKeyUnavailable means that the customer's key cannot be used now: denied,
// out of reach, or lost for good. Retry later, unless the *KeyError says erased.
var ErrKeyUnavailable = errors.New("customer key unavailable")

// ErrClosed means that the guard was closed.
var ErrClosed = errors.New("guard is closed")

// KeyError says why an operation was refused. errors.Is finds ErrKeyUnavailable.
type KeyError struct {
	State     State
	Class     crypt.Class
	Since     time.Time // wall clock: unavailable since
	WipeAt    time.Time // wall clock: when memory will be wiped, or was; zero if nothing is in memory
	KeyID     string
	Message   string // what the provider said; may be empty
	RequestID string // the provider's; may be empty
	Err       error  // the last failure; may be nil
}

// Error is a full sentence for a person: class, since when, what the provider
// said, and what happens to memory.
func (e *KeyError) Error() string {
	var b strings.Builder
	class := e.Class.String()
	if e.Class == crypt.ClassNone {
		class = "unavailable"
	}
	fmt.Fprintf(&b, "the customer key %s is %s", e.KeyID, classPhrase(class))
	if !e.Since.IsZero() {
		fmt.Fprintf(&b, " since %s", stamp(e.Since))
	}
	if e.Message != "" {
		fmt.Fprintf(&b, " (the provider said: %s", e.Message)
		if e.RequestID != "" {
			fmt.Fprintf(&b, "; request id %s", e.RequestID)
		}
		b.WriteString(")")
	}
	fmt.Fprintf(&b, "; the database is %s", e.State)
	switch {
	case e.State == Erased:
		b.WriteString(": its data keys and data were destroyed for good")
	case e.State == Paused && e.WipeAt.IsZero():
		b.WriteString(": nothing was unlocked into memory; it opens by itself when the key answers")
	case e.State == Paused:
		fmt.Fprintf(&b, ": memory was wiped at %s; it opens by itself when the key answers", stamp(e.WipeAt))
	case !e.WipeAt.IsZero():
		fmt.Fprintf(&b, ": memory will be wiped at %s unless the key answers before", stamp(e.WipeAt))
	}
	return b.String()
}

// Is reports that the error is ErrKeyUnavailable.
func (e *KeyError) Is(target error) bool { return target == ErrKeyUnavailable }

// Unwrap returns the last failure.
func (e *KeyError) Unwrap() error { return e.Err }

func classPhrase(class string) string {
	switch class {
	case "credentials":
		return "out of reach, as this program's own credentials are missing or expired (credentials),"
	case "tampered":
		return "not matching what is stored (tampered)"
	}
	return class
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
