package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// image is the files of a database's directory by their paths in it, with
// forward slashes. In a change to an image nil removes a file.
type image map[string][]byte

func readImage(tb testing.TB, dir string) image {
	tb.Helper()
	im := image{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		im[filepath.ToSlash(rel)] = b
		return err
	})
	if err != nil || len(im) == 0 {
		tb.Fatal(len(im), err)
	}
	return im
}

// put makes the files of an image what they are in it.
func (im image) put(tb testing.TB, dir string) {
	tb.Helper()
	for path, b := range im {
		path = filepath.Join(dir, filepath.FromSlash(path))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil && b == nil {
			err = os.RemoveAll(path)
		} else if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// of returns the change that makes an image's files those of this one.
func (im image) of(other image) image {
	change := maps.Clone(other)
	for path := range im {
		if _, ok := other[path]; !ok {
			change[path] = nil
		}
	}
	return change
}

// paths returns the paths that match, sorted. There must be some.
func (im image) paths(tb testing.TB, pattern string) []string {
	tb.Helper()
	var out []string
	for path := range im {
		if ok, err := filepath.Match(pattern, path); err == nil && ok {
			out = append(out, path)
		}
	}
	if slices.Sort(out); len(out) == 0 {
		tb.Fatalf("no file is %s", pattern)
	}
	return out
}

// edit returns a change of one file.
func (im image) edit(path string, change func(b []byte) []byte) image {
	return image{path: change(bytes.Clone(im[path]))}
}

// flip returns the change of one bit.
func (im image) flip(path string, at int) image {
	return im.edit(path, func(b []byte) []byte {
		b[at] ^= 1 << (at % 8)
		return b
	})
}

// model is what a database should hold: values by collection and key.
type model map[string]map[string]string

func (m model) put(collection, key, value string) {
	if m[collection] == nil {
		m[collection] = map[string]string{}
	}
	m[collection][key] = value
}

// digest names the contents.
type digest [sha256.Size]byte

// hashRecord adds one record to a digest.
func hashRecord(h hash.Hash, parts ...[]byte) {
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:]) // never fails
		_, _ = h.Write(p)
	}
}

func (m model) digest() digest {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		for _, key := range slices.Sorted(maps.Keys(m[name])) {
			hashRecord(h, []byte(name), []byte(key), []byte(m[name][key]))
		}
	}
	return digest(h.Sum(nil))
}

// An exhibit is a database with a history: what is attacked, and what an
// attacker may have kept of it.
type exhibit struct {
	tb    testing.TB
	key   *fakeKey
	rand  *rand.Rand
	model model
	past  map[digest]bool // every state that was committed, the newest not

	sound   image // closed in order; two runs, three segments with frames
	crashed image // the same contents, and nothing was closed
	older   image // an earlier state: one run
	fork    image // what came of older in other hands: another second run
	twin    image // another database with the same shape and KEK
	pages   map[string][]pager.PageInfo

	position   Position // of the newest state
	twinDigest digest
	forkDigest digest
	olderModel model // what older holds
}

// The exhibit's collections: rows of the first are in the first run, those of
// the second in the second, those of the third in the log.
const (
	collFirst  = "first"
	collSecond = "second"
	collThird  = "third"
)

// newRand returns the source of the exhibits' values: always the same.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func newExhibit(t *testing.T) *exhibit {
	t.Helper()
	x := &exhibit{
		tb: t, key: newFakeKey("k"), rand: newRand(), model: model{}, past: map[digest]bool{},
		pages: map[string][]pager.PageInfo{},
	}
	twin := &exhibit{tb: t, key: x.key, rand: x.rand, model: model{}, past: map[digest]bool{}}
	x.sound = x.live(filepath.Join(t.TempDir(), "x.byok"))
	twin.sound = twin.live(filepath.Join(t.TempDir(), "twin.byok"))
	x.twin, x.twinDigest = twin.sound, twin.model.digest()

	fork := filepath.Join(t.TempDir(), "fork.byok")
	x.older.put(t, fork)
	other := &exhibit{tb: t, key: x.key, rand: x.rand, model: x.olderModel, past: map[digest]bool{}}
	other.second(fork)
	x.fork, x.forkDigest = readImage(t, fork), other.model.digest()
	if x.sound.paths(t, "runs/*")[1] != x.fork.paths(t, "runs/*")[1] || bytes.Equal(x.sound["runs/00000002.run"], x.fork["runs/00000002.run"]) {
		t.Fatalf("the fork has no second run of its own: %v, %v", x.sound.paths(t, "runs/*"), x.fork.paths(t, "runs/*"))
	}
	delete(x.past, x.model.digest())
	for _, path := range x.sound.paths(t, "runs/*") {
		x.pages[path] = x.pagesOf(path)
	}
	return x
}

