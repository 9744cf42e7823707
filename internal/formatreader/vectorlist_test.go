package formatreader

import (
	"bytes"
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"
)

// A vector is the sound database with one defect, or with something that looks
// like one and must be accepted (class sound).
type vector struct {
	name  string
	rule  string // of FORMAT.md
	class string
	author
}

// The classes of refusal, as FORMAT.md names them.
const (
	sound       = "sound"
	isDamaged   = "damaged"
	isTooNew    = "too new"
	isWrongKey  = "wrong key"
	notDatabase = "not a database"
	isErased    = "erased"
)

// Edits of a part.

func set(at int, v ...byte) func([]byte) []byte {
	return func(b []byte) []byte { return slices.Replace(b, at, at+len(v), v...) }
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[(at+len(b))%len(b)] ^= 1 // negative counts from the end
		return b
	}
}

func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }

func extend(v ...byte) func([]byte) []byte { return func(b []byte) []byte { return append(b, v...) } }

func become(v []byte) func([]byte) []byte { return func([]byte) []byte { return bytes.Clone(v) } }

// replace exchanges the first occurrence of a text for one of the same length.
func replace(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
}

func part(name, rule, class, part string, edit func([]byte) []byte) vector {
	return vector{name: name, rule: rule, class: class, author: author{name: name, part: part, edit: edit}}
}

func onFiles(name, rule, class string, edit func(map[string][]byte)) vector {
	return vector{name: name, rule: rule, class: class, author: author{name: name, files: edit}}
}

func onPages(name, rule, class string, edit func([]*page) []*page) vector {
	return vector{name: name, rule: rule, class: class, author: author{name: name, pages: edit}}
}

func onBolt(name, rule, class string, edit func(tx *bbolt.Tx) error) vector {
	return vector{name: name, rule: rule, class: class, author: author{name: name, bolt: edit}}
}

func putRecord(tx *bbolt.Tx, bucket, key string, value []byte) error {
	return tx.Bucket([]byte(bucket)).Put([]byte(key), framed([]byte(bucket), []byte(key), value))
}

const (
	runPath  = "runs/00000001.run"
	wal2Path = "wal/00000002.wal"
	wal3Path = "wal/00000003.wal"
)

// vectors returns all of them.
func vectors() []vector {
	return slices.Concat(catalogVectors(), recordVectors(), manifestVectors(), runVectors(), nodeVectors(),
		wholeRunVectors(), logVectors(), frameVectors(), batchVectors(), sqlVectors())
}

