// Package boltimport copies the buckets of a bbolt file into the collections of
// a database.
//
// A bucket becomes the collection of its name, a bucket in a bucket the one of
// both names with "/" between them; "/" and "%" in the name of a bucket are
// written %2F and %25. Sequences that are not zero go into the collection
// [Sequences].
package boltimport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/engine"
)

// Sequences is the collection of the buckets' sequences: the name of the
// bucket's collection → 8 B, big-endian.
const Sequences = "bolt/sequences"

// state is the collection that says how far an import has come while it is not
// done: [stateKey] → JSON of progress.
const state = "bolt/import"

const stateKey = "progress"

// Limits of one transaction.
const (
	batchSizeDefault = 32 << 20
	batchRecordsMax  = 100_000
)

// Errors of the source and of the target.
var (
	// ErrName means that a bucket cannot have a collection: its name is too long,
	// or it is one that SQL or an import keeps its own things under.
	ErrName = errors.New("a bucket's name cannot be that of a collection")
	// ErrTaken means that the database has a collection of a bucket's name.
	ErrTaken = errors.New("the database has a collection of that name already")
	// ErrTooLarge means that a record is beyond what a collection takes.
	ErrTooLarge = errors.New("a record is too large")
	// ErrOtherFile means that the database holds a part of another file, or of
	// another state of this one: go on with that one, or begin with a database
	// that is empty.
	ErrOtherFile = errors.New("another bbolt file has been copied in part")
)

// Options says how to import. The zero value is safe.
type Options struct {
	BatchSize int64 // bytes of keys and values in one transaction; 32 MiB when 0
	// Progress is called after each transaction with the records that are durable.
	Progress func(records int64)
}

// Result says what is there.
type Result struct {
	Buckets int64 `json:"buckets"`
	Records int64 `json:"records"`
	Resumed int64 `json:"resumed,omitempty"` // records that an earlier call had copied
}

// progress is the place that an import has reached, and of which file.
type progress struct {
	Sum     []byte `json:"sha256"` // of all that the file holds
	Buckets int64  `json:"buckets"`
	Records int64  `json:"records"`
	Bucket  string `json:"bucket"` // the collection being filled
	Key     []byte `json:"key"`    // that was copied last
}

// Import copies every bucket of src, which nobody may write to meanwhile.
//
// Everything is looked at before the first record is written: what cannot be
// copied is refused then. Up to 32 MiB are one transaction: all of it is there
// afterwards, or nothing. More is several, each of which says how far the import
// has come; after a crash or an error the same call goes on there. Memory is
// bounded by one transaction.
//
// Errors: ErrName, ErrTaken, ErrTooLarge, ErrOtherFile, ctx's, those of bbolt
// and of the engine. Result is valid with an error too.
func Import(ctx context.Context, db *engine.DB, src *bolt.DB, o Options) (Result, error) {
	if o.BatchSize <= 0 {
		o.BatchSize = batchSizeDefault
	}
	im := &importer{ctx: ctx, db: db, o: o}
	err := src.View(func(tx *bolt.Tx) error { return im.run(tx) })
	if im.tx != nil {
		err = errors.Join(err, im.tx.Rollback())
	}
	return im.res, err
}

// importer is one call of Import.
type importer struct {
	ctx context.Context
	db  *engine.DB
	o   Options

	tx       *engine.Tx // nil between two
	coll     *engine.Collection
	at       progress
	from     progress // where an earlier call ended
	resuming bool     // the place in from is not reached yet
	recorded bool
	size     int64 // of the transaction's records, bytes
	n        int   // records
	sum      hash.Hash
	res      Result
}

func (im *importer) run(src *bolt.Tx) error {
	im.sum = sha256.New()
	if err := im.load(); err != nil {
		return err
	}
	taken, err := im.taken()
	if err != nil {
		return err
	}
	if err := walk(src, func(name string, b *bolt.Bucket) error { return im.inspect(name, b, taken) }); err != nil {
		return err
	}
	sum := im.sum.Sum(nil)
	if im.resuming && !bytes.Equal(sum, im.from.Sum) {
		return fmt.Errorf("%w: of it %d records are there", ErrOtherFile, im.from.Records)
	}
	im.at.Sum = sum
	if err := walk(src, im.bucket); err != nil {
		return err
	}
	if im.resuming {
		return fmt.Errorf("%w: bucket %s, which was being copied, is not in it", ErrOtherFile, im.from.Bucket)
	}
	return im.commit(true)
}

// load finds out whether an earlier call has begun.
func (im *importer) load() error {
	return im.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(state)
		if errors.Is(err, engine.ErrNoCollection) {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := c.Get([]byte(stateKey))
		if err != nil {
			return fmt.Errorf("read the state of the import: %w", err)
		}
		if err := json.Unmarshal(b, &im.from); err != nil {
			return fmt.Errorf("read the state of the import: %w", err)
		}
		im.resuming, im.recorded = true, true
		im.at, im.res = im.from, Result{Buckets: im.from.Buckets, Records: im.from.Records, Resumed: im.from.Records}
		return nil
	})
}

// taken returns the collections that are there.
func (im *importer) taken() (map[string]bool, error) {
	out := map[string]bool{}
	err := im.db.View(func(tx *engine.Tx) error {
		names, err := tx.Collections()
		for _, n := range names {
			out[n] = true
		}
		return err
	})
	return out, err
}

