package exec

import "time"

// Settings are what a session begins with; PRAGMAs change them. The zero value
// has the defaults.
type Settings struct {
	BusyTimeout time.Duration // how long to wait for another writer; 5 s when 0, negative: not at all
	ForeignKeys bool          // they are enforced

	// StatementMemory is how many bytes a statement may hold to sort, group, join
	// and keep rows: 256 MiB when 0, at least 1 MiB. Before that they go to sealed
	// temporary files.
	StatementMemory int64

	// SpillAfter has each sort, group or join of a statement go to a file when it
	// holds so many bytes. When 0 it is half of StatementMemory, less where others
	// hold much.
	SpillAfter int64
}

// Configure gives a new session its settings.
func (s *Session) Configure(set Settings) {
	if set.BusyTimeout != 0 {
		s.busyDefault = max(set.BusyTimeout, 0)
		s.busy = s.busyDefault
	}
	if set.StatementMemory != 0 {
		s.memory = max(set.StatementMemory, StatementMemoryMin)
	}
	s.spillAfter = set.SpillAfter
	s.SetForeignKeys(set.ForeignKeys)
}
