package catalog

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// RetireEnvelopes destroys the wrapped DEKs of the epochs before one, for good:
// nothing may be sealed under them any more. In three steps, so that a crash in
// between shows and FinishRetirement ends it: the envelopes are emptied, durably;
// the pages that held them are overwritten; their names are removed.
//
// On media that write elsewhere (copy-on-write, flash) the old bytes may stay
// for a while; they need the KEK to be of use. So do copies made before.
//
// Source: FORMAT.md §3, C22.
func (c *Catalog) RetireEnvelopes(before crypt.Epoch) error {
	err := c.update(func(tx *bbolt.Tx) error {
		return eachEnvelope(tx, func(name, _ []byte) error {
			if bytes.Compare(name, epochKey(before)) >= 0 {
				return nil
			}
			return put(tx, bucketEnvelopes, string(name), nil)
		})
	})
	if err != nil {
		return err
	}
	return c.FinishRetirement()
}

// FinishRetirement destroys what is left of envelopes that are empty.
func (c *Catalog) FinishRetirement() error {
	if err := c.overwriteUnused(); err != nil {
		return fmt.Errorf("%s: destroy old envelopes: %w", c.path, err)
	}
	return c.update(func(tx *bbolt.Tx) error {
		return eachEnvelope(tx, func(name, value []byte) error {
			if len(value) > 0 {
				return nil
			}
			return tx.Bucket([]byte(bucketEnvelopes)).Delete(name)
		})
	})
}

// eachEnvelope calls fn, which may change the bucket, for every record of it.
func eachEnvelope(tx *bbolt.Tx, fn func(name, value []byte) error) error {
	records := map[string][]byte{}
	err := tx.Bucket([]byte(bucketEnvelopes)).ForEach(func(k, v []byte) error {
		r := record{bucket: bucketEnvelopes, key: string(k), value: string(v)}
		value, err := r.unframe()
		records[r.key] = value
		return err
	})
	for _, name := range slices.Sorted(maps.Keys(records)) {
		if err == nil {
			err = fn([]byte(name), records[name])
		}
	}
	return err
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
