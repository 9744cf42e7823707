package engine

import "fmt"

// publish shows readers the group that was written, up to commit last, with the
// collections of dir. The table of a group lies on the memtable until its entries
// have moved there: by now if they are few, else beside the next commit. s.mu is
// held, and may be released meanwhile.
func (s *session) publish(last uint64, dir *directory) error {
	few := true
	if s.flight != nil {
		if err := s.settle(); err != nil { // the group before
			return err
		}
		few = s.flight.Len() <= settleSoonMax
		s.landed, s.flight = s.flight, nil
	}
	s.dropStaleViews()
	s.visible, s.shown = last, dir
	if s.mem.Bytes() >= s.db.opts.idleFlushMin() {
		kick(s.growths)
	}
	if few {
		_ = s.settle() // sticky: the next commit reports it
	} else {
		kick(s.landings)
	}
	return nil
}

// settleSoonMax is the largest number of entries that a committer moves itself:
// to wake somebody for them takes longer.
const settleSoonMax = 8

// settler moves groups to the memtable while their committers go on.
func (s *session) settler() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.landings:
			_ = s.settled() // sticky: the next commit reports it
		}
	}
}

// settled is settle for those who do not hold s.mu.
func (s *session) settled() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settle()
}

// settle returns when all that is visible is in the memtable. Until then the
// table of the group lies on it, so that readers see the same whatever part of it
// has moved. After an error, which is one of memory, it stays there. s.mu is held,
// and released meanwhile.
func (s *session) settle() error {
	for s.landed != nil {
		if s.settling {
			s.changed.Wait()
			continue
		}
		s.settling = true
		from, to := s.landed, s.mem
		s.mu.Unlock()
		err := to.take(from)
		s.mu.Lock()
		s.settling = false
		s.changed.Broadcast()
		if err != nil {
			return s.failLocked(fmt.Errorf("move a group to the memtable: %w", err))
		}
		s.landed.unref()
		s.landed = nil
		s.dropStaleViews() // who reads from now on has a table less to look at
	}
	return nil
}

// take sets every entry of a table to which nobody writes any more. After an
// error, which is one of memory, some are set.
func (t *table) take(from *table) error {
	it := from.Still().NewIter()
	for ok := it.First(); ok; {
		t.Lock()
		for n := 0; ok && n < takenAtOnce; n++ {
			value, err := it.Value()
			if err == nil {
				err = t.Set(it.Key(), it.Kind(), value)
			}
			if err != nil {
				t.Unlock()
				return err
			}
			ok = it.Next()
		}
		t.Unlock()
	}
	return it.Err()
}

// takenAtOnce is how many entries move while the writer, if it reads, waits.
const takenAtOnce = 32
