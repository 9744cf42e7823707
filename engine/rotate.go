package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
)

// A rotation is a new DEK: at once for everything that is sealed from then on,
// and over time for what is there, which reseal.go writes anew. Nothing says on
// disk that one is under way but the envelopes: while there is more than one,
// there may be files of older epochs, and whoever opens the database goes on.

// epochsMax bounds how many DEKs a database has at once: each is a call at the
// KMS whenever it is opened.
const epochsMax = 8

// RotateKey makes a new DEK and returns when it is in use: what is committed
// from then on is sealed under it, in the log and in runs. Older files are
// sealed anew in the background, which costs reading and writing the whole
// database once; Status().Rotation says how far that is, AwaitRotation waits for
// its end. Then the older DEKs' envelopes are destroyed in the catalog; in
// backups made before they stay.
//
// Whatever stops it, the database stays whole, and the next opening goes on.
// ctx bounds the calls at the KMS.
// Errors: ErrClosed; *KeyError; ErrRotating when too many rotations have not
// ended; ErrDiskFull; ErrFailed. After an error the DEK is the one before, but if the error
// is ErrFailed it may be a new one after reopening.
func (db *DB) RotateKey(ctx context.Context) error {
	ctx, release, err := db.beginKeyOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	return db.keyOpError(db.rotate(ctx))
}

// keyOpError returns the error of a change of the data keys.
func (db *DB) keyOpError(err error) error {
	if err != nil && db.life.Err() != nil {
		return ErrClosed
	}
	return translate(db.callError(err))
}

// beginKeyOp waits until nobody else changes the data keys, and bounds what is
// done with them by a probe's time and the database's life.
func (db *DB) beginKeyOp(ctx context.Context) (_ context.Context, release func(), err error) {
	if err := db.check(); err != nil {
		return nil, nil, err
	}
	if err := db.acquireKeys(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, db.policy.ProbeTimeout)
	unlink := context.AfterFunc(db.life, cancel)
	return ctx, func() {
		unlink()
		cancel()
		db.releaseKeys()
	}, nil
}

// acquireKeys waits for the right to change which DEKs there are.
func (db *DB) acquireKeys(ctx context.Context) error {
	select {
	case db.keyOps <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a change of the data keys: %w", ctx.Err())
	case <-db.closing:
		return ErrClosed
	}
}

func (db *DB) releaseKeys() { <-db.keyOps }

// rotate begins a new epoch. Nothing is sealed under a DEK whose envelope is not
// durable and was not seen to unwrap to it.
func (db *DB) rotate(ctx context.Context) error {
	db.txMu.Lock()
	s := db.session
	db.txMu.Unlock()
	if s == nil {
		return db.unavailable()
	}
	if err := s.failure(); err != nil {
		return err
	}
	envelopes := db.currentEnvelopes()
	if len(envelopes) >= epochsMax {
		return ErrRotating
	}
	c := envelopes[len(envelopes)-1].Context()
	c.Epoch++
	dek, env, receipt, err := db.generate(ctx, c)
	if err != nil {
		return err
	}
	if err := db.check(); err != nil {
		dek.Wipe()
		return err
	}
	if err := db.cat.PutEnvelope(env); err != nil {
		dek.Wipe()
		if full := noRoom("store the new data key", err); full != nil {
			return full
		}
		return s.fail(fmt.Errorf("store the new data key: %w", err))
	}
	db.setEnvelopes(append(slices.Clone(envelopes), env))
	s.ring.Add(env.Epoch, dek)
	db.guard.Note(guard.RotationBegan, "data key "+env.Epoch.String(), receipt.RequestID)
	_, err = s.log.Rotate()
	if noRoom("begin log segment", err) != nil { // re-sealing begins with it, when there is room
		err = nil
	}
	if err != nil && s.ctx.Err() == nil {
		return s.fail(fmt.Errorf("begin log segment: %w", err))
	}
	s.startReseal()
	return nil
}

// generate has the KMS make a DEK, and unwrap it once more: what comes back
// must be the same.
func (db *DB) generate(ctx context.Context, c crypt.Context) (*crypt.Secret, *crypt.Envelope, crypt.Receipt, error) {
	dek, wrapped, receipt, err := db.key.Generate(ctx, c)
	if err != nil {
		return nil, nil, receipt, err
	}
	env, err := crypt.NewEnvelope(c, db.key.KeyID(), wrapped, dek, db.clock.Now())
	if err == nil {
		var again *crypt.Secret
		again, _, err = db.unwrap(ctx, env)
		again.Wipe()
	}
	if err != nil {
		dek.Wipe()
		return nil, nil, receipt, err
	}
	return dek, env, receipt, nil
}

