package catalog

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// RetireEnvelopes destroys the wrapped DEKs of the epochs before one, for good:
// nothing may be sealed under them any more. In three steps, so that a crash in
// between shows and the destruction is ended by whoever opens the catalog next:
// the envelopes are emptied, durably; the pages that held them are overwritten;
// their names are removed.
//
// On media that write elsewhere (copy-on-write, flash) the old bytes may stay
// for a while; they need the KEK to be of use. So do copies made before.
//
// Source: FORMAT.md §3, Envelope.
func (c *Catalog) RetireEnvelopes(before crypt.Epoch) error {
	limit := epochKey(before)
	old := func(tx *bbolt.Tx) (names [][]byte) {
		cur := tx.Bucket([]byte(bucketEnvelopes)).Cursor()
		for k, _ := cur.First(); k != nil && bytes.Compare(k, limit) < 0; k, _ = cur.Next() {
			names = append(names, bytes.Clone(k))
		}
		return names
	}
	err := c.update(func(tx *bbolt.Tx) error {
		for _, name := range old(tx) {
			if err := put(tx, bucketEnvelopes, string(name), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.overwriteUnused(); err != nil {
		return fmt.Errorf("%s: destroy old envelopes: %w", c.path, err)
	}
	return c.update(func(tx *bbolt.Tx) error {
		for _, name := range old(tx) {
			if err := tx.Bucket([]byte(bucketEnvelopes)).Delete(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// overwriteUnused is Overwrite of an open catalog, while nobody reads an older
// state of it.
func (c *Catalog) overwriteUnused() error {
	c.updating.Lock()
	defer c.updating.Unlock()
	c.copying.Lock()
	defer c.copying.Unlock()
	if err := c.Failed(); err != nil {
		return err
	}
	return overwriteUnused(c.files, c.path)
}

// Overwrite fills the free pages of an erased catalog with random bytes, so
// that no old version of an envelope is left in the file. No transaction may be
// open on it.
func Overwrite(files vfs.FS, dir string) error {
	return overwriteUnused(files, filepath.Join(dir, FileName))
}

// overwriteUnused overwrites the pages that the newer meta page does not lead to.
// That page is durable: the state before it, to which the other one leads, is
// not needed any more.
func overwriteUnused(files vfs.FS, path string) error {
	b, err := readFile(files, path)
	if err != nil {
		return err
	}
	s, err := scanFile(b)
	if err != nil {
		return err
	}
	f, err := files.OpenWrite(path)
	if err != nil {
		return err
	}
	noise := make([]byte, s.pageSize)
	for id := uint64(2); id < uint64(len(b)/s.pageSize) && err == nil; id++ {
		if s.seen[id] {
			continue
		}
		rand.Read(noise) // never fails: crypto/rand ends the program instead
		_, err = f.WriteAt(noise, int64(id)*int64(s.pageSize))
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
