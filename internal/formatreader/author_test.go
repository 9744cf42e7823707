package formatreader

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// An author writes one small database from FORMAT.md, with no code of the
// product, and lets a vector edit any part of it before it is checksummed or
// sealed. Everything is derived from fixed bytes, so that the same vector comes
// out as the same bytes.
//
// The nonces are derived too. That is for test data alone: under one file key
// a vector differs from the sound database and from the other vectors in its
// nonces, because they are drawn from its name.
type author struct {
	name    string // of the vector
	part    string // which part edit changes
	edit    func(b []byte) []byte
	pages   func(pages []*page) []*page   // edits the run's pages before they are placed
	files   func(files map[string][]byte) // edits the finished files
	bolt    func(tx *bbolt.Tx) error      // edits the catalog after its records are in
	number  uint64                        // of the run, 1 if 0
	nextRun uint64                        // in the manifest, one above the run if 0
	run     *Run                          // what the manifest says of run 1
	random  map[string]*rand.ChaCha8      // one stream for each object
	used    bool                          // an edit was made
	parts   map[string][]byte             // unless nil: every part as it was written
}

// The fixed inputs. They are in testdata/format/inputs.txt too.
var (
	fixedKEK = sha256.Sum256([]byte("byokdb format vectors: KEK"))
	fixedDEK = sha256.Sum256([]byte("byokdb format vectors: DEK"))
	fixedID  = [16]byte([]byte("byokdb vector id"))
)

const (
	fixedURI       = "local:vectors.key"
	floorSegment   = 2
	floorFrame     = 4
	manifestCommit = 5
)

var floorTag = [16]byte([]byte("tag of a frame 3"))

// fingerprint names the development key.
func fingerprint() []byte {
	sum := sha256.Sum256(slices.Concat([]byte("byokdb local key fingerprint v1\x00"), fixedKEK[:]))
	return sum[:16]
}

func keyFile() []byte {
	return slices.Concat([]byte("byokdb development key v1\n"), fixedKEK[:], fingerprint())
}

// kekID is how the development key provider names a key.
func (a *author) kekID() []byte { return a.pass("kek", fmt.Appendf(nil, "local:%x", fingerprint())) }

// stream returns an object's random bytes: the sound database's, but for
// objects that the vector changes and the manifest.
func (a *author) stream(object string) *rand.ChaCha8 {
	if a.random == nil {
		a.random = map[string]*rand.ChaCha8{}
	}
	if a.random[object] == nil {
		seed := object
		if object == "manifest" || object == "run" && a.pages != nil || a.part == "dek" || len(a.part) >= 3 && strings.HasPrefix(object, a.part[:3]) {
			seed += "/" + a.name
		}
		a.random[object] = rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	}
	return a.random[object]
}

func (a *author) bytes(object string, n int) []byte {
	b := make([]byte, n)
	_, _ = a.stream(object).Read(b) // never fails
	return b
}

// pass hands a part to the vector's edit.
func (a *author) pass(part string, b []byte) []byte {
	if a.edit != nil && part == a.part {
		a.used = true
		b = a.edit(bytes.Clone(b))
	}
	if a.parts != nil {
		a.parts[part] = bytes.Clone(b)
	}
	return b
}

// seal is the other side of openGCM. What it writes is the same at every run, nonces
// included, which FIPS 140 does not allow.
func (a *author) seal(object string, key, plain, aad []byte) (sealed []byte) {
	fips140.WithoutEnforcement(func() {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		nonce := a.bytes(object, 12)
		sealed = aead.Seal(nonce, nonce, plain, aad)
	})
	return sealed
}

func withChecksum(b []byte) []byte { return append(b, be32(checksum(b))...) }

func long(b []byte) []byte  { return append(be32(uint32(len(b))), b...) }
func brief(b []byte) []byte { return append(be16(uint16(len(b))), b...) }
func be16(v uint16) []byte  { return binary.BigEndian.AppendUint16(nil, v) }

// write makes the database in dir and its key file beside it.
func (a *author) write(tb testing.TB, dir, key string) {
	tb.Helper()
	files := map[string][]byte{"runs/00000001.run": a.pass("run.file", a.runFile())}
	for i, s := range a.segments() {
		files[fmt.Sprintf("wal/%08d.wal", floorSegment+i)] = s
	}
	path := filepath.Join(tb.TempDir(), "catalog.bolt")
	a.catalogFile(tb, path)
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	files["catalog.bolt"] = a.pass("catalog.file", b)
	if a.files != nil {
		a.files(files)
		a.used = true
	}
	for name, b := range files {
		writeFile(tb, filepath.Join(dir, name), b)
	}
	writeFile(tb, key, keyFile())
	if a.part != "" && !a.used {
		tb.Errorf("there is no part %q", a.part)
	}
}

