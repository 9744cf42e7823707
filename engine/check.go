package engine

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/engine/internal/wal"
)

// This file is the logical part of a verification: what must hold between
// records that are each genuine.

// contents checks the records of a catalog against each other.
func (v *verification) contents(c *catalog.Salvaged) {
	for _, err := range c.Faults {
		v.fault("catalog", err)
	}
	v.report.Journal, v.report.Bytes = int64(len(c.Journal)), v.report.Bytes+c.Size
	if c.HasClear {
		var p Policy
		if err := p.UnmarshalBinary(c.Clear.Policy); err != nil {
			v.fault("catalog", refusal(err))
		}
	}
	for _, err := range journalFaults(c) {
		v.fault("catalog", err)
	}
	if c.Guard == nil {
		return // a fault of the catalog
	}
	var r guard.Record
	switch err := r.UnmarshalBinary(c.Guard); {
	case err != nil:
		v.fault("catalog", refusal(err))
	case r.State == guard.Erased && c.Tombstone == nil:
		v.fault("catalog", fmt.Errorf("%w: the guard's record says erased, and there is no tombstone", ErrCorrupt))
	}
}

// manifest checks a manifest that opened: levels that exist, runs of a level
// above 0 that do not overlap, counts that can be.
func (v *verification) manifest(m *catalog.Manifest) {
	v.report.Generation = m.Generation
	if err := v.db.compareSealed(m); err != nil {
		v.fault("manifest", err)
	}
	var levels [nLevels][]catalog.RunMeta
	for _, r := range m.Runs {
		switch {
		case int(r.Level) >= nLevels:
			v.fault("manifest", fmt.Errorf("%w: run %d on level %d", ErrCorrupt, r.ID, r.Level))
			continue
		case r.Tombstones > r.Entries, r.KeyBytes < 4*r.Entries, r.Entries == 0:
			v.fault("manifest", fmt.Errorf("%w: the counts of run %d cannot be", ErrCorrupt, r.ID))
		}
		levels[r.Level] = append(levels[r.Level], r)
	}
	for l, runs := range levels[1:] {
		slices.SortFunc(runs, func(a, b catalog.RunMeta) int { return bytes.Compare(a.First, b.First) })
		for i := 1; i < len(runs); i++ {
			if bytes.Compare(runs[i-1].Last, runs[i].First) >= 0 {
				v.fault("manifest", fmt.Errorf("%w: runs %d and %d of level %d overlap", ErrCorrupt, runs[i-1].ID, runs[i].ID, l+1))
			}
		}
	}
}

// idState tells what a collection's id is.
type idState uint8

const (
	idLive    idState = iota
	idDropped         // given once, and in no directory any more
	idUnknown         // never given, or the key holds none
)

// knownIDs knows the collections that runs may hold records of.
type knownIDs struct {
	live map[uint32]bool
	next uint32
}

// newIDs takes the ids of a manifest and of a snapshot's directory.
func newIDs(m *catalog.Manifest, dir *directory) *knownIDs {
	ids := &knownIDs{live: make(map[uint32]bool, len(m.Collections)), next: max(m.NextCollection, dir.next)}
	for _, c := range m.Collections {
		ids.live[c.ID] = true
	}
	for _, id := range dir.ids {
		ids.live[id] = true
	}
	return ids
}

// of returns the state of an internal key's collection.
func (k *knownIDs) of(key []byte) idState {
	if len(key) < 4 {
		return idUnknown
	}
	id, user := splitKey(key)
	switch {
	case k.live[id] && len(user) <= KeySizeMax:
		return idLive
	case id > 0 && id < k.next && len(user) <= KeySizeMax:
		return idDropped
	default:
		return idUnknown
	}
}

// logCheck checks the batches of a log: that they parse, that commits follow
// each other and the manifest's last one, and that operations name collections
// that exist. It applies them to a session, unless into is nil.
type logCheck struct {
	v     *verification
	floor uint64 // the manifest's last commit
	last  uint64 // commit read last, 0 before the first
	gap   bool   // frames may be missing before the next commit
	sound bool   // nothing was wrong so far, and nothing missing
	live  map[uint32]string
	next  uint32
	made  bool // a collection, in the commit that is being read
	into  *target
}

func newLogCheck(v *verification, m *catalog.Manifest, into *target) *logCheck {
	c := &logCheck{v: v, floor: m.Commit, next: m.NextCollection, into: into, sound: true}
	c.live = make(map[uint32]string, len(m.Collections))
	for _, meta := range m.Collections {
		c.live[meta.ID] = meta.Name
	}
	return c
}

// follows reports whether a commit may come now.
func (c *logCheck) follows(commit uint64) bool {
	switch {
	case c.gap:
		return commit > c.last
	case c.last > 0:
		return commit == c.last+1
	default:
		return commit > 0 && commit <= c.floor+1
	}
}

func (c *logCheck) visitor() wal.Visitor {
	return wal.Visitor{
		Frame: c.frame,
		Gap:   func() { c.gap, c.sound = true, false },
		Fault: func(err error) { c.fault(err) },
	}
}

func (c *logCheck) fault(err error) {
	c.sound = false
	c.v.fault("log", err)
}

