// Package catalog is the one mutable file of a database: a bbolt file with what
// must be known before a key is there, the wrapped DEKs, the guard's record and
// journal, and the sealed manifest.
//
// bbolt gives the atomic switch and the lock. It does not checksum its pages, so
// every value carries a checksum over its place and its bytes, and the whole
// file is read and checked before bbolt is let near it.
package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// FileName is the catalog's name in a database's directory.
const FileName = "catalog.bolt"

// TempName is the name of a catalog that is not finished.
const TempName = "catalog.tmp"

// Buckets and keys. They are on disk.
const (
	bucketMain      = "byokdb"
	bucketEnvelopes = "envelopes"
	bucketJournal   = "journal"

	keyClear     = "clear"
	keyGuard     = "guard"
	keyManifest  = "manifest"
	keyTombstone = "tombstone"
)

// Catalog is an open catalog. It holds the file's lock. Safe for concurrent use.
type Catalog struct {
	files    vfs.FS
	db       *bbolt.DB
	path     string
	contents Contents

	updating sync.Mutex   // held across a commit
	copying  sync.RWMutex // held, for reading, while a state that may be an older one is copied

	mu       sync.Mutex
	manifest []byte // the current one, sealed
	failed   error  // sticky: why updates are refused
}

// Contents are a catalog's records, each checked.
type Contents struct {
	Clear     Clear
	Envelopes []*crypt.Envelope // by epoch; none once erased
	Retiring  bool              // the destruction of envelopes was begun and did not end
	Guard     []byte            // guard.Record's encoding
	Manifest  []byte            // sealed; none once erased
	Tombstone *Tombstone        // nil unless erased
	Journal   []Entry
	Size      int64 // of the file, in bytes
}

// frame returns a value as it is stored: with a checksum over where it belongs
// and what it is.
func frame(bucket, key string, value []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(value), checksum(bucket, key, value))
}

func checksum(bucket, key string, value []byte) uint32 {
	sum := crc32.Checksum([]byte(bucket+"\x00"+key+"\x00"), castagnoli)
	return crc32.Update(sum, castagnoli, value)
}

// unframe returns the value of a stored record.
func (r *record) unframe() ([]byte, error) {
	n := len(r.value) - 4
	if n < 0 || checksum(r.bucket, r.key, []byte(r.value[:n])) != binary.BigEndian.Uint32([]byte(r.value[n:])) {
		return nil, fmt.Errorf("record %q in %q: %w", r.key, r.bucket, ErrCorrupt)
	}
	return []byte(r.value[:n]), nil
}

// Create makes a catalog in dir, which must exist and have none. A crash leaves
// either nothing under its name or all of it.
func Create(files vfs.FS, dir string, c Clear, env *crypt.Envelope, manifest, guardRecord []byte) error {
	path, temp := filepath.Join(dir, FileName), filepath.Join(dir, TempName)
	if err := files.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create catalog: %w", err)
	}
	var db *bbolt.DB
	err := files.Update(temp, func() (err error) {
		db, err = openBolt(files, temp, false)
		return err
	})
	if err != nil {
		if db != nil {
			_ = db.Close() // the first error is the one to report
		}
		return fmt.Errorf("create catalog: %w", err)
	}
	cat := &Catalog{files: files, db: db, path: temp}
	err = cat.update(func(tx *bbolt.Tx) error {
		for _, b := range []string{bucketMain, bucketEnvelopes, bucketJournal} {
			if _, err := tx.CreateBucket([]byte(b)); err != nil {
				return err
			}
		}
		return errors.Join(
			put(tx, bucketMain, keyClear, c.marshal()),
			put(tx, bucketMain, keyGuard, guardRecord),
			put(tx, bucketMain, keyManifest, manifest),
			putEnvelope(tx, env),
		)
	})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = files.Rename(temp, path)
	}
	if err == nil {
		err = files.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("create catalog: %w", err)
	}
	return nil
}

