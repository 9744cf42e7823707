package engine

import "time"

// stragglersAfter is how long after a pause the Go heap is scrubbed once more:
// by then goroutines of the program have seen the refusal and let go of rows.
const stragglersAfter = 2 * time.Second

// scrub clears what was left on the Go heap, and publishes w.
func (db *DB) scrub(w *wiped) {
	next := *w
	next.HeapErr = db.opts.scrub()
	next.Scrubs++
	db.txMu.Lock()
	defer db.txMu.Unlock()
	db.lastly = &next
}

// scrubLater scrubs once more, unless the database has come back or was closed.
func (db *DB) scrubLater() {
	t := time.NewTimer(stragglersAfter)
	defer t.Stop()
	db.txMu.Lock()
	w := db.lastly
	db.txMu.Unlock()
	select {
	case <-db.closing:
		return
	case <-t.C:
	}
	db.txMu.Lock()
	same := db.session == nil && db.lastly == w
	db.txMu.Unlock()
	if same {
		db.scrub(w)
	}
}