// noScrub takes the place of a scrub where a thousand databases are closed.
func noScrub() error { return nil }

func (x *exhibit) open(dir string) *DB {
	x.tb.Helper()
	db, err := Open(x.tb.Context(), dir, x.key, &Options{PageSize: 4 << 10, CacheSize: pager.CacheBudgetMin, scrub: noScrub})
	if err != nil {
		x.tb.Fatal(err)
	}
	db.session.mu.Lock()
	defer db.session.mu.Unlock()
	everything := span{to: lastLevel, first: []byte{}, last: bytes.Repeat([]byte{0xff}, 8)}
	if !db.session.claimSpan(&everything) { // runs stay as they were flushed
		x.tb.Fatal("a compaction is under way")
	}
	return db
}

func (x *exhibit) close(db *DB) {
	x.tb.Helper()
	if err := errors.Join(db.Verify(x.tb.Context()), db.Close()); err != nil {
		x.tb.Fatal(err)
	}
}

// commit writes rows of one collection in one transaction, each with a value of
// so many random bytes.
func (x *exhibit) commit(db *DB, collection string, nRows int, sizes ...int) {
	x.tb.Helper()
	x.past[x.model.digest()] = true
	err := db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollectionIfNotExists(collection)
		if err != nil {
			return err
		}
		for range nRows {
			n := len(x.model[collection])
			value := make([]byte, sizes[n%len(sizes)])
			for i := range value {
				value[i] = byte(x.rand.Uint32())
			}
			key := fmt.Sprintf("row %05d of %s", n, collection)
			x.model.put(collection, key, string(value))
			if err := c.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		x.tb.Fatal(err)
	}
}

// flush moves everything from the memtable to a run.
func (x *exhibit) flush(db *DB) {
	x.tb.Helper()
	err := db.acquireWriter(x.tb.Context())
	if err == nil {
		err = db.session.freeze()
		db.releaseWriter()
	}
	if err != nil {
		x.tb.Fatal(err)
	}
	s := db.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.frozen) > 0 && s.failed == nil {
		s.changed.Wait()
	}
	if s.failed != nil {
		x.tb.Fatal(s.failed)
	}
}

// live makes the history in dir and returns its end.
func (x *exhibit) live(dir string) image {
	x.tb.Helper()
	db := x.open(dir)
	sizes := slices.Repeat([]int{120, 90, 200}, 20)
	x.commit(db, collFirst, 120, append(sizes, 5000)...)
	x.flush(db)
	x.commit(db, collFirst, 1, 40)
	x.key.set(crypt.ClassDenied) // for the journal
	if err := db.ProbeKey(x.tb.Context()); err == nil {
		x.tb.Fatal("the key is there")
	}
	x.key.set(crypt.ClassNone)
	if err := db.ProbeKey(x.tb.Context()); err != nil {
		x.tb.Fatal(err)
	}
	x.close(db)
	x.older, x.olderModel = readImage(x.tb, dir), model{}
	for name, rows := range x.model {
		x.olderModel[name] = maps.Clone(rows)
	}
	x.second(dir)
	for range 2 {
		db = x.open(dir)
		for range 3 {
			x.commit(db, collThird, 2, 100, 700)
		}
		x.crashed = readImage(x.tb, crashCopy(x.tb, db, dir))
		p, err := db.Position()
		if err != nil {
			x.tb.Fatal(err)
		}
		x.position = p
		x.close(db)
	}
	return readImage(x.tb, dir)
}