func catalogVectors() []vector {
	return []vector{
		onBolt("c1-checksum", "C1", isDamaged, func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("byokdb")).Put([]byte("guard"), []byte("no checksum"))
		}),
		onBolt("c1-short", "C1", isDamaged, func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("journal")).Put(be64(1), []byte("abc"))
		}),
		onBolt("c1-other-key", "C1", isDamaged, func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("envelopes"))
			return b.Put(be32(2), bytes.Clone(b.Get(be32(1))))
		}),
		part("c2-magic-both", "C2", notDatabase, "catalog.file", func(b []byte) []byte { return flip(16)(flip(4096 + 16)(b)) }),
		part("c2-magic-first", "C2", isDamaged, "catalog.file", flip(16)),
		part("c2-meta-checksum", "C2", isDamaged, "catalog.file", flip(4096+16+48)),
		part("c2-empty", "C2", notDatabase, "catalog.file", become(nil)),
		part("c2-cut", "C2", isDamaged, "catalog.file", func(b []byte) []byte { return b[:3*4096] }),
		part("c2-page-number", "C2", isDamaged, "catalog.file", func(b []byte) []byte {
			root := binary.LittleEndian.Uint64(b[newerMeta(b)+16:])
			return flip(int(root) * 4096)(b)
		}),
		part("c2-elements", "C2", isDamaged, "catalog.file", func(b []byte) []byte {
			root := binary.LittleEndian.Uint64(b[newerMeta(b)+16:])
			return flip(int(root)*4096 + 10)(b)
		}),
		onFiles("c4-no-catalog", "C4", notDatabase, func(files map[string][]byte) {
			delete(files, "catalog.bolt")
			files["stranger.txt"] = []byte("other")
		}),
		onBolt("c4-no-guard", "C4", isDamaged, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("byokdb")).Delete([]byte("guard")) }),
		onBolt("c4-no-clear", "C4", isDamaged, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("byokdb")).Delete([]byte("clear")) }),
		onBolt("c4-no-manifest", "C4", isDamaged, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("byokdb")).Delete([]byte("manifest")) }),
		onBolt("c4-no-envelope", "C4", isDamaged, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("envelopes")).Delete(be32(1)) }),
		onBolt("c4-no-records", "C4", notDatabase, func(tx *bbolt.Tx) error {
			for _, b := range []string{"byokdb", "envelopes", "journal"} {
				if err := tx.DeleteBucket([]byte(b)); err != nil {
					return err
				}
			}
			return nil
		}),
		onBolt("c4-other-bucket", "C4", notDatabase, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("others"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), framed([]byte("others"), []byte("k"), nil))
		}),
		onBolt("c4-other-key", "C4", isDamaged, func(tx *bbolt.Tx) error { return putRecord(tx, "byokdb", "others", nil) }),
		onFiles("c5-leftover", "C5", sound, func(files map[string][]byte) { files["catalog.tmp"] = []byte("unfinished") }),
		onBolt("c12-tombstone", "C12", isErased, func(tx *bbolt.Tx) error {
			return putRecord(tx, "byokdb", "tombstone", slices.Concat(be64(1790000000), be64(1789985600), be64(4*3600e9),
				long([]byte("denied")), long([]byte("request 1")), long([]byte("request 2"))))
		}),
		onBolt("c22-emptied", "C22", sound, func(tx *bbolt.Tx) error { return putRecord(tx, "envelopes", string(be32(7)), nil) }),
		onBolt("c22-emptied-alone", "C22", isDamaged, func(tx *bbolt.Tx) error { return putRecord(tx, "envelopes", string(be32(1)), nil) }),
		onBolt("c22-emptied-name", "C22", isDamaged, func(tx *bbolt.Tx) error { return putRecord(tx, "envelopes", "12345", nil) }),
		part("c12-guard-erased", "C12", isDamaged, "guard", set(1, 3)),
	}
}

// newerMeta returns where the newer meta begins in a bbolt file.
func newerMeta(b []byte) int {
	second := int(binary.LittleEndian.Uint32(b[16+8:])) + 16 // behind a page
	if binary.LittleEndian.Uint64(b[16+48:]) > binary.LittleEndian.Uint64(b[second+48:]) {
		return 16
	}
	return second
}

