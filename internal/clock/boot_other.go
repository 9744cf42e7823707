//go:build !linux && !windows

package clock

import "time"

// bootTime is wall time since base: on darwin the monotonic clock stops while
// the machine sleeps, the wall clock does not.
func bootTime(base time.Time) time.Duration {
	return time.Now().Round(0).Sub(base.Round(0))
}
