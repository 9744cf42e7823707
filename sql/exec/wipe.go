package exec

// forget drops every plan, the schema, and the rows of results that are open,
// when the engine wipes memory. Its transactions have ended by then. Plans and
// schema are made anew when needed; open results end with the engine's error.
// It waits for statements under way: they end at their next look at the
// transaction.
func (d *Database) forget() {
	d.mu.Lock()
	d.plans, d.schema = map[string]*plan{}, nil
	d.mu.Unlock()
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
	for r := s.open; r != nil; r = r.next {
		r.wipe()
	}
	for st := range s.stmts {
		st.idle = nil
		if !st.control { // BEGIN and its kin hold no values, and need no schema
			st.plan, st.parsed = nil, nil
		}
	}
}

// wipe drops the rows; what ended the transaction ends the result.
func (r *Rows) wipe() {
	r.ended = r.f.tx
	r.f.clear()
	r.f, r.it, r.plan, r.st = &frame{}, nil, nil, nil
}

// link puts an open result on its session's list. r.s.mu is held.
func (r *Rows) link() {
	if r.closed {
		return
	}
	r.next = r.s.open
	if r.next != nil {
		r.next.prev = r
	}
	r.s.open, r.linked = r, true
}

// unlink takes it off. r.s.mu is held.
func (r *Rows) unlink() {
	if !r.linked {
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		r.s.open = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next, r.linked = nil, nil, false
}
