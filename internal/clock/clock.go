// Package clock is the seam through which everything that waits or expires
// sees time. There are three clocks, because each of them lies in its own way:
// the wall clock can be set, the monotonic clock stops while the machine
// sleeps, and boot time costs ten times as much to read.
package clock

import "time"

// Clock reads the three clocks. Implementations are safe for concurrent use.
type Clock interface {
	// Now returns the wall clock. It is for people and for records that must
	// survive a restart, never for a deadline inside a process.
	Now() time.Time

	// Monotonic returns the time since a fixed point in this process. It may
	// stop while the machine sleeps. Reading it costs some 30 ns.
	Monotonic() time.Duration

	// Boot returns the time since the machine started, sleep included.
	Boot() time.Duration
}

// System returns the operating system's clocks. Timers made with package time
// belong to it.
func System() Clock { return system{base: time.Now()} }

type system struct{ base time.Time }

func (s system) Now() time.Time           { return time.Now() }
func (s system) Monotonic() time.Duration { return time.Since(s.base) }
func (s system) Boot() time.Duration      { return bootTime(s.base) }

// Process returns clocks that package time alone feeds: boot time equals
// monotonic time. In a testing/synctest bubble all three are the bubble's.
func Process() Clock { return process{base: time.Now()} }

type process struct{ base time.Time }

func (p process) Now() time.Time           { return time.Now() }
func (p process) Monotonic() time.Duration { return time.Since(p.base) }
func (p process) Boot() time.Duration      { return time.Since(p.base) }