func recordVectors() []vector {
	longText := bytes.Repeat([]byte("x"), 513)
	return []vector{
		part("c6-version-2", "C6", isTooNew, "clear", func([]byte) []byte { return append(be16(2), "another layout"...) }),
		part("c6-feature", "C6", isTooNew, "clear", set(5, 1)),
		part("c6-ignored-feature", "C6", sound, "clear", set(9, 1)),
		part("clear-version-0", "§3", isDamaged, "clear", set(1, 0)),
		part("clear-development-2", "§3", isDamaged, "clear", set(34, 2)),
		part("clear-longer", "§3", isDamaged, "clear", extend(0)),
		part("c8-other-kek", "C8", isWrongKey, "kek", replace("local:", "local;")),
		part("c7-policy-version-2", "C7", isTooNew, "policy", set(0, 2)),
		part("c7-policy-version-0", "C7", isDamaged, "policy", set(0, 0)),
		part("c7-policy-interval", "C7", isDamaged, "policy", set(1, be64(86401e9)...)),
		part("c7-policy-timeout", "C7", isDamaged, "policy", set(9, be64(9e6)...)),
		part("c7-policy-deadline", "C7", isDamaged, "policy", set(17, be64(0)...)),
		part("c7-policy-grace", "C7", isDamaged, "policy", set(25, be64(3601e9)...)),
		part("c7-policy-on-deadline", "C7", isDamaged, "policy", set(33, 2)),
		part("c7-policy-longer", "C7", isDamaged, "policy", extend(0)),
		part("c7-guard-version-2", "C7", isTooNew, "guard", set(0, 2)),
		part("c7-guard-version-0", "C7", isDamaged, "guard", set(0, 0)),
		part("c7-guard-state", "C7", isDamaged, "guard", set(1, 4)),
		part("c7-guard-class", "C7", isDamaged, "guard", set(2, 5)),
		part("c7-guard-cut", "C7", isDamaged, "guard", cut(1)),
		part("c7-guard-message", "C7", isDamaged, "guard", func(b []byte) []byte { return slices.Concat(b[:43], brief(longText), brief(nil), brief(nil)) }),
		part("c7-guard-request", "C7", isDamaged, "guard", func(b []byte) []byte { return slices.Concat(b[:43], brief(nil), brief(longText[:257]), brief(nil)) }),
		part("c7-guard-first-request", "C7", isDamaged, "guard", func(b []byte) []byte { return slices.Concat(b[:43], brief(nil), brief(nil), brief(longText[:257])) }),
		part("c8-version-2", "C8", isTooNew, "envelope", set(0, 2)),
		part("c8-version-0", "C8", isDamaged, "envelope", set(0, 0)),
		part("c8-database", "C8", isDamaged, "envelope", flip(1)),
		part("c8-epoch", "C8", isDamaged, "envelope", set(17, be32(2)...)),
		part("c8-epoch-0", "C8", isDamaged, "envelope", set(17, be32(0)...)),
		part("c8-kek", "C8", isDamaged, "envelope", replace("local:", "local;")),
		part("c8-longer", "C8", isDamaged, "envelope", extend(0)),
		part("c9-other-dek", "C9", isDamaged, "dek", flip(0)),
		part("c9-check-value", "C9", isDamaged, "envelope", flip(61)),
		part("c9-wrapped", "C9", isDamaged, "wrapped", flip(-1)),
		part("c9-wrapped-version", "C9", isDamaged, "wrapped", set(0, 2)),
		part("c9-wrapped-cut", "C9", isDamaged, "wrapped", cut(1)),
		part("c11-hash", "C11", isDamaged, "journal.hash2", flip(0)),
		onBolt("c11-gap", "C11", isDamaged, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("journal")).Delete(be64(1)) }),
		onBolt("c11-end-removed", "C11", sound, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("journal")).Delete(be64(2)) }),
	}
}

func manifestVectors() []vector {
	second := func(edit func([]byte) []byte) func([]byte) []byte { // of the run, as another one
		return func(b []byte) []byte {
			meta := edit(bytes.Clone(b[4:]))
			return slices.Concat(be32(2), b[4:], meta)
		}
	}
	return []vector{
		part("c14-magic", "C14", isDamaged, "manifest.header", flip(0)),
		part("c14-checksum", "C14", isDamaged, "manifest.file", flip(105)),
		part("c14-version-2", "C14", isTooNew, "manifest.header", set(8, be16(2)...)),
		part("c14-version-0", "C14", isDamaged, "manifest.header", set(8, be16(0)...)),
		part("c14-database", "C14", isDamaged, "manifest.header", flip(10)),
		part("c14-epoch", "C14", isDamaged, "manifest.header", set(26, be32(2)...)),
		part("c14-commitment", "C14", isWrongKey, "manifest.commitment", flip(0)),
		part("c14-tag", "C14", isDamaged, "manifest.file", flip(-1)),
		part("c14-content", "C14", isDamaged, "manifest.content", set(0, 2)),
		part("c14-generation", "C14", isDamaged, "manifest", set(0, be64(8)...)),
		part("c14-cut", "C14", isDamaged, "manifest.file", func(b []byte) []byte { return b[:50] }),
		part("manifest-longer", "§3", isDamaged, "manifest", extend(0)),
		part("c15-kek", "C15", isDamaged, "manifest", replace("local:", "local;")),
		part("c15-policy", "C15", isDamaged, "manifest", replace(string(be64(60e9)), string(be64(61e9)))),
		part("c16-run-0", "C16", isDamaged, "manifest.run", set(0, be64(0)...)),
		part("c16-run-next", "C16", isDamaged, "manifest.run", set(0, be64(2)...)),
		part("c16-run-twice", "C16", isDamaged, "manifest.runs", second(func(b []byte) []byte { return b })),
		part("c16-level", "C16", isDamaged, "manifest.run", set(8, 7)),
		part("c16-epoch-0", "C16", isDamaged, "manifest.run", set(9, be32(0)...)),
		part("c16-size-0", "C16", isDamaged, "manifest.run", set(13, be64(0)...)),
		part("c16-short-key", "C16", isDamaged, "manifest.run", func(b []byte) []byte {
			return append(b[:69], slices.Concat(long([]byte("abc")), long([]byte("abcd")))...)
		}),
		part("c16-key-order", "C16", isDamaged, "manifest.run", func(b []byte) []byte {
			return append(b[:69], slices.Concat(long([]byte("zzzz")), long([]byte("aaaa")))...)
		}),
		part("c16-collection-0", "C16", isDamaged, "manifest.collections", set(4, be32(0)...)),
		part("c16-collection-next", "C16", isDamaged, "manifest.collections", set(4, be32(5)...)),
		part("c16-collection-twice", "C16", isDamaged, "manifest.collections", set(4, be32(2)...)),
		part("c16-name-empty", "C16", isDamaged, "manifest.collections", func([]byte) []byte { return slices.Concat(be32(1), be32(1), long(nil)) }),
		part("c16-name-twice", "C16", isDamaged, "manifest.collections", func([]byte) []byte {
			return slices.Concat(be32(2), be32(1), long([]byte("one")), be32(2), long([]byte("one")))
		}),
		part("c16-floor", "C16", isDamaged, "manifest", set(16, be64(0)...)),
		part("c16-floor-frame", "C16", isDamaged, "manifest", set(24, be64(0)...)),
		overlap(),
		onFiles("c17-run-missing", "C17", isDamaged, func(files map[string][]byte) { delete(files, runPath) }),
		onFiles("c17-run-left", "C17", sound, func(files map[string][]byte) { files["runs/00000077.run"] = files[runPath] }),
	}
}

