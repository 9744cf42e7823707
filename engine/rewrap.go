package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
)

// Rewrap has the KMS wrap the DEKs anew with the newest material of the
// customer's key. They and the data stay as they are. The database does this by
// itself within hours when the KMS names new material.
// Errors: ErrClosed; *KeyError; crypt.ErrNotSupported; ErrDiskFull; ErrFailed. Envelopes that
// were not replaced go on working.
func (db *DB) Rewrap(ctx context.Context) error {
	ctx, release, err := db.beginKeyOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	return db.keyOpError(db.rewrap(ctx))
}

// rewrap replaces every envelope once the new one was seen to unwrap to the same
// DEK.
func (db *DB) rewrap(ctx context.Context) error {
	var receipt crypt.Receipt
	for _, env := range db.currentEnvelopes() {
		wrapped, r, err := db.key.Rewrap(ctx, env.Wrapped, env.Context())
		if err != nil {
			return err
		}
		next := *env
		next.Wrapped = wrapped
		dek, _, err := db.unwrap(ctx, &next)
		if err != nil {
			return fmt.Errorf("the rewrapped key does not unwrap: %w", err)
		}
		dek.Wipe()
		if err := db.cat.PutEnvelope(&next); err != nil {
			return err
		}
		envelopes := slices.Clone(db.currentEnvelopes())
		envelopes[slices.Index(envelopes, env)] = &next
		db.setEnvelopes(envelopes)
		receipt = r
	}
	db.guard.Note(guard.Rewrapped, "data keys wrapped anew by the KEK", receipt.RequestID)
	return nil
}

// RememberKeyURI stores the URI of the provider that the database was opened with
// as the one by which it is opened next, where nobody gives another: to add
// replicas of the key, or when its role or endpoint changes. The key itself is for
// life; an opening with another is refused.
// Errors: ErrClosed; *KeyError; ErrDiskFull; ErrFailed.
func (db *DB) RememberKeyURI(ctx context.Context) error {
	ctx, release, err := db.beginKeyOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := db.probe(ctx); err != nil { // this is the provider that must reach the key
		return db.keyOpError(err)
	}
	record := db.clear // it is what the database was opened with, and stays so
	record.KeyURI, record.Development = db.key.URI(), db.key.Development()
	return db.keyOpError(db.cat.PutClear(record))
}

// materialInterval is how often the KMS is asked which material the KEK has now:
// a call of a kind of its own, for something that happens once a year.
const materialInterval = 6 * time.Hour

// maintainKeys does what is due after a good probe: a rewrap when the KEK has new
// material, a rotation by Options.RotateEvery. Without either the database goes
// on as it is, and it is tried again later. It runs once at a time.
func (db *DB) maintainKeys(crypt.Receipt) {
	if err := db.rewrapIfNew(db.life); err != nil && db.life.Err() == nil {
		db.log.Warn("look for new key material, and rewrap", "err", err)
	}
	if err := db.rotateIfDue(db.life); err != nil && db.life.Err() == nil {
		db.log.Warn("scheduled rotation of the data key", "err", err)
	}
}

// rewrapIfNew rewraps when the KEK has other material than the one that wrapped
// the newest DEK. The answers of probes do not tell: a KMS unwraps with the
// material that wrapped, and names that one.
func (db *DB) rewrapIfNew(ctx context.Context) error {
	now := db.clock.Monotonic()
	if db.materialAsked != 0 && now-db.materialAsked < materialInterval {
		return nil
	}
	db.materialAsked = now
	have := db.newestEnvelope().Wrapped.MaterialID
	if have == "" {
		return nil // a provider that names none
	}
	ctx, cancel := context.WithTimeout(ctx, db.policy.ProbeTimeout)
	defer cancel()
	newest, _, err := db.drill.CurrentMaterial(ctx)
	if err != nil || newest == "" || newest == have {
		return err
	}
	return db.Rewrap(ctx)
}
