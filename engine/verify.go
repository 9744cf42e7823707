package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// VerifyReport says what a verification read, and what it did not check.
type VerifyReport struct {
	Runs        int64    `json:"runs"`
	Pages       int64    `json:"pages"`
	Entries     int64    `json:"entries"` // in runs, older versions and tombstones included
	Segments    int64    `json:"segments"`
	Frames      int64    `json:"frames"`
	Records     int64    `json:"records"` // that a reader sees
	Collections int64    `json:"collections"`
	Journal     int64    `json:"journal_entries"`
	Bytes       int64    `json:"bytes"`
	NotChecked  []string `json:"not_checked"`
}

// Verify opens every page and every frame, and walks every collection. It
// returns the faults found, joined. It may run beside reads and writes.
func (db *DB) Verify(ctx context.Context) error {
	_, err := db.VerifyReport(ctx)
	return err
}

// VerifyReport is Verify that also says what was read.
func (db *DB) VerifyReport(ctx context.Context) (VerifyReport, error) {
	report := VerifyReport{NotChecked: []string{
		"whether this is the newest state: a whole directory that was put back to an older one is genuine",
		"SQL indexes against their tables",
	}}
	tx, err := db.Begin(false)
	if err != nil {
		return report, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to report
	faults := []error{db.verifyCatalog(&report), tx.verifyRuns(ctx, &report), db.verifyLog(ctx, tx.s, &report)}
	if err := errors.Join(faults...); err != nil {
		return report, translate(err) // a walk over damaged pages would say the same again
	}
	return report, tx.verifyCollections(ctx, &report)
}

func (db *DB) verifyCatalog(report *VerifyReport) error {
	c, err := catalog.Read(db.opts.fs, db.dir)
	if err != nil {
		return fmt.Errorf("verify catalog: %w", err)
	}
	report.Journal += int64(len(c.Journal))
	report.Bytes += c.Size
	return nil
}

// verifyRuns opens every page of the snapshot's runs and checks that the levels
// are in order.
func (tx *Tx) verifyRuns(ctx context.Context, report *VerifyReport) error {
	if err := tx.enter(); err != nil {
		return err
	}
	defer tx.leave() // a pause waits, for one run at most: see the guard's check below
	var faults []error
	v := tx.view.version
	for l := range v.levels {
		for i, r := range v.levels[l] {
			if err := errors.Join(ctx.Err(), tx.db.guard.Check()); err != nil {
				return err
			}
			st, err := r.Verify(ctx, nil)
			if err != nil {
				faults = append(faults, fmt.Errorf("verify run: %w", err))
				continue
			}
			report.Runs++
			report.Pages += st.Pages
			report.Entries += int64(st.Entries)
			report.Bytes += st.Bytes
			if l > 0 && i > 0 && bytes.Compare(v.levels[l][i-1].meta.Last, r.meta.First) >= 0 {
				faults = append(faults, fmt.Errorf("%w: runs %d and %d of level %d overlap", ErrCorrupt, v.levels[l][i-1].meta.ID, r.meta.ID, l))
			}
		}
	}
	return errors.Join(faults...)
}

// verifyLog opens every frame. The writer waits meanwhile, so that no segment
// is begun or released under the reading.
func (db *DB) verifyLog(ctx context.Context, s *session, report *VerifyReport) error {
	if err := db.acquireWriter(ctx); err != nil {
		return err
	}
	defer db.releaseWriter()
	if err := s.writeGroup(true); err != nil && !errors.Is(err, ErrFailed) {
		return err
	}
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	if s.manifest == nil {
		return db.check()
	}
	st, err := s.log.Verify(ctx, s.manifest.Floor)
	if err != nil {
		return fmt.Errorf("verify log: %w", err)
	}
	report.Segments, report.Frames = st.Segments, st.Frames
	report.Bytes += st.Bytes
	return nil
}

// verifyCollections walks every record that a reader sees, in both directions
// at once: the counts must agree, and keys must ascend.
func (tx *Tx) verifyCollections(ctx context.Context, report *VerifyReport) error {
	names, err := tx.Collections()
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range names {
		c, err := tx.Collection(name)
		if err != nil {
			return err
		}
		n, err := c.verify(ctx)
		if err != nil {
			faults = append(faults, fmt.Errorf("verify collection: %w", err))
		}
		report.Collections++
		report.Records += n
	}
	return errors.Join(faults...)
}

func (c *Collection) verify(ctx context.Context) (n int64, err error) {
	cur := c.Cursor(nil, nil)
	defer func() {
		if cerr := cur.Close(); err == nil {
			err = cerr
		}
	}()
	var last []byte
	for cur.Next() {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return n, ctx.Err()
		}
		key := cur.UnsafeKey()
		if n > 0 && bytes.Compare(last, key) >= 0 {
			return n, fmt.Errorf("%w: keys are not in order", ErrCorrupt)
		}
		if cur.UnsafeValue() == nil {
			return n, cur.Err()
		}
		last = append(last[:0], key...)
		n++
	}
	return n, cur.Err()
}