func openBolt(files vfs.FS, path string, readOnly bool) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{
		OpenFile:       files.OSFile,
		Timeout:        time.Nanosecond, // one attempt: the other holder keeps it
		NoFreelistSync: true,            // a damaged free list would let live pages be overwritten
		FreelistType:   bbolt.FreelistMapType,
		ReadOnly:       readOnly,
		// No InitialMmapSize: the file grows to the size of the mapping, and no
		// transaction here is open for long enough to be in a remapping's way.
	})
}

// Read returns a catalog's contents without taking its lock; another process
// may have it open. Errors: ErrNotExist, ErrNotDatabase, ErrTooNew, ErrCorrupt.
func Read(files vfs.FS, dir string) (*Contents, error) {
	_, c, err := ReadFile(files, dir)
	return c, err
}

func read(files vfs.FS, path string) (*Contents, error) {
	b, err := readFile(files, path)
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Parse checks the bytes of a whole catalog file and returns its contents.
// Errors: ErrNotDatabase, ErrTooNew, ErrCorrupt.
func Parse(b []byte) (*Contents, error) {
	s, err := scanFile(b)
	if err != nil {
		return nil, err
	}
	c := &Contents{Size: int64(len(b))}
	found := map[string]bool{}
	for i := range s.records {
		if err := c.take(&s.records[i], found); err != nil {
			return nil, err
		}
	}
	if err := c.complete(found); err != nil {
		return nil, err
	}
	return c, checkChain(c.Journal)
}

func readFile(files vfs.FS, path string) (b []byte, err error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > fileSizeMax {
		return nil, fmt.Errorf("%d bytes: %w", size, ErrNotDatabase)
	}
	b = make([]byte, size)
	if len(b) == 0 {
		return nil, fmt.Errorf("an empty file: %w", ErrNotDatabase)
	}
	_, err = f.ReadAt(b, 0)
	return b, err
}

// fileSizeMax bounds what is read as a catalog, in bytes.
const fileSizeMax = 1 << 30

// take sorts one record into the contents.
func (c *Contents) take(r *record, found map[string]bool) error {
	v, err := r.unframe()
	if err != nil {
		return err
	}
	switch r.bucket {
	case bucketMain:
		found[r.key] = true
		switch r.key {
		case keyClear:
			return c.Clear.unmarshal(v)
		case keyGuard:
			c.Guard = v
		case keyManifest:
			c.Manifest = v
		case keyTombstone:
			c.Tombstone = &Tombstone{}
			return c.Tombstone.unmarshal(v)
		default:
			return fmt.Errorf("unknown record %q: %w", r.key, ErrCorrupt)
		}
	case bucketEnvelopes:
		if len(v) == 0 && len(r.key) == epochKeySize {
			c.Retiring = true
			return nil
		}
		env := &crypt.Envelope{}
		if err := env.UnmarshalBinary(v); errors.Is(err, crypt.ErrTooNew) {
			return fmt.Errorf("%w: %w", ErrTooNew, err)
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if string(epochKey(env.Epoch)) != r.key {
			return fmt.Errorf("envelope of epoch %s under the name of another: %w", env.Epoch, ErrCorrupt)
		}
		c.Envelopes = append(c.Envelopes, env)
	case bucketJournal:
		var e Entry
		if err := e.unmarshal(r.key, v); err != nil {
			return err
		}
		c.Journal = append(c.Journal, e)
	default:
		return fmt.Errorf("unknown bucket: %w", ErrNotDatabase)
	}
	return nil
}

// complete checks that what must be there is there and belongs together.
func (c *Contents) complete(found map[string]bool) error {
	switch {
	case len(found) == 0:
		return fmt.Errorf("a bbolt file of something else: %w", ErrNotDatabase)
	case !found[keyClear] || !found[keyGuard]:
		return fmt.Errorf("a record is missing: %w", ErrCorrupt)
	case c.Tombstone == nil && (!found[keyManifest] || len(c.Envelopes) == 0):
		return fmt.Errorf("the manifest or the envelope is missing: %w", ErrCorrupt)
	}
	for _, env := range c.Envelopes {
		if env.Database != c.Clear.Database || env.KeyID != c.Clear.KeyID {
			return fmt.Errorf("envelope of another database or key: %w", ErrCorrupt)
		}
	}
	return nil
}

// Open opens the catalog in dir and takes its lock. Errors: ErrInUse at once
// when another holds it, and those of Read.
func Open(files vfs.FS, dir string) (*Catalog, error) {
	path := filepath.Join(dir, FileName)
	if _, err := read(files, path); err != nil {
		// Whoever holds the lock may be writing: a torn reading is no damage then.
		if errors.Is(err, ErrCorrupt) && inUse(files, path) {
			err = ErrInUse
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db, err := openBolt(files, path, false)
	if errors.Is(err, berrors.ErrTimeout) {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c, err := read(files, path) // again, under the lock
	if err != nil {
		_ = db.Close() // the first error is the one to report
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := settle(files, path); err != nil {
		_ = db.Close() // the first error is the one to report
		return nil, fmt.Errorf("%s: write the current meta page again: %w", path, err)
	}
	return &Catalog{files: files, db: db, path: path, contents: *c, manifest: c.Manifest}, nil
}

// settle writes the current meta page once more, as it reads, and syncs it. An
// earlier process may have met a failed sync of it: then the disk has the state
// before, the system's cache has this one and takes it for written, and the next
// commit, which trusts it, would overwrite pages of the only state that is
// durable. Other pages were synced before the meta page was written.
func settle(files vfs.FS, path string) error {
	b, err := readFile(files, path)
	if err != nil {
		return err
	}
	s := scan{file: b}
	if _, err := s.metas(); err != nil {
		return err
	}
	f, err := files.OpenWrite(path)
	if err != nil {
		return err
	}
	at := int(s.txid%2) * s.pageSize // where bbolt writes the meta page of that commit
	_, err = f.WriteAt(b[at:at+s.pageSize], int64(at))
	if err == nil {
		err = f.SyncData()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// inUse reports whether another holds the lock. It maps the file, no more.
func inUse(files vfs.FS, path string) (busy bool) {
	defer func() {
		if recover() != nil { // bbolt on a damaged file
			busy = false
		}
	}()
	db, err := openBolt(files, path, true)
	if err == nil {
		_ = db.Close() // nothing was written
	}
	return errors.Is(err, berrors.ErrTimeout)
}

// Contents returns what the catalog held when it was opened.
func (c *Catalog) Contents() *Contents { return &c.contents }

// Close releases the lock.
func (c *Catalog) Close() error { return c.db.Close() }

// update commits one change, durably. A failure is sticky unless it is fn's own.
//
// The reason is bbolt's: when the write or the sync of the meta page fails,
// Commit rolls its memory back to what the mapped file shows, and that is the
// new meta page if the write reached the system's cache. So the state that was
// reported as failed may be the current one, in this process, while the disk
// has the one before. The next commit would then reuse pages which only the
// newer state has freed, and overwrite the older meta page, the one that is
// durable. After a crash there would be none that is whole. Nothing of it shows
// in the error; failures before the meta page, which are harmless, look the same.
//
// Source: go.etcd.io/bbolt, tx.go: Commit, writeMeta, rollback.
func (c *Catalog) update(fn func(tx *bbolt.Tx) error) error {
	c.updating.Lock()
	defer c.updating.Unlock()
	if err := c.Failed(); err != nil {
		return err
	}
	var own error
	err := c.files.Update(c.path, func() error {
		return c.db.Update(func(tx *bbolt.Tx) error {
			own = fn(tx)
			return own
		})
	})
	switch {
	case err == nil:
		return nil
	case own != nil:
		return fmt.Errorf("%s: %w", c.path, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = fmt.Errorf("%s: %w: %w", c.path, ErrFailed, err)
	return c.failed
}

// roomMin is how much room in bytes a disk must have for an update that can wait,
// besides twice what it stores: bbolt writes the pages that change, their parents
// and its list of free pages anew.
const roomMin = 64 << 10

// store is update of so many bytes that can wait for room on the disk. Errors:
// ErrNoRoom too, with the system's, and nothing has changed.
func (c *Catalog) store(size int, fn func(tx *bbolt.Tx) error) error {
	if err := c.Failed(); err != nil {
		return err
	}
	if err := vfs.CheckRoom(c.files, filepath.Dir(c.path), roomMin+2*int64(size)); err != nil {
		return fmt.Errorf("%s: %w: %w", c.path, ErrNoRoom, err)
	}
	return c.update(fn)
}

// Failed returns why updates are refused, nil while they are not: an earlier
// one failed, and it is undecided whether it was made. Contents, Manifest and
// Close go on; opening the catalog again reads what is there.
func (c *Catalog) Failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func put(tx *bbolt.Tx, bucket, key string, value []byte) error {
	return tx.Bucket([]byte(bucket)).Put([]byte(key), frame(bucket, key, value))
}

func putEnvelope(tx *bbolt.Tx, env *crypt.Envelope) error {
	b, err := env.MarshalBinary()
	if err != nil {
		return err
	}
	return put(tx, bucketEnvelopes, string(epochKey(env.Epoch)), b)
}

const epochKeySize = 4

func epochKey(e crypt.Epoch) []byte { return binary.BigEndian.AppendUint32(nil, uint32(e)) }

// PutManifest makes a sealed manifest the current one, durably. Errors: ErrNoRoom;
// ErrFailed.
func (c *Catalog) PutManifest(sealed []byte) error {
	if err := c.store(len(sealed), func(tx *bbolt.Tx) error { return put(tx, bucketMain, keyManifest, sealed) }); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manifest = sealed
	return nil
}

// Manifest returns the current manifest, sealed.
func (c *Catalog) Manifest() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.manifest
}

// PutEnvelope stores a wrapped DEK, durably, over one of the same epoch. Errors:
// ErrNoRoom; ErrFailed.
func (c *Catalog) PutEnvelope(env *crypt.Envelope) error {
	return c.store(0, func(tx *bbolt.Tx) error { return putEnvelope(tx, env) })
}

// PutClear replaces the clear record, durably. Contents go on showing the one of
// the opening. Errors: ErrNoRoom; ErrFailed.
func (c *Catalog) PutClear(record Clear) error {
	return c.store(0, func(tx *bbolt.Tx) error { return put(tx, bucketMain, keyClear, record.marshal()) })
}

// PutGuard stores the guard's record, durably.
func (c *Catalog) PutGuard(recordBytes []byte) error {
	return c.update(func(tx *bbolt.Tx) error { return put(tx, bucketMain, keyGuard, recordBytes) })
}

// AppendJournal adds an entry to the journal, durably.
func (c *Catalog) AppendJournal(data []byte) error {
	return c.update(func(tx *bbolt.Tx) error { return appendJournal(tx, data) })
}

// Journal returns the entries, oldest first.
func (c *Catalog) Journal() ([]Entry, error) {
	contents, err := read(c.files, c.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	return contents.Journal, nil
}

// Erase leaves nothing but a tombstone: it writes it first, durably, then
// deletes the envelopes and the manifest. Old versions of them stay in pages
// that bbolt does not use any more, until Overwrite. After a crash in between,
// erasing again ends it.
func (c *Catalog) Erase(t Tombstone) error {
	if err := c.update(func(tx *bbolt.Tx) error { return put(tx, bucketMain, keyTombstone, t.marshal()) }); err != nil {
		return err
	}
	return c.update(func(tx *bbolt.Tx) error {
		main := tx.Bucket([]byte(bucketMain))
		if err := main.Delete([]byte(keyManifest)); err != nil {
			return err
		}
		if err := tx.DeleteBucket([]byte(bucketEnvelopes)); err != nil {
			return err
		}
		_, err := tx.CreateBucket([]byte(bucketEnvelopes))
		return err
	})
}