// frame checks the batches of one frame. An error is one of memory.
func (c *logCheck) frame(frame uint64, payload []byte) error {
	if frame%checkEvery == 0 {
		if err := c.v.goOn(); err != nil {
			return err
		}
	}
	var end error
	err := batches(payload, func(commit uint64, ops []byte) error {
		if !c.follows(commit) {
			c.fault(fmt.Errorf("%w: log: commit %d follows %d in frame %d", ErrCorrupt, commit, max(c.last, c.floor), frame))
		}
		c.last, c.gap = commit, false
		err := errors.Join(applyOps(ops, c.applier(commit)), c.unique())
		if errors.Is(err, errNoMemory) {
			end = err
			return nil
		}
		if err != nil {
			c.fault(fmt.Errorf("%w: log: commit %d in frame %d: %w", ErrCorrupt, commit, frame, err))
		}
		return nil
	})
	if err != nil {
		c.fault(fmt.Errorf("%w: log: frame %d: %w", ErrCorrupt, frame, err))
	}
	return end
}

// errNoMemory marks an error that is not the log's.
var errNoMemory = errors.New("no memory for the log's records")

// applier returns what a commit's operations are handed to. Those of the runs'
// commits, and those behind a fault, can only be parsed: the directory that
// they belong to is not known.
func (c *logCheck) applier(commit uint64) applier {
	if commit <= c.floor || !c.sound {
		return parseOnly{}
	}
	return c
}

type parseOnly struct{}

func (parseOnly) set([]byte, memtable.Kind, []byte) error { return nil }
func (parseOnly) create(uint32, string) error             { return nil }
func (parseOnly) drop(uint32) error                       { return nil }

func (c *logCheck) set(key []byte, kind memtable.Kind, value []byte) error {
	if id, _ := splitKey(key); c.live[id] == "" {
		return fmt.Errorf("a record of collection %d, which does not exist", id)
	}
	if c.into == nil {
		return nil
	}
	if err := c.into.set(key, kind, value); err != nil {
		return errors.Join(errNoMemory, err)
	}
	return nil
}

func (c *logCheck) create(id uint32, name string) error {
	if id < c.next || id == 0 || name == "" {
		return fmt.Errorf("a collection is made under the id %d, which was given before", id)
	}
	c.live[id], c.next, c.made = name, id+1, true
	if c.into == nil {
		return nil
	}
	return c.into.create(id, name)
}

// unique checks at the end of a commit that no two collections have one name.
// Within it they may: creations come before drops.
func (c *logCheck) unique() error {
	if !c.made {
		return nil
	}
	c.made = false
	names := make(map[string]bool, len(c.live))
	for _, name := range c.live {
		if names[name] {
			return errors.New("a collection is made that exists")
		}
		names[name] = true
	}
	return nil
}

func (c *logCheck) drop(id uint32) error {
	if c.live[id] == "" {
		return fmt.Errorf("collection %d is dropped, which does not exist", id)
	}
	delete(c.live, id)
	if c.into == nil {
		return nil
	}
	return c.into.drop(id)
}

// recordCursor is what a walk needs of a [Cursor].
type recordCursor interface {
	Next() bool
	Prev() bool
	UnsafeKey() []byte
	UnsafeValue() []byte
	Err() error
	Close() error
}

// recordWalk reads every record of one collection: forwards with their values, some
// of them again by their keys, and backwards.
type recordWalk struct {
	v      *verification
	name   string
	cursor func() recordCursor
	get    func(key []byte) ([]byte, error)
	check  func() error // nil while what was read may be believed
}

// getEvery is how many records a walk reads for one that it looks up by its key.
const getEvery = 64

// run returns the number of records.
func (w *recordWalk) run() (n int64, err error) {
	seed := maphash.MakeSeed()
	forth, n, err := w.forth(seed)
	if err != nil {
		return n, err
	}
	back, nBack, err := w.back(seed)
	if err == nil && (nBack != n || back != forth) {
		err = fmt.Errorf("%w: collection: %d records forwards, %d others backwards", ErrCorrupt, n, nBack)
	}
	return n, err
}

// forth returns the sum of the hashes of all keys.
func (w *recordWalk) forth(seed maphash.Seed) (sum uint64, n int64, err error) {
	cur := w.cursor()
	defer func() { err = errors.Join(err, cur.Close()) }()
	var last []byte
	defer func() { clear(last[:cap(last)]) }()
	for cur.Next() {
		if n%checkEvery == 0 {
			if err := w.v.goOn(); err != nil {
				return sum, n, err
			}
		}
		key, value := cur.UnsafeKey(), cur.UnsafeValue()
		if value == nil {
			return sum, n, cur.Err()
		}
		if n > 0 && bytes.Compare(last, key) >= 0 {
			return sum, n, w.suspect("keys are not in order")
		}
		last = append(last[:0], key...)
		sum += maphash.Bytes(seed, last)
		if w.v.visit != nil {
			w.v.visit(w.name, key, value)
		}
		if n++; n%getEvery != 1 {
			continue
		}
		switch got, err := w.get(last); {
		case errors.Is(err, ErrNotFound):
			return sum, n, w.suspect("a record that a walk meets is not found by its key")
		case err != nil:
			return sum, n, err
		case !bytes.Equal(got, value):
			return sum, n, w.suspect("a record has another value when found by its key")
		}
	}
	return sum, n, cur.Err()
}

// back is forth the other way, without values.
func (w *recordWalk) back(seed maphash.Seed) (sum uint64, n int64, err error) {
	cur := w.cursor()
	defer func() { err = errors.Join(err, cur.Close()) }()
	for cur.Prev() {
		if n%checkEvery == 0 {
			if err := w.v.goOn(); err != nil {
				return sum, n, err
			}
		}
		sum += maphash.Bytes(seed, cur.UnsafeKey())
		n++
	}
	return sum, n, cur.Err()
}

// suspect returns ErrCorrupt, unless the bytes that were compared were wiped.
func (w *recordWalk) suspect(what string) error {
	if err := w.check(); err != nil {
		return err
	}
	return fmt.Errorf("%w: collection: %s", ErrCorrupt, what)
}