// inspect refuses a bucket that cannot be copied.
func (im *importer) inspect(name string, b *bolt.Bucket, taken map[string]bool) error {
	const nameMax = 1024
	first, _, _ := strings.Cut(name, "/")
	switch {
	case name == "" || len(name) > nameMax:
		return fmt.Errorf("%w: %.60q: it has %d bytes", ErrName, name, len(name))
	case strings.HasPrefix(name, "sql/"), name == state, name == Sequences:
		return fmt.Errorf("%w: %q: names in %s are kept for other things", ErrName, name, first)
	case !im.resuming && taken[name]:
		return fmt.Errorf("%w: %q", ErrTaken, name)
	}
	if !im.resuming && taken[Sequences] && b.Sequence() != 0 {
		return fmt.Errorf("%w: %q", ErrTaken, Sequences)
	}
	im.hash([]byte(name), binary.BigEndian.AppendUint64(nil, b.Sequence()))
	n := 0
	return b.ForEach(func(k, v []byte) error {
		if n++; n%1024 == 0 {
			if err := im.ctx.Err(); err != nil {
				return err
			}
		}
		if v != nil && (len(k) > engine.KeySizeMax || len(v) > engine.ValueSizeMax) {
			return fmt.Errorf("%w: in bucket %q: a key of %d bytes with a value of %d bytes", ErrTooLarge, name, len(k), len(v))
		}
		if v != nil {
			im.hash(k, v)
		}
		return nil
	})
}

// hash adds two texts to the sum of all that the file holds.
func (im *importer) hash(a, b []byte) {
	var sizes [16]byte
	binary.BigEndian.PutUint64(sizes[:8], uint64(len(a)))
	binary.BigEndian.PutUint64(sizes[8:], uint64(len(b)))
	for _, p := range [][]byte{sizes[:], a, b} {
		_, _ = im.sum.Write(p) // a hash never fails
	}
}

// walk calls fn for every bucket with the name of its collection, a bucket
// before those in it, in the order of their names.
func walk(src *bolt.Tx, fn func(name string, b *bolt.Bucket) error) error {
	var down func(path string, b *bolt.Bucket) error
	down = func(path string, b *bolt.Bucket) error {
		if err := fn(path, b); err != nil {
			return err
		}
		return b.ForEachBucket(func(k []byte) error { return down(path+"/"+escape(k), b.Bucket(k)) })
	}
	return src.ForEach(func(k []byte, b *bolt.Bucket) error { return down(escape(k), b) })
}

func escape(name []byte) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(string(name))
}

// bucket copies the records of a bucket, not of those in it.
func (im *importer) bucket(name string, b *bolt.Bucket) error {
	c := b.Cursor()
	k, v := c.First()
	if im.resuming {
		if name != im.from.Bucket {
			return nil // done by an earlier call
		}
		im.resuming = false
		if im.from.Key != nil {
			if k, v = c.Seek(im.from.Key); bytes.Equal(k, im.from.Key) {
				k, v = c.Next()
			}
		}
	} else {
		im.at.Bucket, im.at.Key = name, nil
		im.at.Buckets++
		if err := im.create(name, b.Sequence()); err != nil {
			return err
		}
	}
	im.coll = nil
	for ; k != nil; k, v = c.Next() {
		if v == nil { // a bucket
			continue
		}
		if err := im.put(k, v); err != nil {
			return fmt.Errorf("copy bucket %s: %w", name, err)
		}
	}
	return nil
}

// begin starts a transaction where there is none.
func (im *importer) begin() (err error) {
	if im.tx == nil {
		im.coll, im.size, im.n = nil, 0, 0
		im.tx, err = im.db.BeginContext(im.ctx, true)
	}
	return err
}

// create makes the collection of a bucket.
func (im *importer) create(name string, sequence uint64) error {
	if err := im.begin(); err != nil {
		return err
	}
	if _, err := im.tx.CreateCollection(name); err != nil {
		return fmt.Errorf("make collection %s: %w", name, err)
	}
	if sequence == 0 {
		return nil
	}
	c, err := im.tx.CreateCollectionIfNotExists(Sequences)
	if err != nil {
		return err
	}
	return c.Put([]byte(name), binary.BigEndian.AppendUint64(nil, sequence))
}

func (im *importer) put(k, v []byte) (err error) {
	if err := im.begin(); err != nil {
		return err
	}
	if im.coll == nil {
		if im.coll, err = im.tx.Collection(im.at.Bucket); err != nil {
			return err
		}
	}
	if err := im.coll.Put(k, v); err != nil {
		return err
	}
	im.at.Records++
	im.n++
	im.size += int64(len(k) + len(v))
	if im.size < im.o.BatchSize && im.n < batchRecordsMax {
		return nil
	}
	im.at.Key = bytes.Clone(k)
	return im.commit(false)
}

// commit makes the transaction durable, together with the place that it has
// reached.
func (im *importer) commit(last bool) error {
	if err := im.ctx.Err(); err != nil {
		return err
	}
	if err := im.begin(); err != nil {
		return err
	}
	if err := im.record(last); err != nil {
		return err
	}
	tx := im.tx
	im.tx, im.coll = nil, nil
	if err := tx.Commit(); err != nil {
		return err
	}
	im.recorded = !last
	im.res.Buckets, im.res.Records = im.at.Buckets, im.at.Records
	if im.o.Progress != nil {
		im.o.Progress(im.res.Records)
	}
	return nil
}

func (im *importer) record(last bool) error {
	if last {
		if !im.recorded {
			return nil
		}
		return im.tx.DropCollection(state)
	}
	c, err := im.tx.CreateCollectionIfNotExists(state)
	if err != nil {
		return err
	}
	b, err := json.Marshal(im.at)
	if err != nil {
		return err
	}
	return c.Put([]byte(stateKey), b)
}