// second opens what live made first, and writes the second run and a commit more.
func (x *exhibit) second(dir string) {
	x.tb.Helper()
	db := x.open(dir)
	x.commit(db, collSecond, 40, 150, 60, 3000)
	x.flush(db)
	x.commit(db, collSecond, 1, 80)
	x.close(db)
}

// pagesOf returns the places of a run's pages, the header among them.
func (x *exhibit) pagesOf(path string) []pager.PageInfo {
	x.tb.Helper()
	dir := filepath.Join(x.tb.TempDir(), "pages.byok")
	x.sound.put(x.tb, dir)
	db := x.open(dir)
	defer x.close(db)
	out := []pager.PageInfo{{Kind: "header", Size: 128}}
	for _, r := range db.session.version.all() {
		if !strings.HasSuffix(path, filepath.Base(r.path)) {
			continue
		}
		_, err := r.VerifyEach(x.tb.Context(), pager.Visitor{Page: func(p pager.PageInfo) { out = append(out, p) }})
		if err != nil {
			x.tb.Fatal(err)
		}
	}
	if len(out) < 5 {
		x.tb.Fatalf("%d pages in %s", len(out), path)
	}
	return out
}

// withCatalog calls fn with an image's catalog, open in bbolt as somebody with
// such a tool has it, and returns the change that this made. put makes the
// record's checksum right; nil removes the record.
func withCatalog(tb testing.TB, im image, fn func(get func(bucket, key string) []byte, put func(bucket, key string, value []byte))) image {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), catalog.FileName)
	defer func() {
		if err := os.Remove(path); err != nil { // there are many
			tb.Error(err)
		}
	}()
	if err := os.WriteFile(path, im[catalog.FileName], 0o600); err != nil {
		tb.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, NoGrowSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		fn(func(bucket, key string) []byte {
			return bytes.Clone(tx.Bucket([]byte(bucket)).Get([]byte(key)))
		}, func(bucket, key string, value []byte) {
			if value == nil {
				err = tx.Bucket([]byte(bucket)).Delete([]byte(key))
			} else {
				sum := crc32.Checksum([]byte(bucket+"\x00"+key+"\x00"+string(value)), crc32.MakeTable(crc32.Castagnoli))
				err = tx.Bucket([]byte(bucket)).Put([]byte(key), binary.BigEndian.AppendUint32(bytes.Clone(value), sum))
			}
			if err != nil {
				tb.Fatal(err)
			}
		})
		return nil
	})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return image{catalog.FileName: b}
}

// record returns a stored record of the catalog of an image: its value without
// the checksum.
func (im image) record(tb testing.TB, bucket, key string) []byte {
	tb.Helper()
	var out []byte
	withCatalog(tb, im, func(get func(bucket, key string) []byte, _ func(bucket, key string, value []byte)) {
		out = get(bucket, key)
	})
	if len(out) <= 4 {
		tb.Fatalf("no record %q", key)
	}
	return out[:len(out)-4]
}

// withRecord returns the change of the catalog in which a record has another
// value, with a right checksum; nil removes it.
func (im image) withRecord(tb testing.TB, bucket, key string, value []byte) image {
	tb.Helper()
	return withCatalog(tb, im, func(_ func(bucket, key string) []byte, put func(bucket, key string, value []byte)) {
		put(bucket, key, value)
	})
}

// salvaged returns what an image's catalog holds.
func (im image) salvaged(tb testing.TB) *catalog.Salvaged {
	tb.Helper()
	dir := tb.TempDir()
	image{catalog.FileName: im[catalog.FileName]}.put(tb, dir)
	c, err := catalog.Salvage(vfs.OS(), dir)
	if err != nil || len(c.Faults) != 0 {
		tb.Fatal(c, err)
	}
	return c
}