func writeFile(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// records returns the catalog's records: bucket, key, value.
func (a *author) records() [][3][]byte {
	policy := a.pass("policy", slices.Concat([]byte{1}, be64(60e9), be64(10e9), be64(4*3600e9), be64(0), []byte{0}))
	dek := fixedDEK[:]
	clear := a.pass("clear", slices.Concat(be16(1), be32(0), be32(0), fixedID[:], be64(1790000000), []byte{1},
		long(a.kekID()), long([]byte(fixedURI)), long(policy)))
	guard := a.pass("guard", slices.Concat([]byte{1, 0, 0}, be64(0), be64(0), be64(1790000000e9), be64(0), be64(0), brief(nil), brief(nil), brief(nil)))

	wrapHeader := append([]byte{1}, fingerprint()...)
	context := slices.Concat([]byte("byokdb context v1\x00"), fixedID[:], []byte("\x04data"), be32(1))
	wrapped := append(bytes.Clone(wrapHeader), a.seal("wrap", fixedKEK[:], a.pass("dek", dek), slices.Concat(wrapHeader, context))...)
	salt := a.bytes("check", 32)
	_, check := derive(dek, salt, kindCheck, slices.Concat(fixedID[:], be32(1), salt))
	envelope := a.pass("envelope", slices.Concat([]byte{1}, fixedID[:], be32(1), be64(1790000000), salt, check,
		brief(a.kekID()), brief(nil), brief(a.pass("wrapped", wrapped))))

	list := [][3][]byte{
		{[]byte("byokdb"), []byte("clear"), clear},
		{[]byte("byokdb"), []byte("guard"), guard},
		{[]byte("byokdb"), []byte("manifest"), a.sealedManifest(policy)},
		{[]byte("envelopes"), be32(1), envelope},
	}
	last := make([]byte, 32)
	for i, data := range []string{`{"sequence":1}`, `{"sequence":2}`} {
		sum := sha256.Sum256(slices.Concat([]byte("byokdb journal v1"), be64(uint64(i+1)), last, []byte(data)))
		last = sum[:]
		list = append(list, [3][]byte{[]byte("journal"), be64(uint64(i + 1)), append(a.pass(fmt.Sprintf("journal.hash%d", i+1), last), data...)})
	}
	return list
}

func framed(bucket, key, value []byte) []byte {
	return append(bytes.Clone(value), be32(checksum(bucket, []byte{0}, key, []byte{0}, value))...)
}

func (a *author) catalogFile(tb testing.TB, path string) {
	tb.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, PageSize: 4096})
	if err != nil {
		tb.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, r := range a.records() {
			b, err := tx.CreateBucketIfNotExists(r[0])
			if err != nil {
				return err
			}
			if err := b.Put(r[1], framed(r[0], r[1], r[2])); err != nil {
				return err
			}
		}
		if a.bolt != nil {
			a.used = true
			return a.bolt(tx)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}

// sealedManifest names run 1, three collections, and the floor of the log.
func (a *author) sealedManifest(policy []byte) []byte {
	const generation = 9
	a.runFile() // fills a.run
	meta, nextRun := a.pass("manifest.run", a.runMeta()), max(a.nextRun, a.run.Number+1)
	plain := a.pass("manifest", slices.Concat(be64(generation), be64(manifestCommit), be64(floorSegment), be64(floorFrame), floorTag[:],
		be64(nextRun), be32(5), long(a.kekID()), long(policy), a.pass("manifest.runs", append(be32(1), meta...)),
		a.pass("manifest.collections", slices.Concat(be32(3), be32(1), long([]byte("one")), be32(2), long([]byte("sql/schema")), be32(4), long([]byte("sql/t/00000001"))))))
	salt := a.bytes("manifest", 32)
	header := a.pass("manifest.header", slices.Concat([]byte("BYOKMAN\x00"), be16(1), fixedID[:], be32(1), be64(generation), salt))
	key, commitment := derive(fixedDEK[:], salt, kindManifest, header)
	header = withChecksum(append(header, a.pass("manifest.commitment", commitment)...))
	place := binary.BigEndian.Uint64(header[30:])
	return a.pass("manifest.file", append(header, a.seal("manifest", key, plain, append(be64(place), a.pass("manifest.content", []byte{1})...))...))
}

// runMeta is what the manifest says of the run.
func (a *author) runMeta() []byte {
	r := a.run
	return slices.Concat(be64(r.Number), []byte{r.Level}, be32(r.Epoch), be64(r.Size), be64(r.Entries), be64(r.Tombstones),
		be64(r.KeyBytes), be64(r.ValueBytes), r.Root[:], long(r.First), long(r.Last))
}

// A page of a run before it has its place.
type page struct {
	name     string // part
	kind     byte
	codec    byte
	contents func(ref func(name string) []byte) []byte
}

// runEntries are the records of run 1, by leaf.
func runEntries() [2][]nodeEntry {
	key := func(id uint32, k string) []byte { return append(be32(id), k...) }
	value := func(s string) []byte { return []byte(s) }
	object := []byte{1, 1}
	for _, s := range []string{"table", "t", "t", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c DEFAULT 7)"} {
		object = append(append(object, byte(len(s))), s...)
	}
	row := func(b string) []byte { return slices.Concat([]byte{1, 2, 0, byte(17 + 2*len(b))}, []byte(b)) }
	return [2][]nodeEntry{
		{
			{flags: 1, key: key(1, "apple"), value: value("first")},
			{flags: 1, key: key(1, "banana"), value: value("second")},
			{flags: 0x81, key: key(1, "cherry"), value: nil}, // its ref is filled in
			{flags: 2, key: key(1, "date")},
		},
		{
			{flags: 1, key: key(2, "o\x00\x00\x00\x00\x00\x00\x00\x01"), value: object},
			{flags: 1, key: key(2, "v"), value: slices.Concat(be64(1<<32|7), be64(1))},
			{flags: 1, key: key(3, "of a dropped collection"), value: value("gone")},
			{flags: 1, key: key(4, "\x80\x00\x00\x00\x00\x00\x00\x01"), value: row("row one")},
			{flags: 1, key: key(4, "\x80\x00\x00\x00\x00\x00\x00\x02"), value: row("row two")},
		},
	}
}

