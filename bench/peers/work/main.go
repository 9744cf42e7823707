package work

import (
	"encoding/json"
	"fmt"
	"io"
)

// Serve runs one turn, whose Spec is read from r as JSON, and writes its
// figures to w.
func Serve(r io.Reader, w io.Writer, stores []Engine, sqls []SQLEngine) error {
	var s Spec
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	figures, err := Run(s, stores, sqls)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(figures)
}

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
