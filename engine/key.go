package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
)

// This file is the life of the key in an open database: unwrapped at opening,
// probed by the guard, wiped on pause, unwrapped again on return.

func newID() (id crypt.ID) {
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	return id
}

// newOpening makes the number of an opening, which is never 0.
func newOpening() uint64 {
	id := newID()
	return binary.BigEndian.Uint64(id[:]) | 1
}

// unwrapAll has the KMS unwrap every envelope, and checks that the DEKs that
// come back are the ones that sealed this database.
func (db *DB) unwrapAll(ctx context.Context) (*crypt.KeyRing, error) {
	ctx, cancel := context.WithTimeout(ctx, db.policy.ProbeTimeout)
	defer cancel()
	ring := crypt.NewKeyRing()
	for _, env := range db.currentEnvelopes() {
		dek, _, err := db.unwrap(ctx, env)
		if err != nil {
			ring.Wipe()
			return nil, err
		}
		ring.Add(env.Epoch, dek)
	}
	return ring, nil
}

func (db *DB) unwrap(ctx context.Context, env *crypt.Envelope) (*crypt.Secret, crypt.Receipt, error) {
	dek, receipt, err := db.key.Unwrap(ctx, env.Wrapped, env.Context())
	if err != nil {
		return nil, receipt, err
	}
	if err := env.Verify(dek); err != nil {
		dek.Wipe()
		return nil, receipt, err
	}
	return dek, receipt, nil
}

func (db *DB) currentEnvelopes() []*crypt.Envelope {
	db.envMu.Lock()
	defer db.envMu.Unlock()
	return db.envelopes
}

func (db *DB) setEnvelopes(envelopes []*crypt.Envelope) {
	db.envMu.Lock()
	defer db.envMu.Unlock()
	db.envelopes = envelopes
}

// compareSealed compares the clear records with their sealed copies.
func (db *DB) compareSealed(m *catalog.Manifest) error {
	if m.KeyID != db.clear.KeyID || !bytes.Equal(m.Policy, db.clear.Policy) {
		return fmt.Errorf("%w: %s: somebody edited the policy or the key id", ErrCorrupt, catalog.FileName)
	}
	return nil
}

// keyError makes the provider's failure a *KeyError.
func (db *DB) keyError(err error, record guard.Record) error {
	var pe *crypt.ProviderError
	if !errors.As(err, &pe) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	out := &KeyError{
		State: guard.Suspended, Class: crypt.ClassOf(err), KeyID: db.key.KeyID(),
		Since: record.UnavailableSince, Message: record.Message, RequestID: record.RequestID, Err: err,
	}
	if out.Since.IsZero() {
		out.Since = db.clock.Now()
	}
	if out.Message == "" {
		out.Message = providerMessage(err)
	}
	return out
}

func providerMessage(err error) string {
	var pe *crypt.ProviderError
	if !errors.As(err, &pe) {
		return err.Error()
	}
	switch {
	case pe.Detail != "" && pe.Code != "":
		return pe.Code + ": " + pe.Detail
	case pe.Detail != "":
		return pe.Detail
	case pe.Code != "":
		return pe.Code
	default:
		return pe.Error()
	}
}

// refuse turns an opening away because of its key, and notes since when the key
// is unavailable, so that the deadline goes on across restarts.
func (db *DB) refuse(cause error, record guard.Record) error {
	class := crypt.ClassOf(cause)
	if class == crypt.ClassTampered {
		return fmt.Errorf("%w: %w", ErrCorrupt, cause) // the record is evidence: it stays
	}
	before := record
	if record.UnavailableSince.IsZero() {
		record.UnavailableSince = db.clock.Now()
	}
	if pe, ok := errors.AsType[*crypt.ProviderError](cause); ok {
		record.RequestID = pe.RequestID
	}
	if (class == crypt.ClassDenied || record.Class == crypt.ClassDenied) && record.FirstDenied.IsZero() {
		record.FirstDenied, record.FirstDeniedID = db.clock.Now(), record.RequestID
	}
	if record.State == guard.Active {
		record.State = guard.Suspended
	}
	record.Class, record.Message = class, providerMessage(cause)
	if record.State != before.State || record.Class != before.Class {
		record.Sequence++
		db.report(before.State, record)
	}
	if err := db.saveRecord(record); err != nil {
		return errors.Join(db.keyError(cause, record), err)
	}
	return db.keyError(cause, record)
}

