package guard

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// Policy is what an organization chose when its database was created.
type Policy struct {
	ProbeInterval    time.Duration // between probes that succeed; 10 ms to 24 h
	ProbeTimeout     time.Duration // for one probe, retries included; 10 ms to 10 min
	Deadline         time.Duration // from unavailable to wiped; 1 s to 30 days
	UnreachableGrace time.Duration // serve on through an outage, never a denial; at most 1 h
	OnDeadline       OnDeadline
}

// The policy of a zero value, but for OnDeadline and the grace, which stay zero.
const (
	DefaultProbeInterval = time.Minute
	DefaultProbeTimeout  = 10 * time.Second
	DefaultDeadline      = 4 * time.Hour
)

const (
	stepMin          = 10 * time.Millisecond // of interval and timeout
	probeIntervalMax = 24 * time.Hour
	probeTimeoutMax  = 10 * time.Minute
	deadlineMin      = time.Second
	deadlineMax      = 30 * 24 * time.Hour
	deadlineShort    = time.Minute // below it, a warning
	graceMax         = time.Hour
)

// ErrPolicy means that a policy is outside its limits or that its stored bytes
// do not parse.
var ErrPolicy = errors.New("bad key policy")

// WithDefaults returns p with zero durations replaced: probes each minute, 10 s
// for a probe, 4 h to the deadline.
func (p Policy) WithDefaults() Policy {
	if p.ProbeInterval == 0 {
		p.ProbeInterval = DefaultProbeInterval
	}
	if p.ProbeTimeout == 0 {
		p.ProbeTimeout = DefaultProbeTimeout
	}
	if p.Deadline == 0 {
		p.Deadline = DefaultDeadline
	}
	return p
}

// Bound returns the longest time from the KMS refusing to the database
// refusing.
func (p Policy) Bound() time.Duration { return p.ProbeInterval + p.ProbeTimeout }

// Validate checks the limits; warnings are sentences for a person. Errors wrap
// ErrPolicy.
func (p Policy) Validate() (warnings []string, err error) {
	for _, c := range []struct {
		name             string
		value, low, high time.Duration
	}{
		{"probe interval", p.ProbeInterval, stepMin, probeIntervalMax},
		{"probe timeout", p.ProbeTimeout, stepMin, probeTimeoutMax},
		{"deadline", p.Deadline, deadlineMin, deadlineMax},
		{"unreachable grace", p.UnreachableGrace, 0, graceMax},
	} {
		if c.value < c.low || c.value > c.high {
			return nil, fmt.Errorf("%w: the %s is %v; it must be between %v and %v", ErrPolicy, c.name, c.value, c.low, c.high)
		}
	}
	if p.OnDeadline > Erase {
		return nil, fmt.Errorf("%w: %v", ErrPolicy, p.OnDeadline)
	}
	if p.Deadline < deadlineShort {
		warnings = append(warnings, fmt.Sprintf("a deadline of %v wipes memory after a short network fault", p.Deadline))
	}
	if p.Deadline < p.Bound() {
		warnings = append(warnings, fmt.Sprintf("the deadline of %v is shorter than the time in which a denial is noticed (%v)", p.Deadline, p.Bound()))
	}
	if p.UnreachableGrace >= p.Deadline {
		warnings = append(warnings, fmt.Sprintf("the deadline of %v ends before the grace of %v", p.Deadline, p.UnreachableGrace))
	}
	if p.OnDeadline == Erase && p.Deadline < time.Hour {
		warnings = append(warnings, fmt.Sprintf("data are destroyed for good after %v of denials", p.Deadline))
	}
	return warnings, nil
}

// policyVersion is on disk.
const policyVersion = 1

const policySize = 1 + 4*8 + 1

// MarshalBinary encodes the policy.
//
//	offset  size  field, integers big-endian, times in nanoseconds
//	     0     1  version, 1
//	     1     8  probe interval
//	     9     8  probe timeout
//	    17     8  deadline
//	    25     8  unreachable grace
//	    33     1  on deadline: 0 pause, 1 erase
//
// Source: FORMAT.md §3.
func (p Policy) MarshalBinary() ([]byte, error) {
	if _, err := p.Validate(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, policySize)
	b = append(b, policyVersion)
	for _, d := range []time.Duration{p.ProbeInterval, p.ProbeTimeout, p.Deadline, p.UnreachableGrace} {
		b = appendDuration(b, d)
	}
	return append(b, byte(p.OnDeadline)), nil
}

// UnmarshalBinary decodes and validates a policy. Errors wrap ErrPolicy or
// crypt.ErrTooNew.
func (p *Policy) UnmarshalBinary(b []byte) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: no bytes", ErrPolicy)
	case b[0] > policyVersion:
		return fmt.Errorf("key policy of version %d: %w", b[0], crypt.ErrTooNew)
	case b[0] != policyVersion:
		return fmt.Errorf("%w: version %d", ErrPolicy, b[0])
	case len(b) != policySize:
		return fmt.Errorf("%w: %d bytes", ErrPolicy, len(b))
	}
	out := Policy{
		ProbeInterval: durationAt(b, 1), ProbeTimeout: durationAt(b, 9), Deadline: durationAt(b, 17),
		UnreachableGrace: durationAt(b, 25), OnDeadline: OnDeadline(b[33]),
	}
	if _, err := out.Validate(); err != nil {
		return err
	}
	*p = out
	return nil
}

func appendDuration(b []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(d))
}

func durationAt(b []byte, off int) time.Duration {
	return time.Duration(binary.BigEndian.Uint64(b[off:]))
}

// policyJSON holds durations as words such as "1m0s".
type policyJSON struct {
	ProbeInterval    string     `json:"probe_interval"`
	ProbeTimeout     string     `json:"probe_timeout"`
	Deadline         string     `json:"deadline"`
	UnreachableGrace string     `json:"unreachable_grace"`
	OnDeadline       OnDeadline `json:"on_deadline"`
}

// MarshalJSON writes durations as words such as "1m0s".
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(policyJSON{
		ProbeInterval: p.ProbeInterval.String(), ProbeTimeout: p.ProbeTimeout.String(),
		Deadline: p.Deadline.String(), UnreachableGrace: p.UnreachableGrace.String(), OnDeadline: p.OnDeadline,
	})
}

// UnmarshalJSON parses what MarshalJSON writes. It does not validate.
func (p *Policy) UnmarshalJSON(b []byte) error {
	var j policyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	out := Policy{OnDeadline: j.OnDeadline}
	for _, f := range []struct {
		text string
		to   *time.Duration
	}{
		{j.ProbeInterval, &out.ProbeInterval},
		{j.ProbeTimeout, &out.ProbeTimeout},
		{j.Deadline, &out.Deadline},
		{j.UnreachableGrace, &out.UnreachableGrace},
	} {
		if f.text == "" {
			continue
		}
		d, err := time.ParseDuration(f.text)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrPolicy, err)
		}
		*f.to = d
	}
	*p = out
	return nil
}