// callError makes the failure of a call at the KMS a *KeyError. The guard has
// seen nothing of it: the database is in the state that it says.
func (db *DB) callError(err error) error {
	if _, ok := errors.AsType[*KeyError](err); ok {
		return err // the guard's own
	}
	err = db.keyError(err, guard.Record{})
	if ke, ok := errors.AsType[*KeyError](err); ok {
		ke.State = db.guard.Status().State
	}
	return err
}

// endRotation destroys the DEKs before an epoch, which nothing is sealed under
// any more.
func (db *DB) endRotation(s *session, epoch crypt.Epoch) error {
	if err := db.acquireKeys(s.ctx); err != nil {
		return err
	}
	defer db.releaseKeys()
	envelopes := db.currentEnvelopes()
	if newest := envelopes[len(envelopes)-1]; newest.Epoch != epoch {
		return nil // another rotation has begun: go on with that
	}
	if err := db.guard.Check(); err != nil {
		return err
	}
	if err := db.cat.RetireEnvelopes(epoch); err != nil {
		return fmt.Errorf("destroy old data keys: %w", err)
	}
	for _, env := range envelopes[:len(envelopes)-1] {
		s.ring.Drop(env.Epoch)
	}
	db.setEnvelopes(envelopes[len(envelopes)-1:])
	db.guard.Note(guard.RotationEnded, "everything is sealed under data key "+epoch.String()+"; older ones are destroyed", "")
	return nil
}

// AwaitRotation returns when nothing is sealed under older DEKs any more and
// their envelopes are destroyed: at once when no rotation is under way. It does
// not wait for the key, with which the rotation goes on. When a file of an older
// DEK cannot be removed it says so; that is tried again every few seconds, and the
// rotation ends when it succeeds.
// Errors: ErrClosed; *KeyError; ErrDiskFull; ErrFailed; the file system's; ctx's.
func (db *DB) AwaitRotation(ctx context.Context) error {
	db.txMu.Lock()
	s := db.session
	db.txMu.Unlock()
	if s == nil {
		db.txMu.Lock()
		defer db.txMu.Unlock()
		return db.unavailable()
	}
	var stuck error
	err := s.await(ctx, func() bool {
		stuck = s.stuck
		return !s.resealing || stuck != nil
	})
	return translate(errors.Join(err, stuck))
}

// PauseRotation stops the re-sealing of older files, before the next of them,
// until ResumeRotation is called or the database is opened again. The new DEK
// stays in use.
func (db *DB) PauseRotation() { db.holdRotation(true) }

// ResumeRotation goes on with what PauseRotation has stopped.
func (db *DB) ResumeRotation() { db.holdRotation(false) }

func (db *DB) holdRotation(held bool) {
	db.rotationHeld.Store(held)
	db.txMu.Lock()
	defer db.txMu.Unlock()
	if db.session != nil {
		kick(db.session.reseals)
	}
}

// RotationStatus says how far a rotation is. Sizes are in bytes.
type RotationStatus struct {
	Epoch    crypt.Epoch `json:"epoch"`               // of the DEK that seals new files
	Since    time.Time   `json:"since"`               // when that was made
	Underway bool        `json:"underway"`            // older DEKs are still there
	Files    int         `json:"files,omitempty"`     // still sealed under those, the log's included
	Bytes    int64       `json:"bytes,omitempty"`     // of these files
	Pinned   int         `json:"pinned,omitempty"`    // of them, replaced already and held by snapshots and backups
	Paused   bool        `json:"paused,omitempty"`    // by PauseRotation
	Next     time.Time   `json:"next,omitzero"`       // when Options.RotateEvery begins another
	Older    int         `json:"older_deks,omitzero"` // how many older DEKs there are
}

// rotation returns how far a rotation is; s is nil while memory is wiped.
func (db *DB) rotation(s *session) RotationStatus {
	envelopes := db.currentEnvelopes()
	if len(envelopes) == 0 {
		return RotationStatus{}
	}
	newest := envelopes[len(envelopes)-1]
	st := RotationStatus{Epoch: newest.Epoch, Since: newest.Created, Older: len(envelopes) - 1, Underway: len(envelopes) > 1}
	if db.opts.RotateEvery > 0 {
		st.Next = newest.Created.Add(db.opts.RotateEvery)
	}
	if s == nil || !st.Underway {
		return st
	}
	st.Paused = db.rotationHeld.Load()
	st.Files, st.Bytes, st.Pinned = s.sealedBefore(newest.Epoch)
	return st
}

// rotateIfDue rotates by Options.RotateEvery. The age is the wall clock's: a
// clock that was set forward rotates early, once.
func (db *DB) rotateIfDue(ctx context.Context) error {
	envelopes := db.currentEnvelopes()
	every := db.opts.RotateEvery
	if every == 0 || len(envelopes) != 1 || db.clock.Now().Sub(envelopes[0].Created) < every {
		return nil
	}
	return db.RotateKey(ctx)
}
