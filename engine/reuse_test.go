package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// A sealing is one thing that was sealed: under one file key and nonce, and at
// one place under one file key, there may be only one.
type sealing struct {
	key   [32]byte
	nonce [12]byte
}

type sealedPlace struct {
	key     [32]byte
	offset  uint64 // of a page; number of a frame; generation
	content byte
}

// A collector parses sealed files as FORMAT.md says, with the DEK and without
// the packages that wrote them.
type collector struct {
	t    *testing.T
	dek  []byte
	fail func(format string, args ...any) // told what came twice

	mu     sync.Mutex
	nonces map[sealing][32]byte // hash of what was sealed
	places map[sealedPlace][32]byte
	keys   map[[32]byte]string // header that the key belongs to
	kinds  map[string]int      // things sealed
	parsed map[[32]byte]bool   // hashes of whole files
}

func newCollector(t *testing.T, dek []byte) *collector {
	t.Helper()
	return &collector{
		t: t, dek: dek, fail: t.Errorf, nonces: make(map[sealing][32]byte), places: make(map[sealedPlace][32]byte),
		keys: make(map[[32]byte]string), kinds: make(map[string]int), parsed: make(map[[32]byte]bool),
	}
}

// fileKey derives a file key. Source: FORMAT.md §2.
func (c *collector) fileKey(kind byte, salt, header []byte) (key [32]byte) {
	b, err := hkdf.Key(sha256.New, c.dek, salt, "byokdb v1"+string(kind)+string(header), 64)
	if err != nil {
		c.t.Error(err)
	}
	copy(key[:], b)
	if had, ok := c.keys[key]; ok && had != string(header) {
		c.fail("two headers have one file key")
	}
	c.keys[key] = string(header)
	return key
}

// open opens a sealed thing.
func (c *collector) open(key [32]byte, sealed []byte, offset uint64, content byte) ([]byte, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	aad := append(binary.BigEndian.AppendUint64(nil, offset), content)
	return aead.Open(nil, nil, sealed, aad)
}

// saw notes a sealed thing and returns it opened, nil after a failure of the
// test.
func (c *collector) saw(kind string, key [32]byte, sealed []byte, offset uint64, content byte) []byte {
	plain, err := c.open(key, sealed, offset, content)
	if err != nil {
		c.t.Errorf("%s at %d does not open: %v", kind, offset, err)
		return nil
	}
	c.note(kind, key, sealed, offset, content)
	return plain
}

// note compares a sealed thing with all that was seen.
func (c *collector) note(kind string, key [32]byte, sealed []byte, offset uint64, content byte) {
	sum := sha256.Sum256(sealed)
	s, p := sealing{key, [12]byte(sealed)}, sealedPlace{key, offset, content}
	if had, ok := c.nonces[s]; ok && had != sum {
		c.fail("%s at %d: the nonce was used before under this key", kind, offset)
	}
	if had, ok := c.places[p]; ok && had != sum {
		c.fail("%s at %d: something else was sealed there under this key", kind, offset)
	}
	if _, ok := c.nonces[s]; !ok {
		c.kinds[kind]++
	}
	c.nonces[s], c.places[p] = sum, sum
}

