package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/byokdb/byokdb/engine"
)

// journalEvent is what an entry of the journal says. Its words are not checked:
// a newer version may know others.
type journalEvent struct {
	Sequence  uint64 `json:"sequence"`
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	From      string `json:"from"`
	To        string `json:"to"`
	Class     string `json:"class"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

// journal prints what the catalog has recorded of the key. It needs neither the
// key nor the lock. A chain that does not hold is errFaults, after everything was
// printed.
func journal(w io.Writer, dir string, asJSON bool, width int) error {
	j, err := engine.ReadJournal(dir)
	if err != nil {
		return err
	}
	if asJSON {
		if err := journalLines(w, j); err != nil {
			return err
		}
	} else if err := journalTable(w, j, width); err != nil {
		return err
	}
	if len(j.Faults) > 0 {
		return fmt.Errorf("%w: %d: %w", errFaults, len(j.Faults), j.Holds())
	}
	return nil
}

// journalLines writes one JSON object a line: the entries as they were written,
// and a last one that says whether the chain holds.
func journalLines(w io.Writer, j *engine.Journal) error {
	e := json.NewEncoder(w)
	for _, entry := range j.Entries {
		if err := e.Encode(entry.JSON); err != nil {
			return err
		}
	}
	faults := []string{}
	for _, f := range j.Faults {
		faults = append(faults, f.Error())
	}
	return e.Encode(struct {
		Entries int      `json:"entries"`
		Holds   bool     `json:"chain_holds"`
		Faults  []string `json:"faults"`
	}{len(j.Entries), len(j.Faults) == 0, faults})
}

func journalTable(w io.Writer, j *engine.Journal, width int) error {
	r, err := newRenderer("table", w, width)
	if err != nil {
		return err
	}
	if err := r.header([]string{"event", "time", "change", "class", "request id", "message"}); err != nil {
		return err
	}
	for _, entry := range j.Entries {
		if err := r.row(journalRow(entry)); err != nil {
			return err
		}
	}
	if err := r.finish(); err != nil {
		return err
	}
	for _, f := range j.Faults {
		fmt.Fprintf(w, "fault: %s\n", printable(strings.ReplaceAll(f.Error(), "\n", "; ")))
	}
	verdict := "the chain holds"
	if len(j.Faults) > 0 {
		verdict = "the chain does not hold"
	}
	_, err = fmt.Fprintf(w, "%d entries; %s\n", len(j.Entries), verdict)
	return err
}

// journalRow returns the cells of an entry. What it does not know goes behind the
// message.
func journalRow(entry engine.JournalEntry) []any {
	var e journalEvent
	if json.Unmarshal(entry.JSON, &e) != nil {
		return []any{int64(entry.Number), "", "?", "", "", string(entry.JSON)}
	}
	at := e.Time
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		at = stamp(t)
	}
	change := e.Kind
	switch {
	case e.From != e.To:
		change = strings.TrimSpace(e.Kind + " " + e.From + " → " + e.To)
	case e.Kind == "":
		change = e.To
	}
	if e.Class == "none" {
		e.Class = ""
	}
	var all map[string]any
	_ = json.Unmarshal(entry.JSON, &all) // it was read above
	message := e.Message
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch name {
		case "sequence", "time", "kind", "from", "to", "class", "message", "request_id":
		default:
			message = strings.TrimSpace(fmt.Sprintf("%s %s=%v", message, name, all[name]))
		}
	}
	return []any{int64(e.Sequence), at, change, e.Class, e.RequestID, message}
}
