package work

import (
	"fmt"
	"slices"
)

// Run runs one turn of the engine that the Spec names.
func Run(s Spec, stores []Engine, sqls []SQLEngine) ([]Figure, error) {
	if s.Part == "sql" {
		for _, e := range sqls {
			if e.Name == s.Engine {
				return RunSQL(s, e)
			}
		}
	} else {
		for _, e := range stores {
			if e.Name == s.Engine {
				return RunStore(s, e)
			}
		}
	}
	return nil, fmt.Errorf("no engine %q for part %q", s.Engine, s.Part)
}

// StoreWorks returns what a turn of part "kv" has figures of.
func StoreWorks() []string {
	return []string{
		Load, SizeRandom, SizeLess, SizeJSON, LessJSON, Get, GetTx, Miss, Scan, Range, RangeBack, Update,
		Commit, CommitsOf16, SyncPlain, SyncWritten, Cold, ColdPread, Open,
	}
}

// SQLWorks returns what a turn of part "sql" has figures of.
func SQLWorks() []string {
	return []string{SQLLoad, SQLGet, SQLText, SQLIndex, SQLRange, SQLScan, SQLGroup, SQLJoin, SQLOrder, SQLInsert, SQLMixed}
}

// Sliced reports whether the turns of a round do a work slice by slice in turns, so
// that a busy machine slows all of them.
func Sliced(name string) bool {
	return slices.Contains([]string{Get, GetTx, Miss, Scan, Range, RangeBack, Commit, CommitsOf16, SyncPlain, SyncWritten}, name) ||
		name != SQLLoad && slices.Contains(SQLWorks(), name)
}