// largeValue is longer than a quarter of the page size.
var largeValue = bytes.Repeat([]byte("a large value "), 100)

// node encodes a node of either kind.
func node(kind byte, entries []nodeEntry) []byte {
	prefix := entries[0].key
	for _, e := range entries {
		n := 0
		for n < len(prefix) && n < len(e.key) && prefix[n] == e.key[n] {
			n++
		}
		prefix = prefix[:n]
	}
	head := slices.Concat([]byte{kind, 0}, be16(uint16(len(entries))), be16(uint16(len(prefix))), be16(0))
	var slots, body []byte
	for _, e := range entries {
		slots = append(slots, append(bytes.Clone(e.key[len(prefix):]), 0, 0, 0, 0)[:4]...)
		slots = append(slots, be32(uint32(8+8*len(entries)+len(body)))...)
		body = append(body, slices.Concat([]byte{e.flags}, be16(uint16(len(e.key))), e.key, e.value)...)
	}
	return slices.Concat(head, slots, body)
}

// runPages are run 1's pages in their order.
func (a *author) runPages() []*page {
	leaves := runEntries()
	first, last := leaves[0][0].key, leaves[1][len(leaves[1])-1].key
	filter := make([]byte, 64)
	for _, e := range slices.Concat(leaves[0], leaves[1]) {
		m := xxhash64(e.key) * 0x9E3779B97F4A7C15
		for range 6 {
			m = m<<9 | m>>55
			filter[m&511/8] |= 1 << (m & 7)
		}
	}
	fixed := func(b []byte) func(func(string) []byte) []byte {
		return func(func(string) []byte) []byte { return bytes.Clone(b) }
	}
	return []*page{
		{name: "run.value", kind: pageValue, contents: fixed(largeValue)},
		{name: "run.leaf0", kind: pageLeaf, contents: func(ref func(string) []byte) []byte {
			leaves[0][2].value = a.pass("run.large", append(be32(uint32(len(largeValue))), ref("run.value")...))
			return node(pageLeaf, leaves[0])
		}},
		{name: "run.leaf1", kind: pageLeaf, contents: fixed(node(pageLeaf, leaves[1]))},
		{name: "run.inner", kind: pageInner, contents: func(ref func(string) []byte) []byte {
			return node(pageInner, []nodeEntry{{key: first, value: ref("run.leaf0")}, {key: be32(2), value: ref("run.leaf1")}})
		}},
		{name: "run.filter", kind: pageFilter, contents: fixed(filter)},
		{name: "run.properties", kind: pageProperties, contents: fixed(slices.Concat(be32(1), brief(first), brief(last)))},
	}
}