// overlap names run 1 twice, the second time as run 2, which exists in a copy
// that is genuine in all but what C16 forbids: both are in level 1.
func overlap() vector {
	v := part("c16-overlap", "C16", isDamaged, "manifest.runs", nil)
	v.edit = func(b []byte) []byte {
		other := author{name: v.name, number: 2}
		other.runFile()
		return slices.Concat(be32(2), b[4:], other.runMeta())
	}
	v.nextRun = 3
	v.files = func(files map[string][]byte) {
		other := author{name: v.name, number: 2}
		files["runs/00000002.run"] = other.runFile()
	}
	return v
}

func runVectors() []vector {
	return []vector{
		part("r1-magic", "R1", isDamaged, "run.file", flip(0)),
		part("r1-checksum", "R1", isDamaged, "run.file", flip(20)),
		part("r1-short", "R1", isDamaged, "run.file", func(b []byte) []byte { return b[:100] }),
		part("r1-empty", "R1", isDamaged, "run.file", become(nil)),
		part("r2-version-2", "R2", isTooNew, "run.header", set(8, be16(2)...)),
		part("r2-version-0", "R2", isDamaged, "run.header", set(8, be16(0)...)),
		part("r2-cipher", "R2", isTooNew, "run.header", set(10, 2)),
		part("r2-feature", "R2", isTooNew, "run.header", set(15, 2)),
		part("run-zero-11", "§4", isDamaged, "run.header", set(11, 1)),
		part("run-zero-112", "§4", isDamaged, "run.whole header", set(112, 1)),
		part("run-page-size", "§4", isDamaged, "run.header", set(44, be32(4095)...)),
		part("r3-commitment", "R3", isWrongKey, "run.commitment", flip(0)),
		part("r3-database", "R3", isDamaged, "run.header", flip(16)),
		part("r3-run", "R3", isDamaged, "run.header", set(32, be64(2)...)),
		part("r3-epoch", "R3", isDamaged, "run.header", set(40, be32(2)...)),
		onPages("r4-kind", "R4", isDamaged, func(p []*page) []*page {
			p[2].kind = pageInner
			return p
		}),
		part("r4-moved", "R4", isDamaged, "run.trailer", func(b []byte) []byte { // the ref of the root leads into a page
			return set(56, be64(binary.BigEndian.Uint64(b[56:])+1)...)(b)
		}),
		part("r4-tag", "R4", isDamaged, "run.file", flip(400)),
		part("r5-cut", "R5", isDamaged, "run.file", cut(1)),
		part("r5-extended", "R5", isDamaged, "run.file", extend(0)),
		part("r5-size", "R5", isDamaged, "run.trailer", set(7, 1)),
		part("r6-codec", "R6", isDamaged, "run.leaf1.plain", set(0, 3)),
		part("r6-zstd-without-flag", "R6", isDamaged, "run.leaf1.plain", set(0, 2)),
		part("r6-size-0", "R6", isDamaged, "run.leaf1.plain", set(1, be32(0)...)),
		part("r6-size-large", "R6", isDamaged, "run.leaf1.plain", set(1, be32(262145)...)),
		part("r6-size-other", "R6", isDamaged, "run.leaf1.plain", func(b []byte) []byte { return set(1, be32(uint32(len(b)))...)(b) }),
		part("r6-s2-damaged", "R6", isDamaged, "run.leaf1.plain", func(b []byte) []byte { return set(0, 1)(b) }),
		part("r6-s2-longer", "R6", isDamaged, "run.leaf1.plain", func(b []byte) []byte { // a sound block of 100 bytes that says 99
			block := append([]byte{100, 60 << 2, 99}, bytes.Repeat([]byte{1}, 100)...)
			return slices.Concat([]byte{1}, be32(99), block)
		}),
		part("trailer-run", "R5", isDamaged, "run.trailer", set(8, be64(2)...)),
		part("trailer-levels", "§4", isDamaged, "run.trailer", set(68, 33)),
		part("trailer-levels-0", "R7", isDamaged, "run.trailer", set(68, 0)),
		part("trailer-zero-69", "§4", isDamaged, "run.trailer", set(69, 1)),
		part("trailer-zero-96", "§4", isDamaged, "run.trailer", set(96, 1)),
		part("trailer-no-root", "§4", isDamaged, "run.trailer", set(56, make([]byte, 12)...)),
		part("properties-version-2", "§4", isTooNew, "run.properties", set(3, 2)),
		part("properties-first", "§4", isDamaged, "run.properties", replace("apple", "appld")),
		part("properties-longer", "§4", isDamaged, "run.properties", extend(0)),
		part("r12-root-tag", "R12", isDamaged, "manifest.run", flip(53)),
		part("r12-size", "R12", isDamaged, "manifest.run", flip(20)),
		part("r12-entries", "R12", isDamaged, "manifest.run", flip(28)),
		part("r12-tombstones", "R12", isDamaged, "manifest.run", flip(36)),
		part("r12-first", "R12", isDamaged, "manifest.run", replace("apple", "appld")),
	}
}

