package engine

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// Journal is what a database's catalog has recorded of its key, to lay beside the
// KMS's own log. It holds no customer data.
type Journal struct {
	Entries []JournalEntry

	// Faults are where the chain does not hold, and whatever else is wrong with
	// the catalog's clear records.
	Faults []Fault
}

// JournalEntry is one entry as it was written.
type JournalEntry struct {
	Number uint64          // in the chain, from 1
	JSON   json.RawMessage // an Event, and whatever a newer version adds to it
}

// ReadJournal reads the journal of the database in dir without its key and without
// its lock: another process may have it open. What is damaged is told beside what
// can be read. Errors: ErrNotExist, ErrNotDatabase, ErrTooNew, ErrCorrupt when
// the catalog is too damaged to be read at all.
func ReadJournal(dir string) (*Journal, error) {
	c, err := catalog.Salvage(vfs.OS(), dir)
	if err != nil {
		return nil, translate(err)
	}
	j := &Journal{Entries: []JournalEntry{}, Faults: []Fault{}}
	fault := func(err error) { j.Faults = append(j.Faults, Fault{Part: "catalog", Err: translate(err)}) }
	for _, err := range c.Faults {
		fault(err)
	}
	for _, e := range c.Journal {
		entry := JournalEntry{Number: e.Sequence, JSON: e.Data}
		if !json.Valid(e.Data) {
			entry.JSON = json.RawMessage(`{}`) // which event it was is lost: a fault
		}
		j.Entries = append(j.Entries, entry)
	}
	for _, err := range journalFaults(c) {
		fault(err)
	}
	return j, nil
}

// journalFaults returns what is wrong with the journal beyond its chain.
func journalFaults(c *catalog.Salvaged) (faults []error) {
	var last uint64
	for _, e := range c.Journal {
		event := struct{ Sequence uint64 }{}
		err := json.Unmarshal(e.Data, &event)
		if err == nil && event.Sequence <= last {
			err = fmt.Errorf("event %d follows event %d", event.Sequence, last)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: journal entry %d: %w", ErrCorrupt, e.Sequence, err))
		}
		last = max(last, event.Sequence)
	}
	var r guard.Record
	// An event is in the journal before the record counts it.
	if c.Guard != nil && r.UnmarshalBinary(c.Guard) == nil && r.Sequence > last && len(c.Faults) == 0 {
		faults = append(faults, fmt.Errorf("%w: the journal ends with event %d, and the guard's record counts %d: its end was removed",
			ErrCorrupt, last, r.Sequence))
	}
	return faults
}

// Holds returns nil when the journal is whole, else its faults, joined.
func (j *Journal) Holds() error {
	errs := make([]error, len(j.Faults))
	for i, f := range j.Faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}
