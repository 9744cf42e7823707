package exec

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
)

// Temporary objects are those of one session. Their catalog and their rows are
// in collections of their own, which the engine keeps like all others: so they
// are sealed, and transactions and savepoints count for them. Who drops them is
// this file: the session when it ends, or, where it could not, whoever is the
// next to write.

// tempState is what a session keeps that has made a temporary object.
type tempState struct {
	planCache
	place schema.Place

	loaded   *schema.Schema // the catalog as it was read last
	inTx     *schema.Schema // that of the session's transaction, nil: it is to be read
	seen     *schema.Schema // that of read-only transactions that begin at seenBase
	seenBase uint64
	main     *schema.Schema // joined is of this and loaded
	joined   *schema.Schema
}

// openTemp readies a session for its first temporary object.
func (s *Session) openTemp() {
	if s.temp != nil {
		return
	}
	var id [8]byte
	rand.Read(id[:])
	s.temp = &tempState{place: schema.TempPlace(s.d.db.Opening(), binary.BigEndian.Uint64(id[:]))}
	s.temp.clearPlans()
}

// changed has the session's transaction read the catalog anew.
func (t *tempState) changed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inTx = nil
}

// wipe drops what was read and compiled, but not where it is. The session's mu is
// held, as for all else but changed.
func (t *tempState) wipe() {
	t.clearPlans()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loaded, t.inTx, t.seen, t.main, t.joined = nil, nil, nil, nil, nil
}

// tempSchema returns the catalog of temporary objects that tx sees, nil where
// the session never had one.
func (s *Session) tempSchema(tx *engine.Tx) (*schema.Schema, error) {
	t := s.temp
	if t == nil {
		return nil, nil //nolint:nilnil // no temporary objects
	}
	version, err := schema.TempVersion(tx, t.place)
	if err != nil {
		return nil, err
	}
	if t.loaded == nil || t.loaded.Version != version {
		loaded, err := schema.LoadTemp(tx, t.place)
		if err != nil {
			return nil, err
		}
		t.loaded = loaded
	}
	return t.loaded, nil
}

// tempBefore is tempSchema before a statement runs: it reads the version once in
// a transaction, and once for all snapshots of one commit.
func (s *Session) tempBefore(tx *engine.Tx) (*schema.Schema, error) {
	t, own := s.temp, tx == s.tx
	base := uint64(0)
	if !tx.Writable() {
		base = tx.Base()
	}
	switch {
	case own && t.inTx != nil:
		return t.inTx, nil
	case base != 0 && base == t.seenBase && t.seen != nil:
		return t.seen, nil
	}
	temp, err := s.tempSchema(tx)
	if err != nil {
		return nil, err
	}
	if own {
		t.inTx = temp
	}
	if base != 0 {
		t.seen, t.seenBase = temp, base
	}
	return temp, nil
}

// schemaOf returns the schema that tx sees, as the names of the session go.
func (s *Session) schemaOf(tx *engine.Tx) (*schema.Schema, error) {
	main, err := s.d.schemaOf(tx)
	if err != nil || s.temp == nil {
		return main, err
	}
	temp, err := s.tempSchema(tx)
	if err != nil {
		return nil, err
	}
	t := s.temp
	if t.joined == nil || t.main != main || t.joined.Temp() != temp {
		t.main, t.joined = main, schema.Join(main, temp)
		t.mu.Lock()
		t.schema = t.joined
		t.mu.Unlock()
	}
	return t.joined, nil
}

// cache returns where the session's plans are.
func (s *Session) cache() *planCache {
	if s.temp != nil {
		return &s.temp.planCache
	}
	return &s.d.planCache
}

// cached returns a plan that need not be of the present schema, nil for none.
func (s *Session) cached(text string) *plan {
	p := s.cache().cached(text, s.foreignKeys)
	if p != nil || s.temp == nil {
		return p
	}
	if p = s.d.cached(text, s.foreignKeys); p != nil && p.control {
		return p
	}
	return nil
}

// planOf returns the plan of a statement for the schema that tx sees.
func (s *Session) planOf(tx *engine.Tx, text string, parsed *parse.Stmt) (*plan, error) {
	version, err := schema.Version(tx)
	if err != nil {
		return nil, err
	}
	temp, err := s.tempSchema(tx)
	if err != nil {
		return nil, err
	}
	cache := s.cache()
	if p := cache.cached(text, s.foreignKeys); p != nil && p.version == version && p.temp == temp && p.keys == s.foreignKeys {
		return p, nil
	}
	sch, err := s.schemaOf(tx)
	if err != nil {
		return nil, err
	}
	if parsed == nil {
		st, err := parse.One(text)
		if err != nil {
			return nil, err
		}
		parsed = &st
	}
	p, err := compile(sch, *parsed, s.foreignKeys)
	if err != nil {
		return nil, err
	}
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if err := tx.Check(); err != nil { // memory may have been wiped: nothing is kept any more
		return nil, err
	}
	cache.keep(text, p)
	return p, nil
}

// dropTemp drops the session's temporary objects. It waits for nobody: where the
// writer is taken, or the key away, somebody else drops them.
func (s *Session) dropTemp() {
	s.mu.Lock()
	temp := s.temp
	s.temp = nil
	s.mu.Unlock()
	if temp == nil {
		return
	}
	s.d.litterMu.Lock()
	s.d.abandoned = append(s.d.abandoned, temp.place)
	s.d.litterMu.Unlock()
	s.d.litter.Store(true)
	now, cancel := context.WithCancel(context.Background())
	cancel() // the writer, if it is free
	_ = s.d.Sweep(now)
}

// Sweep drops temporary objects that nobody has any more: those of sessions that
// have ended, and what a crash left behind. What fails is tried again before the
// next statement that writes.
func (d *Database) Sweep(ctx context.Context) error {
	if !d.litter.Load() {
		return nil
	}
	d.litterMu.Lock()
	places := slices.Clone(d.abandoned)
	d.litterMu.Unlock()
	names, err := d.litterOf(ctx, places)
	if err == nil && len(names) > 0 {
		err = d.drop(ctx, names)
	}
	if err != nil {
		return err
	}
	d.litterMu.Lock()
	defer d.litterMu.Unlock()
	d.abandoned = slices.DeleteFunc(d.abandoned, func(p schema.Place) bool { return slices.Contains(places, p) })
	d.litter.Store(len(d.abandoned) > 0)
	return nil
}

// litterOf returns the collections of places, and those of other openings.
func (d *Database) litterOf(ctx context.Context, places []schema.Place) ([]string, error) {
	tx, err := d.db.BeginContext(ctx, false)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // a snapshot has nothing to lose
	all, err := tx.Collections()
	if err != nil {
		return nil, err
	}
	names := schema.LeftBehind(all, d.db.Opening())
	for _, name := range all {
		if slices.ContainsFunc(places, func(p schema.Place) bool { return p.Holds(name) }) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (d *Database) drop(ctx context.Context, names []string) error {
	tx, err := d.db.BeginContext(ctx, true)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing left
	if err := schema.DropTemp(tx, names); err != nil {
		return err
	}
	return tx.Commit()
}
