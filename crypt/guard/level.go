package guard

import "log/slog"

// Level returns the level at which an event is logged: a person must look when
// the database is suspended, and memory or data are gone when it is paused or
// erased.
func (e Event) Level() slog.Level {
	switch e.To {
	case Suspended:
		return slog.LevelWarn
	case Paused, Erased:
		return slog.LevelError
	case Active:
		if e.From == Active { // an outage that is served through
			return slog.LevelWarn
		}
		return slog.LevelInfo
	default:
		return slog.LevelError
	}
}
