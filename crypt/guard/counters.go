package guard

import (
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// Counters count since Start. Their names in JSON stay.
type Counters struct {
	Probes              uint64 `json:"probes"`       // finished, retries within one not counted
	ProbesSaved         uint64 `json:"probes_saved"` // not sent, since another database under the key asked
	Failures            uint64 `json:"failures"`     // of probes, and denials heard of
	FailuresDenied      uint64 `json:"failures_denied"`
	FailuresUnreachable uint64 `json:"failures_unreachable"`
	FailuresCredentials uint64 `json:"failures_credentials"`
	FailuresTampered    uint64 `json:"failures_tampered"`
	SharedDenials       uint64 `json:"shared_denials"` // suspensions because another database under the key was denied

	Recoveries  uint64 `json:"recoveries"` // from suspended to active
	Suspensions uint64 `json:"suspensions"`
	Pauses      uint64 `json:"pauses"`
	Resumes     uint64 `json:"resumes"` // from paused to active
	Erasures    uint64 `json:"erasures"`

	// Time spent in each state, the present one included.
	Active    time.Duration `json:"active_ns"`
	Suspended time.Duration `json:"suspended_ns"`
	Paused    time.Duration `json:"paused_ns"`
	Erased    time.Duration `json:"erased_ns"`
}

// failed counts a failure.
func (c *Counters) failed(class crypt.Class) {
	c.Failures++
	switch class {
	case crypt.ClassDenied:
		c.FailuresDenied++
	case crypt.ClassUnreachable:
		c.FailuresUnreachable++
	case crypt.ClassCredentials:
		c.FailuresCredentials++
	case crypt.ClassTampered:
		c.FailuresTampered++
	case crypt.ClassNone:
	}
}

// spend adds time spent in a state.
func (c *Counters) spend(s State, d time.Duration) {
	switch s {
	case Active:
		c.Active += d
	case Suspended:
		c.Suspended += d
	case Paused:
		c.Paused += d
	case Erased:
		c.Erased += d
	}
}

// moved counts a change of state.
func (c *Counters) moved(from, to State) {
	switch {
	case to == Active && from == Paused:
		c.Resumes++
	case to == Active:
		c.Recoveries++
	case to == Suspended:
		c.Suspensions++
	case to == Paused:
		c.Pauses++
	case to == Erased:
		c.Erasures++
	}
}
