package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/pager"
)

// VerifyDir verifies the database in dir without opening it: it changes nothing,
// and it goes on past faults, so that a database that does not open gets the
// whole list of what is wrong with it. Other processes may verify beside it, and
// cannot open the database meanwhile. Without a manifest that opens, runs and
// segments are verified one by one; without a key, which may be nil, only what
// is in the clear is checked. A state older than o.MinPosition is a fault that
// is ErrStale. What it did not check, the report says.
//
// The error is the report's faults, joined, or why there was nothing to verify:
// ErrNotExist, ErrNotDatabase, ErrInUse, ErrTooNew, ErrWrongKey, ErrErased,
// *KeyError, ctx's. Plaintext that it met is wiped from memory outside the Go
// heap when it returns; the heap is not scrubbed.
func VerifyDir(ctx context.Context, dir string, key crypt.Provider, o *Options) (VerifyReport, error) {
	return newDirVerification(ctx, dir, key, o).run()
}

// dirVerification is one VerifyDir under way.
type dirVerification struct {
	verification
	s *session // never started: it opens files and holds what the log holds
	m *catalog.Manifest
}

func newDirVerification(ctx context.Context, dir string, key crypt.Provider, o *Options) *dirVerification {
	db := &DB{dir: dir, key: key, opts: o.withDefaults()}
	db.log, db.clock, db.least = db.opts.Logger, db.opts.clock, db.opts.MinPosition
	d := &dirVerification{}
	d.verification = verification{ctx: ctx, db: db, lease: func() error { return nil }}
	d.report.NotChecked = []string{notNewest, notSQL}
	if !db.least.IsZero() {
		d.report.NotChecked[0] = notNewer
	}
	d.report.Faults, d.report.Notes = []Fault{}, []string{}
	return d
}

func (d *dirVerification) run() (VerifyReport, error) {
	release, err := catalog.Hold(d.db.opts.fs, d.db.dir)
	if err != nil {
		return d.report, translate(err)
	}
	defer release()
	c, err := catalog.Salvage(d.db.opts.fs, d.db.dir)
	if err != nil {
		return d.done(d.noCatalog(err))
	}
	d.contents(c)
	if c.Tombstone != nil {
		return d.report, fmt.Errorf("%s: %w on %s by its policy: %s", d.db.dir, ErrErased,
			c.Tombstone.Erased.Format("2006-01-02 15:04:05 UTC"), c.Tombstone.Reason)
	}
	d.identify(c)
	if d.db.key == nil {
		d.report.NotChecked = append(d.report.NotChecked, "everything that is sealed, since no key was given")
		return d.done(d.clearParts())
	}
	ring, err := d.unwrap(c)
	if err != nil {
		return d.report, err
	}
	if err := d.begin(ring); err != nil {
		return d.report, err
	}
	defer d.end()
	return d.done(d.sealedParts(c))
}

// noCatalog tells a database whose catalog is gone from what never was one.
func (d *dirVerification) noCatalog(err error) error {
	if errors.Is(err, ErrTooNew) || errors.Is(err, catalog.ErrTooNew) {
		return err
	}
	_, runErr := d.runFiles()
	segments, walErr := d.list(walDir)
	if (runErr != nil && walErr != nil || len(segments) == 0) && !errors.Is(err, catalog.ErrCorrupt) {
		return err
	}
	d.fault("catalog", fmt.Errorf("%w: runs or a log without a catalog: %w", ErrCorrupt, err))
	d.report.NotChecked = append(d.report.NotChecked, "everything that is sealed, since the wrapped keys are in the catalog")
	return d.clearParts()
}

// identify takes the database's and the key's id from the catalog, from an
// envelope if the clear record is lost.
func (d *dirVerification) identify(c *catalog.Salvaged) {
	d.db.clear, d.db.envelopes = c.Clear, c.Envelopes
	if !c.HasClear && len(c.Envelopes) > 0 {
		d.db.clear.Database, d.db.clear.KeyID = c.Envelopes[0].Database, c.Envelopes[0].KeyID
	}
	d.report.Database = d.db.clear.Database
	if err := d.db.least.admitDatabase(d.db.dir, d.db.clear.Database); err != nil {
		d.fault("catalog", err)
	}
	if d.db.policy.UnmarshalBinary(c.Clear.Policy) != nil { // a fault, noted
		d.db.policy = Policy{}.WithDefaults()
	}
}