// report tells of a transition that an opening found, as the guard does of others.
func (db *DB) report(from State, record guard.Record) {
	e := Event{
		Sequence: record.Sequence, Time: db.clock.Now().Round(0).UTC(), From: from, To: record.State,
		Class: record.Class, Message: record.Message, RequestID: record.RequestID,
	}
	db.log.Log(context.Background(), e.Level(), "key state", "from", e.From.String(), "to", e.To.String(),
		"class", e.Class.String(), "message", e.Message, "request_id", e.RequestID)
	db.onEvent(e)
}

func (db *DB) saveRecord(record guard.Record) error {
	b, err := record.MarshalBinary()
	if err != nil {
		return err
	}
	return db.cat.PutGuard(b)
}

// guardConfig connects the guard with the database.
func (db *DB) guardConfig() guard.Config {
	return guard.Config{
		Policy: db.policy, KeyID: db.clear.KeyID, Logger: db.log,
		Scheduler: db.sched, KEK: db.key.URI(),
		Probe: db.probe, Pause: db.pause, Resume: db.resume, Erase: db.erase,
		Save: db.saveRecord, OnEvent: db.onEvent, Good: db.maintainKeys,
	}
}

// probe unwraps the newest envelope at the KMS. Verify compares the DEK with
// the envelope's check value in constant time.
func (db *DB) probe(ctx context.Context) (crypt.Receipt, error) {
	dek, receipt, err := db.unwrap(ctx, db.newestEnvelope())
	dek.Wipe()
	return receipt, err
}

// onEvent wakes whoever waits for the key or for a worker that does, writes the
// journal, and tells the program.
func (db *DB) onEvent(e Event) {
	db.txMu.Lock()
	if e.To != guard.Active && db.gone != nil {
		close(db.gone)
		db.gone = nil
	}
	if s := db.session; s != nil {
		s.wakeAll()
		if e.To == guard.Active {
			kick(s.flushes)
			kick(s.merges)
			kick(s.reseals)
		}
	}
	db.txMu.Unlock()
	if err := db.appendJournal(e); err != nil {
		db.log.Error("append to the journal", "err", err)
	}
	if db.opts.OnEvent != nil {
		db.opts.OnEvent(e)
	}
}

// appendJournal adds a transition to the hash-chained journal in the catalog.
func (db *DB) appendJournal(e Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return db.cat.AppendJournal(b)
}

// lastEvent returns the number of the last event that the record or the journal
// knows: a crash may keep the journal's entry without the record that counts it.
func lastEvent(journal []catalog.Entry, recorded uint64) (uint64, error) {
	if len(journal) == 0 {
		return recorded, nil
	}
	last := journal[len(journal)-1]
	var e Event
	if err := json.Unmarshal(last.Data, &e); err != nil {
		return 0, fmt.Errorf("%w: journal entry %d: %w", ErrCorrupt, last.Sequence, err)
	}
	return max(e.Sequence, recorded), nil
}

// Journal returns every transition of the key that was recorded, oldest first,
// to lay beside the KMS's own log. A chain that does not hold is ErrCorrupt.
func (db *DB) Journal() ([]Event, error) {
	entries, err := db.cat.Journal()
	if err != nil {
		return nil, translate(err)
	}
	out := make([]Event, len(entries))
	for i, e := range entries {
		if err := json.Unmarshal(e.Data, &out[i]); err != nil {
			return nil, fmt.Errorf("%w: journal entry %d: %w", ErrCorrupt, e.Sequence, err)
		}
	}
	return out, nil
}