func nodeVectors() []vector {
	const slot1, entry0 = 8 + 8, 8 + 8*5 // in leaf 1, which has five entries
	return []vector{
		part("r7-kind", "R7", isDamaged, "run.leaf1", set(0, 2)),
		part("r7-zero-1", "R7", isDamaged, "run.leaf1", set(1, 1)),
		part("r7-zero-6", "R7", isDamaged, "run.leaf1", set(7, 1)),
		part("r7-no-entries", "R7", isDamaged, "run.leaf1", set(2, 0, 0)),
		part("r7-many-entries", "R7", isDamaged, "run.leaf1", set(2, 0xff, 0xff)),
		part("r7-short", "R7", isDamaged, "run.leaf1", func(b []byte) []byte { return b[:7] }),
		part("r7-first-slot", "R7", isDamaged, "run.leaf1", set(8+4, be32(entry0+1)...)),
		part("r7-slot-back", "R7", isDamaged, "run.leaf1", set(slot1+4, be32(entry0)...)),
		part("r7-slot-beyond", "R7", isDamaged, "run.leaf1", set(slot1+4, be32(4096)...)),
		part("r7-key-0", "R7", isDamaged, "run.leaf1", set(entry0+1, 0, 0)),
		part("r7-key-long", "R7", isDamaged, "run.leaf1", set(entry0+1, 0x80, 0x10)),
		part("r7-key-beyond", "R7", isDamaged, "run.leaf1", set(entry0+1, 0x0f, 0xff)),
		part("r7-prefix", "R7", isDamaged, "run.leaf1", set(4, 0, 14)),
		part("r7-flags", "R7", isDamaged, "run.leaf1", set(entry0, 3)),
		part("r7-flags-0", "R7", isDamaged, "run.leaf1", set(entry0, 0)),
		part("r7-tombstone-value", "R7", isDamaged, "run.leaf1", set(entry0, 2)),
		part("r7-head", "R7", isDamaged, "run.leaf1", flip(slot1)),
		part("r7-order", "R7", isDamaged, "run.leaf0", replace("date", "aaaa")),
		part("r7-inner-flags", "R7", isDamaged, "run.inner", set(8+8*2, 1)),
		part("r7-inner-ref", "R7", isDamaged, "run.inner", cut(1)),
		part("r8-refs", "R8", isDamaged, "run.large", cut(12)),
		part("r8-refs-2", "R8", isDamaged, "run.large", func(b []byte) []byte { return append(b, b[4:]...) }),
		part("r8-length-0", "R8", isDamaged, "run.large", set(0, be32(0)...)),
		part("r8-length-max", "R8", isDamaged, "run.large", set(0, be32(67108865)...)),
		part("r8-length-other", "R8", isDamaged, "run.large", set(0, be32(1399)...)),
		part("r8-chunk", "R8", isDamaged, "run.value", cut(1)),
		part("r8-ref-out", "R8", isDamaged, "run.large", set(4, 0xff)),
	}
}