// segment collects the frames of a segment. Source: FORMAT.md §5.
func (c *collector) segment(b []byte) {
	if len(b) < 4096 || !bytes.HasPrefix(b, []byte("byokwal\x1a")) {
		return // its header was never written
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	salt := b[48:80]
	key := c.fileKey(2, salt, b[:104])
	for off := 4096; off+20 <= len(b); {
		h := b[off : off+20]
		n := int(binary.BigEndian.Uint32(h[8:]))
		if n == 0 || crc32.Update(crc32.Checksum(salt, table), table, h[:16]) != binary.BigEndian.Uint32(h[16:]) {
			return
		}
		c.saw("frame", key, b[off+20:off+20+n], binary.BigEndian.Uint64(h), h[12])
		off = (off + 20 + n + 511) / 512 * 512
	}
}

// run collects the pages of a run. One that is not finished has no trailer that
// opens, and nothing says where its pages are: its key is all that is noted.
// Source: FORMAT.md §4.
func (c *collector) run(b []byte) {
	key := c.fileKey(1, b[48:80], b[:80])
	at := len(b) - 156
	if _, err := c.open(key, b[at:], uint64(at), 6); err != nil {
		c.kinds["unfinished run"]++
		return
	}
	trailer := c.saw("trailer", key, b[at:], uint64(at), 6)
	covered := uint64(128 + 156)
	ref := func(r []byte, kind byte) []byte {
		off, size := binary.BigEndian.Uint64(r), uint64(binary.BigEndian.Uint32(r[8:]))
		covered += size
		plain := c.saw("page", key, b[off:off+size], off, kind)
		if plain == nil || plain[0] == 0 {
			return plain[min(5, len(plain)):]
		}
		out, err := s2.Decode(nil, plain[5:])
		if plain[0] != 1 || err != nil {
			c.t.Errorf("page at %d: codec %d, %v", off, plain[0], err)
			return nil
		}
		return out
	}
	var walk func(r []byte, levels byte)
	walk = func(r []byte, levels byte) {
		kind := byte(1)
		if levels > 0 {
			kind = 2
		}
		node := ref(r, kind)
		if node == nil {
			return
		}
		for i, n := 0, int(binary.BigEndian.Uint16(node[2:])); i < n; i++ {
			e := node[binary.BigEndian.Uint32(node[8+8*i+4:]):]
			k := int(binary.BigEndian.Uint16(e[1:]))
			value := e[3+k:]
			switch {
			case levels > 0:
				walk(value[:12], levels-1)
			case e[0] == 0x81:
				chunks := (int(binary.BigEndian.Uint32(value)) + 262143) / 262144
				for j := range chunks {
					ref(value[4+12*j:][:12], 5)
				}
			}
		}
	}
	walk(trailer[56:68], trailer[68])
	ref(trailer[72:84], 4)
	filter := binary.BigEndian.Uint64(trailer[84:])
	for blocks := int(binary.BigEndian.Uint32(trailer[92:])); blocks > 0; blocks -= 64 {
		size := min(blocks, 64)*64 + 5 + 28
		r := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, filter), uint32(size))
		ref(r, 3)
		filter += uint64(size)
	}
	if covered != uint64(len(b)) {
		c.t.Errorf("pages of %d bytes were collected in a run of %d", covered, len(b))
	}
}

// manifest collects the current manifest of a directory. Source: FORMAT.md §3.
func (c *collector) manifest(dir string) {
	contents, err := catalog.Read(vfs.OS(), dir)
	if errors.Is(err, catalog.ErrNotExist) {
		return // it is being created
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	b := contents.Manifest
	c.saw("manifest", c.fileKey(3, b[38:70], b[:70]), b[106:], binary.BigEndian.Uint64(b[30:]), 1)
}

// file collects a file by its name, and the manifest of its database.
func (c *collector) file(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := os.ReadFile(name)
	if err != nil {
		c.t.Error(err)
		return
	}
	sum := sha256.Sum256(b)
	switch {
	case c.parsed[sum]: // as it was, or a copy
	case strings.Contains(name, ".wal"):
		c.segment(b)
	case strings.HasSuffix(name, ".run") && len(b) > 284:
		c.run(b)
	}
	c.parsed[sum] = true
	c.manifest(filepath.Dir(filepath.Dir(name)))
}

// dir collects everything that is in a directory.
func (c *collector) dir(dir string) {
	c.t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Dir(path) == dir {
			return err
		}
		n++
		c.file(path)
		return nil
	})
	if err != nil || n == 0 {
		c.t.Fatal(n, err)
	}
}

// collectingFS collects files before they go.
type collectingFS struct {
	vfs.FS
	c *collector
}

func (f collectingFS) Remove(name string) error {
	f.c.file(name)
	return f.FS.Remove(name)
}

func (f collectingFS) Rename(from, to string) error {
	f.c.file(from) // a segment that will be used again
	return f.FS.Rename(from, to)
}

func (f collectingFS) Create(name string) (vfs.File, error) {
	f.c.mu.Lock()
	f.c.manifest(filepath.Dir(filepath.Dir(name)))
	f.c.mu.Unlock()
	return f.FS.Create(name)
}

// noise returns letters that do not compress much.
func noise(random *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(byte('!' + random.IntN(90)))
	}
	return b.String()
}

