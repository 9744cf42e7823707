package clock

import (
	"time"

	"golang.org/x/sys/windows"
)

// bootTime is the tick count since the system started, sleep included.
func bootTime(time.Time) time.Duration {
	return windows.DurationSinceBoot()
}