func wholeRunVectors() []vector {
	return []vector{
		part("r9-bit", "R9", isDamaged, "run.filter", func(b []byte) []byte { return make([]byte, len(b)) }),
		part("r9-blocks", "R9", isDamaged, "run.trailer", set(92, be32(2)...)),
		part("r9-compressed", "R9", isDamaged, "run.filter.plain", func([]byte) []byte { // 64 bytes that are all one
			return slices.Concat([]byte{1}, be32(64), []byte{64, 0, 0xff, 1<<2 | 2, 1, 0})
		}),
		onPages("r10-unnamed-page", "R10", isDamaged, func(p []*page) []*page {
			extra := *p[0]
			extra.name = "run.extra"
			return append(p, &extra)
		}),
		part("r10-twice", "R10", isDamaged, "run.inner", func(b []byte) []byte { // both children are leaf 0
			n := len(b)
			copy(b[n-12:], b[8+8*2+3+9:][:12])
			return b
		}),
		part("r10-pages", "R10", isDamaged, "run.trailer", set(55, 7)),
		part("r10-separator", "R10", isDamaged, "run.inner", func(b []byte) []byte { return set(len(b)-12-4, be32(3)...)(b) }),
		part("r10-leaves", "R10", isDamaged, "run.leaf0", func(b []byte) []byte { // the last key belongs behind those of leaf 1
			return replace("\x00\x00\x00\x01date", "\x00\x00\x00\x07date")(b)
		}),
	}
}

func logVectors() []vector {
	var list []vector
	header := func(name, rule, class string, at int, v ...byte) {
		list = append(list, part(name, rule, class, "wal2.header", set(at, v...)))
	}
	header("w9-magic", "W9", isDamaged, 0, 'x')
	header("w9-version-2", "W9", isTooNew, 8, 0, 2)
	header("w9-version-0", "W9", isDamaged, 8, 0, 0)
	header("w9-cipher", "W9", isTooNew, 10, 2)
	header("w9-feature", "W9", isTooNew, 15, 1)
	header("w3-zero-11", "W3", isDamaged, 11, 1)
	header("w9-database", "W9", isDamaged, 16, 'X')
	header("w9-segment", "W9", isDamaged, 39, 3)
	header("w9-epoch", "W9", isDamaged, 40, be32(2)...)
	header("w4-alignment", "W4", isDamaged, 44, be32(4096)...)
	header("w10-first-frame", "W10", isDamaged, 80, be64(5)...)
	header("w10-tag-before", "W10", isDamaged, 88, 'T')
	return append(
		list,
		part("w3-zero-136", "W3", isDamaged, "wal2.whole header", set(136, 1)),
		part("w9-checksum", "W9", isDamaged, "wal2.file", flip(2000)),
		part("w9-commitment", "W9", isWrongKey, "wal2.commitment", flip(0)),
		part("w9-short", "W9", isDamaged, "wal2.file", func(b []byte) []byte { return b[:4095] }),
		onFiles("w10-first-missing", "W10", isDamaged, func(files map[string][]byte) { delete(files, wal2Path) }),
		onFiles("w10-gap", "W10", isDamaged, func(files map[string][]byte) {
			files["wal/00000004.wal"] = files[wal3Path]
			delete(files, wal3Path)
		}),
		onFiles("w10-all-missing", "W10", isDamaged, func(files map[string][]byte) {
			delete(files, wal2Path)
			delete(files, wal3Path)
		}),
		onFiles("w10-exchanged", "W10", isDamaged, func(files map[string][]byte) {
			files[wal2Path], files[wal3Path] = files[wal3Path], files[wal2Path]
		}),
		onFiles("w10-below-the-floor", "W10", sound, func(files map[string][]byte) { files["wal/00000001.wal"] = []byte("means nothing") }),
		part("w10-frame-of-older", "W10", isDamaged, "wal2.file", flip(4096+512+20)),
		onFiles("wal-leftovers", "W1", sound, func(files map[string][]byte) {
			files["wal/00000004.wal.tmp"], files["wal/00000001.wal.free"] = []byte("unfinished"), []byte("released")
		}),
	)
}