// runFile writes run 1 and fills a.run.
func (a *author) runFile() []byte {
	delete(a.random, "run") // it is written twice: for the manifest and for itself
	number := max(a.number, 1)
	salt := a.bytes("run", 32)
	header := a.pass("run.header", slices.Concat([]byte("byokrun\x1a"), be16(1), []byte{1, 0}, be32(0), fixedID[:], be64(number), be32(1), be32(4096), salt))
	key, commitment := derive(fixedDEK[:], salt, kindRun, header)
	file := withChecksum(a.pass("run.whole header", slices.Concat(header, a.pass("run.commitment", commitment), make([]byte, 12))))
	pages := a.runPages()
	if a.pages != nil {
		a.used = true
		pages = a.pages(pages)
	}
	refs := map[string][]byte{}
	for _, p := range pages {
		contents := a.pass(p.name, p.contents(func(name string) []byte { return refs[name] }))
		plain := a.pass(p.name+".plain", slices.Concat([]byte{p.codec}, be32(uint32(len(contents))), contents))
		place := be64(uint64(len(file)))
		refs[p.name] = append(bytes.Clone(place), be32(uint32(len(plain)+overhead))...)
		file = append(file, a.seal("run", key, plain, append(place, p.kind))...)
	}
	r := &Run{Number: number, Epoch: 1, Level: 1}
	leaves := runEntries()
	for _, e := range slices.Concat(leaves[0], leaves[1]) {
		r.Entries++
		r.KeyBytes += uint64(len(e.key))
		r.ValueBytes += uint64(len(e.value))
		switch e.flags {
		case 0x81:
			r.ValueBytes += uint64(len(largeValue))
		case 2:
			r.Tombstones++
		}
	}
	r.First, r.Last = leaves[0][0].key, leaves[1][len(leaves[1])-1].key
	r.Size = uint64(len(file) + trailerSize)
	trailer := a.pass("run.trailer", slices.Concat(be64(r.Size), be64(number), be64(r.Entries), be64(r.Tombstones), be64(r.KeyBytes), be64(r.ValueBytes),
		be64(uint64(len(pages))), refs["run.inner"], []byte{1, 0, 0, 0}, refs["run.properties"], refs["run.filter"][:8], be32(1), make([]byte, 32)))
	file = append(file, a.seal("run", key, trailer, append(be64(uint64(len(file))), pageTrailer))...)
	r.Root = [16]byte(file[len(file)-16:])
	a.run = r
	return file
}

// op encodes one operation of a batch; value is nil for those without.
func op(code byte, id uint32, text string, value []byte) []byte {
	b := slices.Concat([]byte{code}, be32(id), long([]byte(text)))
	if code == 1 {
		b = append(b, long(value)...)
	}
	return b
}

func batch(commit uint64, ops ...[]byte) []byte {
	return append(be64(commit), long(slices.Concat(ops...))...)
}

// payloads are the log's frames from the floor on, by segment; the last is an end frame.
func (a *author) payloads() [2][][]byte {
	return [2][][]byte{
		{
			a.pass("wal.payload4", slices.Concat(
				batch(manifestCommit, op(1, 1, "skipped", []byte("by W15"))),
				batch(manifestCommit+1, op(3, 5, "two", nil), op(1, 1, "banana", []byte("newer")), op(1, 5, "k", []byte("v"))))),
			a.pass("wal.payload5", batch(manifestCommit+2, op(2, 1, "apple", nil), op(1, 1, "", nil))),
		},
		{
			a.pass("wal.payload6", batch(manifestCommit+3, op(3, 6, "three", nil), op(1, 6, "k", []byte("v")))),
			a.pass("wal.payload7", batch(manifestCommit+4, op(4, 6, "", nil), op(1, 1, "egg", []byte("last")))),
			a.pass("wal.payload8", nil),
		},
	}
}

// segments writes the two segments of the log.
func (a *author) segments() [][]byte {
	number, before := uint64(floorFrame), floorTag
	var out [][]byte
	for i, payloads := range a.payloads() {
		name := fmt.Sprintf("wal%d", floorSegment+i)
		salt := a.bytes(name, 32)
		head := a.pass(name+".header", slices.Concat([]byte("byokwal\x1a"), be16(1), []byte{1, 0}, be32(0), fixedID[:], be64(uint64(floorSegment+i)),
			be32(1), be32(512), salt, be64(number), before[:]))
		key, commitment := derive(fixedDEK[:], salt, kindSegment, head)
		file := withChecksum(a.pass(name+".whole header", slices.Concat(head, a.pass(name+".commitment", commitment), make([]byte, 3956))))
		for _, payload := range payloads {
			frameName := fmt.Sprintf("wal.frame%d", number)
			kind := byte(1)
			if len(payload) == 0 {
				kind = 2
			}
			content := a.pass(frameName, slices.Concat(before[:], be64(number-1), payload))
			h := a.pass(frameName+".header", slices.Concat(be64(number), be32(uint32(len(content)+overhead)), []byte{kind, 0, 0, 0}))
			sealed := a.seal(name, key, content, append(bytes.Clone(h[:8]), h[12]))
			file = append(file, slices.Concat(h, be32(checksum(salt, h)), sealed)...)
			file = append(file, make([]byte, align(len(file))-len(file))...)
			before = [16]byte(sealed[len(sealed)-16:])
			number++
		}
		out = append(out, a.pass(name+".file", file))
	}
	return out
}
