package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// Record is what the guard knows that must survive a restart. Its times are the
// wall clock's: for people, and never the only ground for erasing anything.
type Record struct {
	State            State         `json:"state"`
	Class            crypt.Class   `json:"class"`             // of the last failure, ClassNone when active
	Sequence         uint64        `json:"sequence"`          // of the last event
	UnavailableSince time.Time     `json:"unavailable_since"` // zero when active
	LastGood         time.Time     `json:"last_good"`         // when the last good probe was sent
	DeniedFor        time.Duration `json:"denied_for"`        // time that the KMS was seen to deny, without gaps
	FirstDenied      time.Time     `json:"first_denied"`      // since the last good probe; zero without a denial
	Message          string        `json:"message"`           // what the provider said
	RequestID        string        `json:"request_id"`        // the provider's, of that failure
	FirstDeniedID    string        `json:"first_denied_id"`   // the provider's, of that denial
}

// recordVersion is on disk.
const recordVersion = 1

const (
	recordFixed      = 1 + 1 + 1 + 5*8
	messageSizeMax   = 512
	requestIDSizeMax = 256
)

// ErrRecord means that stored record bytes do not parse.
var ErrRecord = errors.New("damaged guard record")

// MarshalBinary encodes the record.
//
//	offset  size  field, integers big-endian
//	     0     1  version, 1
//	     1     1  state
//	     2     1  failure class
//	     3     8  sequence of the last event
//	    11     8  unavailable since, nanoseconds since 1970, 0 for never
//	    19     8  last good probe, the same
//	    27     8  denied for, nanoseconds
//	    35     8  first denial since the last good probe, as unavailable since
//	    43     2  n, then n bytes of message
//	     …     2  n, then n bytes of request id
//	     …     2  n, then n bytes of request id of the first denial
//
// Source: FORMAT.md §3.
func (r Record) MarshalBinary() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, recordFixed+6+len(r.Message)+len(r.RequestID)+len(r.FirstDeniedID))
	b = append(b, recordVersion, byte(r.State), byte(r.Class))
	b = binary.BigEndian.AppendUint64(b, r.Sequence)
	b = appendTime(b, r.UnavailableSince)
	b = appendTime(b, r.LastGood)
	b = appendDuration(b, r.DeniedFor)
	b = appendTime(b, r.FirstDenied)
	for _, s := range []string{r.Message, r.RequestID, r.FirstDeniedID} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b, nil
}

// UnmarshalBinary decodes and validates a record. Errors wrap ErrRecord or
// crypt.ErrTooNew.
func (r *Record) UnmarshalBinary(b []byte) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: no bytes", ErrRecord)
	case b[0] > recordVersion:
		return fmt.Errorf("guard record of version %d: %w", b[0], crypt.ErrTooNew)
	case b[0] != recordVersion:
		return fmt.Errorf("%w: version %d", ErrRecord, b[0])
	case len(b) < recordFixed:
		return fmt.Errorf("%w: %d bytes", ErrRecord, len(b))
	}
	out := Record{
		State: State(b[1]), Class: crypt.Class(b[2]), Sequence: binary.BigEndian.Uint64(b[3:]),
		UnavailableSince: timeAt(b, 11), LastGood: timeAt(b, 19), DeniedFor: durationAt(b, 27),
		FirstDenied: timeAt(b, 35),
	}
	rest := b[recordFixed:]
	for _, s := range []*string{&out.Message, &out.RequestID, &out.FirstDeniedID} {
		if len(rest) < 2 {
			return fmt.Errorf("%w: cut short", ErrRecord)
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; len(rest) < n {
			return fmt.Errorf("%w: cut short", ErrRecord)
		}
		*s, rest = string(rest[:n]), rest[n:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes too many", ErrRecord, len(rest))
	}
	if err := out.Validate(); err != nil {
		return err
	}
	*r = out
	return nil
}

// Validate checks limits. Errors wrap ErrRecord.
func (r Record) Validate() error {
	switch {
	case r.State > Erased:
		return fmt.Errorf("%w: %v", ErrRecord, r.State)
	case r.Class > crypt.ClassTampered:
		return fmt.Errorf("%w: failure class %d", ErrRecord, r.Class)
	case r.DeniedFor < 0:
		return fmt.Errorf("%w: denied for %v", ErrRecord, r.DeniedFor)
	case len(r.Message) > messageSizeMax:
		return fmt.Errorf("%w: message of %d bytes", ErrRecord, len(r.Message))
	case len(r.RequestID) > requestIDSizeMax || len(r.FirstDeniedID) > requestIDSizeMax:
		return fmt.Errorf("%w: request ids of %d and %d bytes", ErrRecord, len(r.RequestID), len(r.FirstDeniedID))
	}
	return nil
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendDuration(b, 0)
	}
	return appendDuration(b, time.Duration(t.UnixNano()))
}

func timeAt(b []byte, off int) time.Time {
	ns := durationAt(b, off)
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns)).UTC()
}

// cut shortens a text of the provider's to a record's limit.
func cut(s string, sizeMax int) string {
	if len(s) > sizeMax {
		s = s[:sizeMax]
	}
	return strings.ToValidUTF8(s, "")
}

// describe returns what the provider said, and its request id.
func describe(err error) (message, requestID string) {
	message = err.Error()
	if pe, ok := errors.AsType[*crypt.ProviderError](err); ok {
		requestID = pe.RequestID
		switch {
		case pe.Detail != "":
			message = pe.Detail
		case pe.Err != nil:
			message = pe.Err.Error()
		default:
			message = ""
		}
		switch {
		case pe.Code != "" && message != "":
			message = pe.Code + ": " + message
		case pe.Code != "":
			message = pe.Code
		}
	}
	return cut(message, messageSizeMax), cut(requestID, requestIDSizeMax)
}