func (db *DB) newestEnvelope() *crypt.Envelope {
	envelopes := db.currentEnvelopes()
	return envelopes[len(envelopes)-1]
}

// wiped says what a wipe found and wiped.
type wiped struct {
	At            time.Time
	Transactions  int   // open ones, ended
	Runs          int   // whose file keys were wiped
	MemtableBytes int64 // of recent writes
	CacheBytes    int64 // of decoded pages
	HeapErr       error // of the last scrub of the Go heap
	Scrubs        int   // of the Go heap
}

// pause wipes everything that the key made readable.
func (db *DB) pause() {
	err := db.endSession(db.pausedError(), func(*session) error { return nil })
	db.rescrubs.Go(db.scrubLater)
	if err == nil && db.opts.Sync == SyncInterval { // only now: a disk that hangs must not hold up the wipe
		err = wal.SyncNewest(db.walConfig(nil))
	}
	if err != nil {
		db.log.Error("pause", "err", err)
	}
}

// pausedError is what transactions return that were open at the pause.
func (db *DB) pausedError() error {
	err := db.guard.Check()
	if err == nil { // the guard calls pause only when the key is away
		err = &KeyError{State: Paused, KeyID: db.clear.KeyID}
	}
	return err
}

// endSession ends every transaction with why, lets last finish the session's
// work, and wipes it and the Go heap.
func (db *DB) endSession(why error, last func(s *session) error) error {
	w, err := db.dropSession(why, last)
	db.scrub(w)
	return err
}

// dropSession is endSession before the scrub. Without a session it only wipes
// what is left.
func (db *DB) dropSession(why error, last func(s *session) error) (*wiped, error) {
	w := &wiped{At: db.clock.Now()}
	db.txMu.Lock()
	s := db.session
	db.session, db.ending = nil, s
	var open []*Tx
	for tx := db.txs; tx != nil; tx = tx.next {
		open = append(open, tx)
	}
	wipes := db.wipes
	db.txMu.Unlock()
	var err error
	if s != nil {
		w.Transactions = len(open)
		s.interrupt()
		for _, tx := range open {
			tx.kill(why)
		}
		s.endBulks(why)
		s.stop()
		db.keepFailure(s)
		err = errors.Join(last(s), db.remember(s))
		cached := db.cache.Stats().Bytes
		sw := s.wipe()
		w.Runs, w.MemtableBytes, w.CacheBytes = sw.Runs, sw.MemtableBytes, cached-db.cache.Stats().Bytes
	}
	db.freeSpares()
	for _, fn := range wipes {
		fn()
	}
	return w, err
}

// keepFailure notes why writes are refused, for the session after a pause.
func (db *DB) keepFailure(s *session) {
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	if failed == nil && db.cat.Failed() != nil {
		failed = translate(db.cat.Failed())
	}
	db.txMu.Lock()
	defer db.txMu.Unlock()
	if db.failed == nil {
		db.failed = failed
	}
}

// kill ends a transaction from outside, once its operation under way is done.
func (tx *Tx) kill(why error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.err == nil {
		tx.end(why)
	}
}

// resume brings a paused database back: the guard calls it when the key answers.
func (db *DB) resume(ctx context.Context) error {
	if err := db.acquireKeys(ctx); err != nil { // no DEK comes or goes between unwrapping and the session
		return err
	}
	defer db.releaseKeys()
	if err := db.admitFile(); err != nil {
		return translate(err)
	}
	ring, err := db.unwrapAll(ctx)
	if err != nil {
		return err
	}
	s, err := openSession(db, ring)
	if err != nil {
		_ = db.opts.scrub() // rows were read until then
		return translate(err)
	}
	db.txMu.Lock()
	select {
	case <-db.closing:
		db.txMu.Unlock()
		s.wipe() // Close scrubs the heap once this has returned
		return ErrClosed
	default:
	}
	db.session = s
	db.txMu.Unlock()
	s.start()
	return nil
}