// unwrap has the KMS unwrap the envelopes. One that does not match is a fault;
// that the key cannot be used is an error.
func (d *dirVerification) unwrap(c *catalog.Salvaged) (*crypt.KeyRing, error) {
	db := d.db
	if have := db.key.KeyID(); have != db.clear.KeyID && len(c.Envelopes) > 0 {
		return nil, &wrongKeyError{dir: db.dir, want: db.clear.KeyID, have: have}
	}
	ctx, cancel := context.WithTimeout(d.ctx, db.policy.ProbeTimeout)
	defer cancel()
	ring := crypt.NewKeyRing()
	for _, env := range c.Envelopes {
		dek, _, err := db.unwrap(ctx, env)
		switch {
		case err == nil:
			ring.Add(env.Epoch, dek)
		case crypt.ClassOf(err) == crypt.ClassTampered:
			d.fault("key", fmt.Errorf("%w: envelope of epoch %s: %w", ErrCorrupt, env.Epoch, err))
		default:
			ring.Wipe()
			var r guard.Record
			_ = r.UnmarshalBinary(c.Guard) // zero when damaged, which is a fault that was noted
			return nil, db.keyError(err, r)
		}
	}
	return ring, nil
}

// begin makes the session that files are opened with. It takes the ring.
func (d *dirVerification) begin(ring *crypt.KeyRing) (err error) {
	cache := d.db.opts.Cache
	if cache == nil {
		if cache, err = pager.NewCache(max(pager.CacheBudgetMin, min(d.db.opts.CacheSize, verifyCacheSize))); err != nil {
			ring.Wipe()
			return err
		}
		d.db.ownCache = true
	}
	d.db.cache = cache
	ctx, cancel := context.WithCancel(d.ctx)
	d.s = &session{db: d.db, fs: d.db.opts.fs, ring: ring, owner: cache.NewOwner(), ctx: ctx, cancel: cancel}
	d.s.changed.L = &d.s.mu
	d.s.mem = newTable(freeTable)
	return nil
}

// verifyCacheSize is enough for a walk, which meets every page once, in bytes.
const verifyCacheSize = 16 << 20

// end wipes everything.
func (d *dirVerification) end() {
	d.s.wipe()
	if d.db.ownCache {
		_ = d.db.cache.Close() // wiped all the same
	}
}

// sealedParts verifies what the key opens.
func (d *dirVerification) sealedParts(c *catalog.Salvaged) error {
	if c.Manifest != nil {
		if err := d.db.least.admitManifest(d.db.dir, c.Manifest); errors.Is(err, ErrStale) {
			d.fault("manifest", err)
		}
		m, err := catalog.OpenManifest(d.s.ring, d.db.clear.Database, c.Manifest)
		switch {
		case errors.Is(err, catalog.ErrTooNew):
			return err
		case err != nil:
			d.fault("manifest", fmt.Errorf("open manifest: %w", err))
		case !c.HasClear: // there is nothing to compare it with
			d.m, d.db.clear.KeyID, d.db.clear.Policy = m, m.KeyID, m.Policy
		default:
			d.m = m
		}
	}
	d.s.manifest = d.m
	if d.m == nil {
		d.report.NotChecked = append(d.report.NotChecked,
			"which runs and which part of the log belong to the database, since the manifest does not open")
		return errors.Join(d.orphanRuns(), d.orphanLog())
	}
	d.manifest(d.m)
	d.s.dir, d.s.nextRun, d.s.applied = newDirectory(d.m), d.m.NextRun, d.m.Commit
	if err := d.runs(); err != nil {
		return err
	}
	if err := d.readLog(d.m.Floor, &target{mem: d.s.mem, dir: &d.s.dir}); err != nil {
		return err
	}
	if err := d.strangers(); err != nil {
		return err
	}
	return d.records(d.collections)
}

