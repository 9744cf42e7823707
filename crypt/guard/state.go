package guard

import "fmt"

// State is what the guard allows. The numbers are on disk, in records.
type State uint8

const (
	// Active means that the database serves.
	Active State = iota

	// Suspended means that reads and writes are refused; keys and data are
	// still in memory.
	Suspended

	// Paused means refused, and that everything in memory was wiped.
	Paused

	// Erased means that wrapped keys and data were destroyed for good.
	Erased
)

var stateNames = [...]string{"active", "suspended", "paused", "erased"}

// String returns the word that outputs and records use.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText returns the same word as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses the words that String returns.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("unknown key state %q", text)
}

// OnDeadline is what happens when the key stays away for the whole deadline.
// The numbers are on disk, in policies.
type OnDeadline uint8

const (
	// Pause wipes memory. The data come back when the key does.
	Pause OnDeadline = iota

	// Erase wipes memory, and destroys the data for good once the KMS itself
	// has denied the key over the whole deadline.
	Erase
)

// String returns "pause" or "erase".
func (o OnDeadline) String() string {
	switch o {
	case Pause:
		return "pause"
	case Erase:
		return "erase"
	default:
		return fmt.Sprintf("on-deadline %d", uint8(o))
	}
}

// MarshalText returns the same word as String.
func (o OnDeadline) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText parses "pause" or "erase".
func (o *OnDeadline) UnmarshalText(text []byte) error {
	v, err := ParseOnDeadline(string(text))
	if err != nil {
		return err
	}
	*o = v
	return nil
}

// ParseOnDeadline parses "pause" or "erase".
func ParseOnDeadline(s string) (OnDeadline, error) {
	switch s {
	case "pause":
		return Pause, nil
	case "erase":
		return Erase, nil
	}
	return Pause, fmt.Errorf("on-deadline is %q: say pause or erase", s)
}
