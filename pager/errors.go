package pager

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/crypt"
)

// Errors of files. A file that cannot be read for another reason returns the
// file system's error.
var (
	// ErrNotRun means that the file does not begin like a run: it is something
	// else, or its first bytes are damaged. Retrying does not help.
	ErrNotRun = errors.New("not a run file")

	// ErrTooNew means that the file is sound and needs a newer version of the
	// program. Retrying does not help; upgrading does.
	ErrTooNew = errors.New("run file needs a newer version of the program")

	// ErrCorrupt means that the file is damaged: cut short, extended, edited or
	// decayed. A page that does not authenticate is crypt.ErrAuth as well.
	// Retrying does not help; a backup does.
	ErrCorrupt = errors.New("run file is damaged")

	// ErrMismatch means that the file is a run, but not the one that was
	// expected at this place: another database's, or another run. It is
	// ErrCorrupt as well.
	ErrMismatch = fmt.Errorf("not the run that was expected here: %w", ErrCorrupt)
)

// Errors of callers.
var (
	// ErrOrder means that a key was added that is not above the one before.
	ErrOrder = errors.New("keys are not in ascending order")

	// ErrKeySize means that a key is empty or longer than KeySizeMax.
	ErrKeySize = fmt.Errorf("a key has 1 to %d bytes", KeySizeMax)

	// ErrValueSize means that a value is longer than ValueSizeMax, or that a
	// tombstone has one.
	ErrValueSize = fmt.Errorf("a value has at most %d bytes, a tombstone none", ValueSizeMax)

	// ErrClosed means that the builder, run or iterator was closed, or that a
	// builder failed before.
	ErrClosed = errors.New("closed")
)

// PageError says where in which file something failed. It holds no key bytes
// and no rows.
type PageError struct {
	Path   string
	Offset int64  // of the page in the file, in bytes
	Op     string // what was being done: "read leaf", "open header", …
	Err    error
}

// Error says what failed and where.
func (e *PageError) Error() string {
	return fmt.Sprintf("%s at offset %d of %s: %v", e.Op, e.Offset, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *PageError) Unwrap() error { return e.Err }

// errAuth is an authentication failure of a page: damage, whoever did it.
var errAuth = fmt.Errorf("%w: %w", ErrCorrupt, crypt.ErrAuth)

// corrupt returns an ErrCorrupt that says what is wrong with the structure.
func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// invariant panics: what it guards can only fail by a fault of this package.
func invariant(ok bool, what string) {
	if !ok {
		panic("pager: " + what)
	}
}