// runs verifies every run of the manifest and keeps it open.
func (d *dirVerification) runs() error {
	var levels [nLevels][]*run
	ids := newIDs(d.m, d.s.dir)
	for _, m := range d.m.Runs {
		if err := d.goOn(); err != nil {
			return err
		}
		r, err := d.s.openRun(m)
		if err != nil {
			d.fault("run", err)
			continue
		}
		if err := d.verification.run(r.Run, ids); err != nil {
			d.s.closeRun(r)
			return err
		}
		if int(m.Level) >= nLevels { // a fault of the manifest
			d.s.closeRun(r)
			continue
		}
		levels[m.Level] = append(levels[m.Level], r)
	}
	d.s.version = newVersion(levels)
	return nil
}

// orphanRuns verifies every run in the directory by itself.
func (d *dirVerification) orphanRuns() error {
	names, err := d.runFiles()
	if err != nil {
		d.fault("run", err)
		return nil
	}
	for _, name := range names {
		r, err := pager.OpenRun(pager.RunConfig{
			FS: d.s.fs, Path: filepath.Join(d.db.dir, runDir, name), Ring: d.s.ring, Database: d.db.clear.Database, Cache: d.s.owner,
		})
		if err != nil {
			d.fault("run", fmt.Errorf("open run: %w", err))
			continue
		}
		if want := r.Info().RunID; runName(want) != name {
			d.fault("run", fmt.Errorf("%w: %s is run %d", ErrCorrupt, r.Path(), want))
		}
		err = d.verification.run(r, &knownIDs{next: ^uint32(0)})
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	d.report.Garbage = 0 // not known
	return nil
}

// orphanLog verifies every segment in the directory, from the oldest on.
func (d *dirVerification) orphanLog() error {
	floor, ok, err := wal.OldestFloor(d.db.walConfig(d.s.ring))
	if err != nil {
		d.fault("log", err)
		return nil
	}
	if !ok {
		d.fault("log", fmt.Errorf("%w: no segment of the log has a sound header", ErrCorrupt))
		return nil
	}
	d.m = &catalog.Manifest{Commit: ^uint64(0) - 1} // of which nothing is known: batches are only parsed
	err = d.readLog(floor, nil)
	d.m = nil
	return err
}

// readLog verifies the log from a floor on and, unless into is nil, applies what
// the manifest's runs do not hold.
func (d *dirVerification) readLog(floor wal.Floor, into *target) error {
	check := newLogCheck(&d.verification, d.m, into)
	config := d.db.walConfig(d.s.ring)
	if into != nil {
		config.Least = d.db.least.mark()
	}
	st, err := wal.VerifyEach(d.ctx, config, floor, check.visitor())
	if errors.Is(err, fs.ErrNotExist) {
		d.fault("log", fmt.Errorf("%w: the log is missing: %w", ErrCorrupt, err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify log: %w", err)
	}
	d.log(st, check)
	if d.report.Commit = check.last; into != nil {
		d.report.Commit = max(check.last, d.m.Commit)
		if err := d.db.least.admitCommit(d.db.dir, d.report.Commit); err != nil && !errors.Is(errors.Join(d.errs...), ErrStale) {
			d.fault("log", err) // else it would say the same again
		}
	}
	if !st.Closed {
		d.report.NotChecked = append(d.report.NotChecked, notEnd)
	}
	return nil
}

// strangers notes files that nothing names.
func (d *dirVerification) strangers() error {
	var known []string
	for _, m := range d.m.Runs {
		known = append(known, runDir+"/"+runName(m.ID))
	}
	floor := max(d.m.Floor.Segment, 1)
	for _, sub := range []string{"", runDir, walDir, spillDir} {
		names, err := d.list(sub)
		if err != nil {
			continue // a fault of another part
		}
		for _, name := range names {
			path := strings.TrimPrefix(sub+"/"+name, "/")
			n, ok := segmentNumber(name)
			switch {
			case sub == "" && slices.Contains([]string{catalog.FileName, runDir, walDir, spillDir}, name),
				sub == walDir && ok && n >= floor, slices.Contains(known, path):
			case sub == walDir && ok:
				d.note("%s is below the log's floor: the next opening's first flush removes it", path)
			case sub == runDir && filepath.Ext(name) == ".run", sub == walDir && (strings.HasSuffix(name, ".wal.tmp") || strings.HasSuffix(name, ".wal.free")):
				d.note("%s is named by nothing: a crash leaves such a file, and the next opening removes it", path)
			case sub == spillDir && filepath.Ext(name) == spillEnd:
				d.note("%s is a temporary file that nobody can read: a crash leaves such a file, and the next opening removes it", path)
			case path == catalog.TempName:
				d.note("%s is a catalog that was never finished, and means nothing", path)
			default:
				d.note("%s is no file of a database, and is left alone", path)
			}
		}
	}
	return nil
}

// segmentNumber returns the number in a segment's file name.
func segmentNumber(name string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, ".wal")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && fmt.Sprintf("%08d.wal", n) == name
}

// collections walks every record.
func (d *dirVerification) collections() error {
	d.s.visible, d.s.shown = d.s.applied, d.s.dir
	view := d.s.newView()
	defer d.s.unref(view)
	for _, name := range d.s.dir.names() {
		id := d.s.dir.ids[name]
		prefix := collectionPrefix(id)
		w := &recordWalk{
			v: &d.verification, name: name, check: func() error { return nil },
			cursor: func() recordCursor { return newPlainCursor(view, id) },
			get: func(key []byte) ([]byte, error) {
				value, found, err := view.get(nil, append(slices.Clone(prefix), key...), nil, 0)
				if err == nil && !found {
					err = ErrNotFound
				}
				return value, err
			},
		}
		if err := d.collection(w); err != nil {
			return err
		}
	}
	return nil
}

// plainCursor is a cursor over one collection of a snapshot that no transaction
// holds.
type plainCursor struct {
	lo, hi []byte
	m      *merge
	begun  bool
	err    error
}

func newPlainCursor(v *view, id uint32) *plainCursor {
	lo, hi := collectionPrefix(id), collectionPrefix(id+1)
	return &plainCursor{lo: lo, hi: hi, m: newMerge(v.sources(lo, hi))}
}

func (c *plainCursor) Next() bool {
	ok := !c.begun && c.m.seekGE(c.lo) || c.begun && c.m.next()
	for c.begun = true; ok; ok = c.m.next() {
		if bytes.Compare(c.m.key(), c.hi) >= 0 {
			return false
		}
		if !c.m.tombstone() {
			return true
		}
	}
	return false
}

func (c *plainCursor) Prev() bool {
	ok := !c.begun && c.m.seekLT(c.hi) || c.begun && c.m.prev()
	for c.begun = true; ok; ok = c.m.prev() {
		if bytes.Compare(c.m.key(), c.lo) < 0 {
			return false
		}
		if !c.m.tombstone() {
			return true
		}
	}
	return false
}

func (c *plainCursor) UnsafeKey() []byte { return c.m.key()[4:] }

func (c *plainCursor) UnsafeValue() []byte {
	v, err := c.m.value()
	if err != nil {
		c.err = err
		return nil
	}
	if v == nil {
		v = []byte{}
	}
	return v
}

func (c *plainCursor) Err() error { return errors.Join(c.err, c.m.err) }

func (c *plainCursor) Close() error { return c.m.close() }

// clearParts checks what runs and segments show without a key.
func (d *dirVerification) clearParts() error {
	r, err := Inspect(d.ctx, d.db.dir)
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotExist) {
		return err
	}
	for _, f := range r.Files {
		if f.Kind == FileCatalog { // reported already
			continue
		}
		for _, fault := range f.Faults {
			d.fault(fault.Part, fault.Err)
		}
	}
	return nil
}

// runFiles returns the names of the run files, sorted.
func (d *dirVerification) runFiles() ([]string, error) {
	names, err := d.list(runDir)
	return slices.DeleteFunc(names, func(n string) bool { return filepath.Ext(n) != ".run" }), err
}

func (d *dirVerification) list(sub string) ([]string, error) {
	names, err := d.db.opts.fs.List(filepath.Join(d.db.dir, sub))
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return names, nil
}
