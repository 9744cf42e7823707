package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// erase destroys the database: the guard calls it when the policy says so and
// the KMS denied the key over the whole deadline. The tombstone is durable
// first, so that a crash in the middle ends erased at the next opening.
func (db *DB) erase(record guard.Record) error {
	if err := db.endSession(ErrErased, func(*session) error { return nil }); err != nil {
		return err
	}
	t := catalog.Tombstone{
		Erased: db.clock.Now(), FirstDenied: record.FirstDenied, DeniedFor: record.DeniedFor,
		Reason: record.Message, FirstID: record.FirstDeniedID, LastID: record.RequestID,
	}
	if err := db.cat.Erase(t); err != nil {
		return err
	}
	return db.destroy()
}

// destroy overwrites and removes runs, log and old pages of the catalog, and
// removes temporary files, whose keys are gone with the transactions.
func (db *DB) destroy() error {
	db.removeSpills()
	for _, sub := range []string{walDir, runDir} {
		dir := filepath.Join(db.dir, sub)
		names, err := db.opts.fs.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, name := range names {
			if err := destroyFile(db.opts.fs, filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("erase: %w", err)
			}
		}
		if err := db.opts.fs.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return catalog.Overwrite(db.opts.fs, db.dir)
}

// destroyFile overwrites a file with random bytes and unlinks it. On media that
// write elsewhere (copy-on-write, flash) the old bytes may stay for a while;
// they are ciphertext whose wrapped key is gone.
func destroyFile(files vfs.FS, path string) error {
	f, err := files.OpenWrite(path)
	if err != nil {
		return err
	}
	size, err := f.Size()
	noise := make([]byte, 1<<20)
	for off := int64(0); off < size && err == nil; off += int64(len(noise)) {
		rand.Read(noise) // never fails: crypto/rand ends the program instead
		_, err = f.WriteAt(noise[:min(int64(len(noise)), size-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return files.Remove(path)
}

// finishErasure ends what a crash may have interrupted, and says what happened.
func (db *DB) finishErasure(t *catalog.Tombstone) error {
	if err := db.cat.Erase(*t); err != nil {
		return err
	}
	if err := db.destroy(); err != nil {
		return err
	}
	return &erasedError{dir: db.dir, t: t}
}
