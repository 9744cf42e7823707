package wal

import (
	"errors"
	"fmt"
)

// Errors of opening and verifying. Each comes within a *[SegmentError] that
// says where.
var (
	// ErrCorrupt means that the log is damaged or was tampered with: a frame
	// that was durable does not open, or a segment is missing, foreign, renamed
	// or older than it should be. Retrying does not help; a backup does.
	ErrCorrupt = errors.New("write-ahead log is damaged")

	// ErrTooNew means that a segment is sound and needs a newer version of the
	// program. Retrying does not help; upgrading does.
	ErrTooNew = errors.New("write-ahead log needs a newer version of the program")

	// ErrStale means that the log is sound and does not hold the frame that
	// Config.Least names: its end was cut off, or it is that of an older state
	// or of another copy. Retrying does not help.
	ErrStale = errors.New("write-ahead log is older than it should be")
)

// Errors of writing.
var (
	// ErrFailed means that an earlier write or sync failed, or this one did. The
	// log takes no more frames; whether the last ones are durable is known only
	// after it was opened again. It is wrapped together with the cause.
	ErrFailed = errors.New("write-ahead log has failed; reopen the database")

	// ErrNoRoom means that the disk has no room for a frame or a segment. Nothing
	// was appended, and the log goes on when there is room. It is wrapped
	// together with the cause.
	ErrNoRoom = errors.New("no room for the write-ahead log")

	// ErrClosed means that the log was closed or wiped.
	ErrClosed = errors.New("write-ahead log is closed")

	// ErrFrameSize means that a payload is empty or longer than PayloadSizeMax.
	ErrFrameSize = fmt.Errorf("a frame takes 1 to %d bytes", PayloadSizeMax)
)

// SegmentError says where in which segment something failed. It holds no
// payload and no key bytes.
type SegmentError struct {
	Path   string
	Offset int64  // in the file, in bytes
	Frame  uint64 // number of the frame that was expected there; 0 in the header
	Op     string // what was being done: "read header", "read frame", …
	Err    error
}

// Error says what failed and where.
func (e *SegmentError) Error() string {
	if e.Frame == 0 {
		return fmt.Sprintf("%s of %s: %v", e.Op, e.Path, e.Err)
	}
	return fmt.Sprintf("%s %d of %s at offset %d: %v", e.Op, e.Frame, e.Path, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *SegmentError) Unwrap() error { return e.Err }

// corrupt returns an error that wraps ErrCorrupt and says what is wrong.
func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }
