package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/pager"
)

// VerifyReport says what a verification read, what it found, and what it did
// not check.
type VerifyReport struct {
	Database    crypt.ID `json:"database"`
	Generation  uint64   `json:"generation"` // of the manifest; 0 when that did not open
	Commit      uint64   `json:"commit"`     // number of the last one that was read
	Runs        int64    `json:"runs"`
	Pages       int64    `json:"pages"`
	Entries     int64    `json:"entries"` // in runs, older versions and tombstones included
	Garbage     int64    `json:"garbage"` // of them, of dropped collections
	Segments    int64    `json:"segments"`
	Frames      int64    `json:"frames"`
	Records     int64    `json:"records"` // that a reader sees
	Collections int64    `json:"collections"`
	Journal     int64    `json:"journal_entries"`
	Bytes       int64    `json:"bytes"`
	Unread      int64    `json:"unread_bytes"` // of runs, that faults kept from being read

	Faults     []Fault  `json:"faults"` // at most verifyFaultsMax
	MoreFaults int64    `json:"more_faults,omitempty"`
	Notes      []string `json:"notes"` // what is no fault and may surprise
	NotChecked []string `json:"not_checked"`
}

// verifyFaultsMax bounds the list of faults of a report.
const verifyFaultsMax = 1000

// Fault is one thing that is wrong with a database. It holds no rows and no key
// bytes.
type Fault struct {
	Part string // "catalog", "key", "manifest", "run", "log" or "records"
	Err  error  // names the file and the place; ErrCorrupt, ErrStale, or what the system said of it
}

// Error says what is wrong.
func (f Fault) Error() string { return f.Part + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f Fault) Unwrap() error { return f.Err }

// MarshalText returns the same as Error.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.Error()), nil }

// What a verification does not check.
const (
	notNewest  = "whether this is the newest state: a whole directory that was put back to an older one is genuine"
	notNewer   = "whether there was a newer state than Options.MinPosition"
	notEnd     = "whether commits are missing at the end of the log: after a crash their absence looks like a torn write"
	notSQL     = "SQL indexes against their tables; PRAGMA integrity_check does"
	notWhole   = "what lies behind a fault: see each"
	notRecords = "records, since a reader would meet the faults above"
	notFiles   = "files that nothing names, since the database is open"
)

// Verify opens every page and every frame, checks what hangs together, and
// walks every collection in both directions. It returns the faults found,
// joined. It may run beside reads and writes; the writer waits while the log is
// read.
func (db *DB) Verify(ctx context.Context) error {
	_, err := db.VerifyReport(ctx)
	return err
}

// VerifyReport is Verify that also says what was read. The report's faults and
// the error's are the same, unless the error says why it could not go on:
// ErrClosed, *KeyError, ctx's.
func (db *DB) VerifyReport(ctx context.Context) (VerifyReport, error) {
	v := &verification{ctx: ctx, db: db, lease: db.check}
	v.report.Database = db.clear.Database
	v.report.NotChecked = []string{notNewest, notSQL, notFiles}
	v.report.Faults, v.report.Notes = []Fault{}, []string{}
	tx, err := db.Begin(false)
	if err != nil {
		return v.report, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to report
	m, err := tx.s.currentManifest()
	if err != nil {
		return v.report, err
	}
	v.catalog()
	v.manifest(m)
	if err := v.runsOf(tx, m); err != nil {
		return v.report, err
	}
	if err := v.logOf(tx.s); err != nil {
		return v.report, err
	}
	err = v.records(func() error { return v.collectionsOf(tx) })
	return v.done(err)
}

// currentManifest returns the manifest, which is not changed after it was set.
func (s *session) currentManifest() (*catalog.Manifest, error) {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	if s.manifest == nil { // wiped
		return nil, s.ended()
	}
	return s.manifest, nil
}

// verification is one verification under way. Its methods return an error only
// to end it; faults go to fault.
type verification struct {
	ctx    context.Context // lives as long as one call
	db     *DB
	lease  func() error // of an open database: whether the key may be used
	report VerifyReport
	errs   []error // of the report's faults

	// visit, unless nil, is called for every record that a reader sees. Key and
	// value are valid during the call.
	visit func(collection string, key, value []byte)
}

// fault notes something that is wrong.
func (v *verification) fault(part string, err error) {
	if len(v.report.Faults) == verifyFaultsMax {
		v.report.MoreFaults++
		return
	}
	f := Fault{Part: part, Err: translate(err)}
	v.report.Faults, v.errs = append(v.report.Faults, f), append(v.errs, f)
}

func (v *verification) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

// goOn returns why the verification must end.
func (v *verification) goOn() error { return errors.Join(v.ctx.Err(), v.lease()) }

// done returns the report and the faults, or why the verification ended.
func (v *verification) done(err error) (VerifyReport, error) {
	if err != nil {
		return v.report, translate(err)
	}
	if len(v.errs) > 0 {
		v.report.NotChecked = append(v.report.NotChecked, notWhole)
	}
	return v.report, errors.Join(v.errs...)
}

// records runs walk, which reads every record, if nothing was wrong so far: else
// it would say the same again.
func (v *verification) records(walk func() error) error {
	if len(v.errs) > 0 {
		v.report.NotChecked = append(v.report.NotChecked, notRecords)
		return nil
	}
	return walk()
}

// catalog reads the catalog's file as it is on disk.
func (v *verification) catalog() {
	c, err := catalog.Salvage(v.db.opts.fs, v.db.dir)
	if err != nil {
		v.fault("catalog", err)
		return
	}
	v.contents(c)
}

// runsOf verifies the runs of a transaction's snapshot.
func (v *verification) runsOf(tx *Tx, m *catalog.Manifest) error {
	ids := newIDs(m, tx.dir)
	for l := range tx.view().version.levels {
		for _, r := range tx.view().version.levels[l] {
			if err := v.goOn(); err != nil {
				return err
			}
			if err := tx.enter(); err != nil {
				return err
			}
			err := v.run(r.Run, ids) // a pause waits for it
			tx.leave()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// run opens every page of one run.
func (v *verification) run(r *pager.Run, ids *knownIDs) error {
	strays := int64(0)
	st, err := r.VerifyEach(v.ctx, pager.Visitor{
		Fault: func(err error) { v.fault("run", err) },
		Entry: func(key []byte, _ pager.EntryKind, _ int64) {
			switch ids.of(key) {
			case idDropped:
				v.report.Garbage++
			case idUnknown:
				strays++
			case idLive:
			}
		},
	})
	if err != nil {
		return err
	}
	if strays > 0 {
		v.fault("run", fmt.Errorf("%w: %s: %d entries of collections that were never made", ErrCorrupt, r.Path(), strays))
	}
	v.report.Runs++
	v.report.Pages += st.Pages
	v.report.Entries += int64(st.Entries)
	v.report.Bytes += st.Bytes
	v.report.Unread += st.Unread
	return nil
}

// logOf opens every frame of an open database's log. The writer waits meanwhile,
// so that no segment is begun or released under the reading.
func (v *verification) logOf(s *session) error {
	if err := v.db.acquireWriter(v.ctx); err != nil {
		return err
	}
	defer v.db.releaseWriter()
	if err := s.writeGroup(); err != nil && !errors.Is(err, ErrFailed) {
		return err
	}
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	if s.manifest == nil {
		return s.ended()
	}
	check := newLogCheck(v, s.manifest, nil)
	st, err := s.log.VerifyEach(v.ctx, s.manifest.Floor, check.visitor())
	if err != nil {
		return fmt.Errorf("verify log: %w", err)
	}
	v.log(st, check)
	return nil
}

// log counts what a reading of the log found.
func (v *verification) log(st wal.Stats, check *logCheck) {
	v.report.Segments, v.report.Frames = st.Segments, st.Frames
	v.report.Bytes += st.Bytes
	v.report.Commit = max(check.last, check.floor)
	if st.Dropped > 0 {
		v.note("%d frames at the end of the log were never durable: a crash left them, and they are dropped", st.Dropped)
	}
}

// collectionsOf walks every record of a transaction's snapshot.
func (v *verification) collectionsOf(tx *Tx) error {
	names, err := tx.Collections()
	if err != nil {
		return err
	}
	for _, name := range names {
		c, err := tx.Collection(name)
		if err != nil {
			return err
		}
		w := &recordWalk{
			v: v, name: name, cursor: func() recordCursor { return c.Cursor(nil, nil) },
			get: c.UnsafeGet, check: tx.Check,
		}
		if err := v.collection(w); err != nil {
			return err
		}
	}
	return nil
}

// collection walks one collection.
func (v *verification) collection(w *recordWalk) error {
	n, err := w.run()
	v.report.Collections++
	v.report.Records += n
	if err == nil || ends(err) {
		return err
	}
	v.fault("records", err)
	return nil
}

// ends reports whether an error of reading says nothing of what was read: the
// key is away, the transaction or the context has ended.
func ends(err error) bool {
	for _, target := range []error{ErrKeyUnavailable, ErrClosed, ErrTxClosed, ErrErased, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
