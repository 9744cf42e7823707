package engine

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// install replaces runs by others in the current version of the tree: durably
// in the catalog first, then in memory, where under s.mu also runs.
func (s *session) install(gone, added []*run, edit func(m *catalog.Manifest), under func()) error {
	return s.change(gone, added, func(v *version) *version { return v.edit(gone, added) }, edit, under)
}

// change makes the version that next returns the current one.
func (s *session) change(gone, added []*run, next func(v *version) *version, edit func(m *catalog.Manifest), under func()) error {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	m := *s.manifest
	m.Generation++
	s.mu.Lock()
	v := next(s.version)
	m.NextRun = s.nextRun
	s.mu.Unlock()
	m.Runs = v.metas()
	edit(&m)
	discard := func() {
		for _, r := range added {
			s.obsolete(r)
		}
		v.unref() // closes, and removes what is obsolete
	}
	err := s.db.guard.Check()
	var sealed []byte
	if err == nil {
		sealed, err = m.Seal(s.ring, s.db.clear.Database)
	}
	if err != nil {
		discard()
		return fmt.Errorf("switch to a new manifest: %w", err)
	}
	err = s.db.cat.PutManifest(sealed)
	if errors.Is(err, catalog.ErrNoRoom) {
		discard()
		return fmt.Errorf("switch to a new manifest: %w", err)
	}
	if err != nil {
		// The disk may have it or not: the files stay, and nothing may be
		// committed on top of what is here. The next opening knows.
		v.unref()
		return s.fail(fmt.Errorf("switch to a new manifest: %w", err))
	}
	s.manifest = &m
	for _, r := range gone {
		s.obsolete(r)
	}
	s.mu.Lock()
	old := s.version
	s.version = v
	under()
	s.changed.Broadcast()
	s.dropStaleViews()
	s.mu.Unlock()
	old.unref()
	kick(s.reseals)
	return nil
}

// obsolete marks a run whose file is removed when nobody reads it any more.
func (s *session) obsolete(r *run) {
	if !r.obsolete.Swap(true) {
		s.pinned.Add(r.meta.Size)
	}
}

// dropStaleViews lets go of the shared snapshots where that is possible, so
// that an idle database does not pin replaced runs and flushed memtables. s.mu is
// held.
func (s *session) dropStaleViews() {
	v := s.published
	s.published = nil
	s.unref(v)
}