func frameVectors() []vector {
	frame := func(i int) int { return 4096 + 512*i }
	return []vector{
		part("w11-number", "W11", isDamaged, "wal.frame7.header", set(0, be64(8)...)),
		part("w11-tag", "W11", isDamaged, "wal.frame7", flip(0)),
		part("w8-durable", "W8", isDamaged, "wal.frame7", set(16, be64(7)...)),
		part("frame-zero", "W3", isDamaged, "wal.frame7.header", set(13, 1)), // so no frame; frame 8 names it
		part("frame-kind", "W13", isDamaged, "wal.frame7.header", set(12, 3)),
		part("frame-end-with-payload", "§5", isDamaged, "wal.frame7.header", set(12, 2)),
		part("frame-data-without-payload", "§5", isDamaged, "wal.frame8.header", set(12, 1)),
		part("w12-torn", "W12", sound, "wal3.file", flip(frame(2)+25)),
		part("w12-cut", "W12", sound, "wal3.file", func(b []byte) []byte { return b[:frame(2)+10] }),
		part("w12-zeros-behind", "W12", sound, "wal3.file", func(b []byte) []byte { return append(b, make([]byte, 8192)...) }),
		part("w4-between-frames", "W4", sound, "wal3.file", flip(frame(1)-1)),
		part("w13-missing", "W13", isDamaged, "wal3.file", flip(frame(1)+25)),
		part("w13-header", "W13", isDamaged, "wal3.file", flip(frame(1)+16)),
		part("w13-first", "W13", isDamaged, "wal3.file", flip(frame(0)+25)),
		part("w13-never-durable", "W13", sound, "wal3.file", nil).neverDurable(),
		part("w13-again", "W13", isDamaged, "wal3.file", func(b []byte) []byte { // frame 7 once more, behind a hole
			b = append(b, make([]byte, 512)...)
			return append(b, b[frame(1):frame(2)]...)
		}),
		part("w14-claims", "W14", isDamaged, "wal3.file", func(b []byte) []byte {
			b = append(b, make([]byte, 8192)...)
			for at := frame(3); at < len(b); at += 512 {
				h := slices.Concat(be64(99), be32(1024), []byte{1, 0, 0, 0})
				copy(b[at:], append(h, be32(checksum(b[48:80], h))...))
			}
			return b
		}),
	}
}

// neverDurable makes a log whose frame 7 is torn and whose frame 8 was written
// before any of the two was durable: both are dropped.
func (v vector) neverDurable() vector {
	v.edit = nil
	v.part, v.edit = "wal.frame8", set(16, be64(6)...)
	v.files = func(files map[string][]byte) { flip(4096 + 512 + 25)(files[wal3Path]) }
	return v
}

