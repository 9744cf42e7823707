package exec

import "github.com/byokdb/byokdb/sql/parse"

// forget drops every plan, the schema, and the rows of results that are open,
// when the engine wipes memory. Its transactions have ended by then. Plans and
// schema are made anew when needed; open results end with the engine's error.
// It waits for statements under way: they end at their next look at the
// transaction.
func (d *Database) forget() {
	d.clearPlans()
	d.sessionsMu.Lock()
	defer d.sessionsMu.Unlock()
	for s := range d.sessions {
		s.wipe()
	}
}

// wipe drops what the session's statements and results hold.
func (s *Session) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.open {
		r.wipe()
	}
	if s.temp != nil {
		s.temp.wipe()
	}
	s.literals = parse.Literals{}
	s.lifts++
	for st := range s.stmts {
		st.idle = nil
		if !st.control { // BEGIN and its kin hold no values, and need no schema
			st.plan, st.parsed = nil, nil
		}
	}
}

// wipe drops the rows; what ended the transaction ends the result.
func (r *Rows) wipe() {
	r.wiped, r.ended = true, r.f.tx
	clear(r.f.kept) // as r.it below: closing it would use the database
	r.f.clear()
	r.f, r.it, r.plan, r.st = &frame{}, nil, nil, nil
}

// link puts an open result on its session's list. r.s.mu is held.
func (r *Rows) link() {
	if !r.closed {
		r.s.open = append(r.s.open, r)
	}
}

// unlink takes it off. r.s.mu is held.
func (r *Rows) unlink() {
	open := r.s.open
	for i := len(open) - 1; i >= 0; i-- { // mostly there is one
		if open[i] == r {
			last := len(open) - 1
			open[i], open[last] = open[last], nil
			r.s.open = open[:last]
			return
		}
	}
}