// live opens a database, writes to it in one of several ways, and leaves it
// closed, or as a crash does.
func (c *collector) live(dir string, key *fakeKey, random *rand.Rand, crash bool) string {
	c.t.Helper()
	o := smallRuns()
	o.Sync = SyncOff
	o.fs = collectingFS{vfs.OS(), c}
	db, err := Open(c.t.Context(), dir, key, o)
	if err != nil {
		c.t.Fatal(err)
	}
	for range 250 {
		size := 1 + random.IntN(2000)
		if random.IntN(150) == 0 {
			size = 300_000 // pages of their own
		}
		put(c.t, db, fmt.Sprint(random.IntN(3)), fmt.Sprint(random.IntN(500)), noise(random, size))
	}
	c.openFiles(db, dir)
	if crash {
		dir = crashCopy(c.t, db, dir)
	}
	if err := db.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.dir(dir)
	return dir
}

// openFiles collects what an open database has while nothing is flushed.
func (c *collector) openFiles(db *DB, dir string) {
	c.t.Helper()
	quiet(c.t, db)
	db.session.manifestMu.Lock()
	defer db.session.manifestMu.Unlock()
	names, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil || len(names) == 0 {
		c.t.Fatal(names, err)
	}
	for _, name := range names {
		c.file(name)
	}
}

// TestCollectorNotices: what must not come is found when it does.
func TestCollectorNotices(t *testing.T) {
	c := newCollector(t, make([]byte, 32))
	nFailed := 0
	c.fail = func(string, ...any) { nFailed++ }
	key := c.fileKey(2, []byte("salt"), []byte("header"))
	for _, step := range []struct {
		nonce  byte
		text   string
		offset uint64
		want   int
	}{
		{1, "a", 1, 0},
		{1, "a", 1, 0}, // a copy
		{2, "b", 2, 0},
		{2, "c", 3, 1}, // a nonce again
		{4, "d", 2, 2}, // a place again
	} {
		sealed := append(append(make([]byte, 11), step.nonce), step.text...)
		c.note("thing", key, sealed, step.offset, 1)
		if nFailed != step.want {
			t.Errorf("place %d: %d failures, want %d", step.offset, nFailed, step.want)
		}
	}
	if c.keys[key] = "another header"; c.fileKey(2, []byte("salt"), []byte("header")) != key || nFailed != 3 {
		t.Error("two files with one key were not noticed")
	}
}

// TestNothingIsSealedTwice lets a database, a restored backup of it, a plain
// copy and a copy of the copy go on writing, through flushes, compactions,
// segments used again, closings and crashes, and collects every nonce under
// every key that was ever used: none may come twice, and no two things may be
// sealed at one place under one key.
func TestNothingIsSealedTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about 10 s")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	key := newFakeKey("k")
	source := filepath.Join(t.TempDir(), "source.byok")
	if db, err := Open(t.Context(), source, key, nil); err != nil {
		t.Fatal(err)
	} else if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if len(key.deks) != 1 {
		t.Fatalf("%d DEKs", len(key.deks))
	}
	var dek [crypt.KeySize]byte
	for _, b := range key.deks {
		dek = [crypt.KeySize]byte(b)
	}
	c := newCollector(t, dek[:])
	copyOf := func(dir string) string {
		to := filepath.Join(t.TempDir(), "copy.byok")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	lives := []string{source}
	rounds := longer(3, 20)
	for round := range rounds {
		for i := range lives {
			lives[i] = c.live(lives[i], key, random, random.IntN(2) == 0)
		}
		if round > 0 && round%4 != 0 {
			continue
		}
		dest := filepath.Join(t.TempDir(), "dest")
		if _, err := Backup(t.Context(), lives[0], dest, nil); err != nil {
			t.Fatal(err)
		}
		into := filepath.Join(t.TempDir(), "restored.byok")
		if _, err := Restore(t.Context(), dest, into, key, nil); err != nil {
			t.Fatal(err)
		}
		lives = append(lives[:1], into, copyOf(lives[0]), copyOf(into))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	total := len(c.nonces)
	t.Logf("%d nonces under %d keys in %d lives: %v", total, len(c.keys), len(lives), c.kinds)
	if total < 2500 || c.kinds["frame"] < 2000 || c.kinds["page"] < 500 || c.kinds["manifest"] < 20 ||
		c.kinds["unfinished run"] > 20 || len(lives) != 4 {
		t.Error("too little was collected to show anything")
	}
}