func batchVectors() []vector {
	payload := func(name, rule, class string, b ...[]byte) vector {
		return part(name, rule, class, "wal.payload7", become(slices.Concat(b...)))
	}
	const next = manifestCommit + 4
	return []vector{
		payload("w15-gap", "W15", isDamaged, batch(next+1, op(1, 1, "k", nil))),
		payload("w15-again", "W15", isDamaged, batch(next-1, op(1, 1, "k", nil))),
		part("w15-skipped", "W15", sound, "wal.payload4", func(b []byte) []byte { return append(batch(manifestCommit-1, op(1, 1, "skipped", nil)), b...) }),
		payload("w16-empty-batch", "W16", sound, batch(next)),
		payload("w16-cut-header", "W16", isDamaged, batch(next)[:11]),
		payload("w16-cut-operation", "W16", isDamaged, be64(next), long(op(1, 1, "key", []byte("value"))[:12])),
		payload("w16-cut-value", "W16", isDamaged, be64(next), long(op(1, 1, "key", []byte("value"))[:18])),
		payload("w16-size", "W16", isDamaged, be64(next), be32(100), op(1, 1, "k", nil)),
		payload("w16-operation", "W16", isDamaged, batch(next, op(5, 1, "k", nil))),
		payload("w16-key", "W16", isDamaged, batch(next, op(1, 1, string(make([]byte, 32769)), nil))),
		payload("w16-key-longest", "W16", sound, batch(next, op(1, 1, string(make([]byte, 32768)), nil))),
		payload("w17-used-id", "W17", isDamaged, batch(next, op(3, 6, "again", nil))),
		payload("w17-dropped-id", "W17", isDamaged, batch(next, op(3, 3, "dropped before", nil))),
		payload("w17-name-empty", "W17", isDamaged, batch(next, op(3, 7, "", nil))),
		payload("w17-name-long", "W17", isDamaged, batch(next, op(3, 7, string(make([]byte, 1025)), nil))),
		payload("w17-name-used", "W17", isDamaged, batch(next, op(3, 7, "one", nil))),
		payload("w17-drop-unknown", "W17", isDamaged, batch(next, op(4, 9, "", nil))),
		payload("w16-drop-with-name", "W16", isDamaged, batch(next, op(4, 6, "three", nil))),
		payload("w17-name-taken-over", "W17", sound, batch(next, op(3, 7, "one", nil), op(1, 7, "k", nil), op(4, 1, "", nil))),
		payload("w17-record-of-nothing", "W17", isDamaged, batch(next, op(1, 9, "k", nil))),
		payload("w17-record-of-dropped", "W17", isDamaged, batch(next, op(4, 6, "", nil)), batch(next+1, op(2, 6, "k", nil))),
		payload("w17-drop-twice", "W17", isDamaged, batch(next, op(4, 6, "", nil), op(4, 6, "", nil))),
		payload("w17-drop", "W17", sound, batch(next, op(4, 1, "", nil))),
	}
}

func sqlVectors() []vector {
	row := func(name, rule, class string, b []byte) vector {
		return part(name, rule, class, "wal.payload7", become(batch(manifestCommit+4, op(1, 4, "\x80\x00\x00\x00\x00\x00\x00\x03", b))))
	}
	return []vector{
		row("s3-record", "S3", sound, []byte{1, 3, 0, 17 + 2*2, 1, 'o', 'k', 5}),
		row("s3-missing-columns", "S3", sound, []byte{1, 1, 0}),
		row("s4-version-2", "S4", isTooNew, []byte{2, 2, 0, 17}),
		row("s4-version-0", "S4", isDamaged, []byte{0, 2, 0, 17}),
		row("s4-empty", "S4", isDamaged, nil),
		row("s4-serial-15", "S4", isDamaged, []byte{1, 2, 0, 15}),
		row("s4-nan", "S4", isDamaged, []byte{1, 2, 0, 7, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1}),
		row("s4-body-short", "S4", isDamaged, []byte{1, 2, 0, 17 + 2*3, 'a', 'b'}),
		row("s4-body-long", "S4", isDamaged, []byte{1, 2, 0, 17 + 2*1, 'a', 'b'}),
		row("s4-header-long", "S4", isDamaged, []byte{1, 9, 0, 0}),
		row("s4-serial-cut", "S4", isDamaged, []byte{1, 2, 0, 0x80}),
		part("object-layout-2", "§6", isTooNew, "wal.payload7", become(batch(manifestCommit+4, op(1, 2, "o\x00\x00\x00\x00\x00\x00\x00\x02", []byte{2, 0})))),
		part("object-cut", "§6", isDamaged, "wal.payload7", become(batch(manifestCommit+4, op(1, 2, "o\x00\x00\x00\x00\x00\x00\x00\x02", []byte{1, 0, 5, 't'})))),
	}
}
