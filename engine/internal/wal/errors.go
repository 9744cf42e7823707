package wal

import (
	"errors"
	"fmt"
)

// Errors of the log. A header that another DEK sealed is crypt.ErrWrongKey.
var (
	// ErrCorrupt means that acknowledged frames are damaged, missing or
	// exchanged. Retrying does not help.
	ErrCorrupt = errors.New("log is damaged")

	// ErrTooNew means that a newer version wrote the segment.
	ErrTooNew = errors.New("log was written by a newer version")

	// ErrFailed means that a write or sync failed before: the log takes no
	// more frames. What was synced is safe.
	ErrFailed = errors.New("log takes no more frames since a write failed")

	// ErrTooLarge means that a payload exceeds PayloadSizeMax.
	ErrTooLarge = errors.New("log frame is too large")
)

// SegmentError says where in the log something is wrong.
type SegmentError struct {
	Path   string
	Offset int64  // bytes from the start of the segment
	Frame  uint64 // number of the frame that was expected, 0 in a header
	Detail string
	Err    error
}

// Error names the place.
func (e *SegmentError) Error() string {
	s := fmt.Sprintf("%s: offset %d", e.Path, e.Offset)
	if e.Frame != 0 {
		s += fmt.Sprintf(", frame %d", e.Frame)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SegmentError) Unwrap() error { return e.Err }
