package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// This file is the attacks of the tamper matrix.

// Names of attacks that several kinds of files have.
const (
	attackFlip     = "a bit flipped, anywhere"
	attackCut      = "cut short, at every byte"
	attackExtend   = "extended"
	attackSwap     = "two pages swapped"
	attackForeign  = "a page of another file in its place"
	attackReplay   = "an older page in its place"
	attackEdit     = "a byte edited, the checksum made right"
	attackDelete   = "deleted"
	attackOther    = "another database's in its place"
	attackOlder    = "an older one in its place"
	attackFork     = "one of a fork in its place"
	attackNames    = "names swapped"
	attackExtra    = "one more"
	attackKind     = "a file of another kind in its place"
	attackZero     = "zeroed"
	samplesOfBytes = 10 // of a region, but for -matrix.full
)

// intact: without an attack, nothing is wrong.
func (m *matrix) intact() {
	for _, base := range []image{m.sound, m.crashed} {
		m.try("none", "–", "none", base, image{})
	}
	if r := m.rows[0]; len(r.outcomes) != 1 || !r.outcomes[outcomeHarmless] {
		m.t.Fatal("the exhibit is not sound")
	}
}

const boltPage = 4096

// catalogFile attacks bbolt's file as bytes.
func (m *matrix) catalogFile() {
	const file, name = "catalog", catalog.FileName
	good := m.sound[name]
	n := len(good) / boltPage
	for _, c := range []struct {
		part     string
		from, to int
	}{{"meta pages", 0, 2 * boltPage}, {"other pages", 2 * boltPage, len(good)}} {
		for _, at := range sample(c.to-c.from, 100) {
			m.try(file, c.part, attackFlip, m.sound, m.sound.flip(name, c.from+at))
		}
	}
	for _, at := range sample(96, 96) { // where the meta pages have their fields
		m.try(file, "meta pages", attackFlip, m.sound, m.sound.flip(name, at%48*2))
		m.try(file, "meta pages", attackFlip, m.sound, m.sound.flip(name, boltPage+at))
	}
	for _, size := range sample(len(good), 50) {
		m.try(file, "whole", attackCut, m.sound, image{name: good[:size]})
	}
	for _, more := range [][]byte{{0}, make([]byte, boltPage), good[:boltPage], good} {
		m.try(file, "whole", attackExtend, m.sound, image{name: append(bytes.Clone(good), more...)})
	}
	for i := range n {
		for j := range i {
			m.try(file, "pages", attackSwap, m.sound, m.sound.edit(name, func(b []byte) []byte {
				copy(b[i*boltPage:][:boltPage], good[j*boltPage:])
				copy(b[j*boltPage:][:boltPage], good[i*boltPage:])
				return b
			}))
		}
	}
	for _, c := range []struct {
		attack string
		other  []byte
	}{{attackForeign, m.twin[name]}, {attackReplay, m.older[name]}} {
		for i := range min(n, len(c.other)/boltPage) {
			m.try(file, "pages", c.attack, m.sound, m.sound.edit(name, func(b []byte) []byte {
				copy(b[i*boltPage:][:boltPage], c.other[i*boltPage:])
				return b
			}))
		}
	}
	m.wholeFile(file, name, m.older)
}

// wholeFile puts other files, or none, in a file's place.
func (m *matrix) wholeFile(file, name string, older image) {
	m.try(file, "whole", attackDelete, m.sound, image{name: nil})
	m.try(file, "whole", attackOther, m.sound, image{name: m.twin[name]})
	m.try(file, "whole", attackZero, m.sound, image{name: make([]byte, len(m.sound[name]))})
	if older != nil {
		m.try(file, "whole", attackOlder, m.sound, image{name: older[name]})
	}
	for other, b := range m.sound {
		if path.Dir(other) != path.Dir(name) {
			m.try(file, "whole", attackKind, m.sound, image{name: b})
		}
	}
}

// clearRecord edits every byte of the clear record, as somebody would who knows
// the format.
func (m *matrix) clearRecord() {
	record := m.sound.record(m.t, "byokdb", "clear")
	keyIDAt := 35
	keyURIAt := keyIDAt + 4 + int(binary.BigEndian.Uint32(record[keyIDAt:]))
	policyAt := keyURIAt + 4 + int(binary.BigEndian.Uint32(record[keyURIAt:]))
	for _, c := range []struct {
		part     string
		from, to int
	}{
		{"clear record: version, features that must be known", 0, 6},
		{"clear record: features that may be ignored", 6, 10},
		{"clear record: database id", 10, 26},
		{"clear record: time of creation", 26, 34},
		{"clear record: development flag", 34, 35},
		{"clear record: KEK id", keyIDAt, keyURIAt},
		{"clear record: size of the key URI", keyURIAt, keyURIAt + 4},
		{"clear record: key URI", keyURIAt + 4, policyAt},
		{"clear record: policy", policyAt, len(record)},
	} {
		for at := c.from; at < c.to; at++ {
			m.editRecord(c.part, "byokdb", "clear", record, at)
		}
	}
}

// editRecord flips one bit of a record and makes its checksum right.
func (m *matrix) editRecord(part, bucket, key string, record []byte, at int) {
	b := bytes.Clone(record)
	b[at] ^= 1 << (at % 8)
	m.try("catalog", part, attackEdit, m.sound, m.sound.withRecord(m.t, bucket, key, b))
}

// otherRecords edits every byte of guard record, manifest, envelope and journal.
func (m *matrix) otherRecords() {
	for _, c := range []struct {
		part, bucket, key string
		from, to          int
	}{
		{"guard record: version", "byokdb", "guard", 0, 1},
		{"guard record: state, class, times, provider's words", "byokdb", "guard", 1, -1},
		{"manifest: clear header, its own checksum not made right", "byokdb", "manifest", 0, 106},
		{"manifest: sealed", "byokdb", "manifest", 106, -1},
		{"envelope: database id, epoch, KEK id, wrapped DEK, check value", "envelopes", "\x00\x00\x00\x01", 0, -1},
		{"journal: an entry", "journal", "\x00\x00\x00\x00\x00\x00\x00\x01", 0, -1},
	} {
		record := m.sound.record(m.t, c.bucket, c.key)
		to := c.to
		if to < 0 {
			to = len(record)
		}
		for _, i := range sample(to-c.from, 60) {
			at := c.from + i
			if c.bucket == "envelopes" && at >= 21 && at < 29 {
				m.editRecord("envelope: time of creation", c.bucket, c.key, record, at)
				continue
			}
			m.editRecord(c.part, c.bucket, c.key, record, at)
		}
	}
	manifest := m.sound.record(m.t, "byokdb", "manifest")
	for at := range 102 {
		b := bytes.Clone(manifest)
		b[at] ^= 1 << (at % 8)
		binary.BigEndian.PutUint32(b[102:], crc32.Checksum(b[:102], crc32.MakeTable(crc32.Castagnoli)))
		m.try("catalog", "manifest: clear header", attackEdit, m.sound, m.sound.withRecord(m.t, "byokdb", "manifest", b))
	}
}

// foreignRecords removes records, and puts genuine ones of elsewhere in their
// places.
func (m *matrix) foreignRecords() {
	env := string([]byte{0, 0, 0, 1})
	for _, c := range []struct{ part, bucket, key string }{
		{"clear record", "byokdb", "clear"},
		{"guard record", "byokdb", "guard"},
		{"manifest", "byokdb", "manifest"},
		{"envelope", "envelopes", env},
	} {
		try := func(attack string, value []byte) {
			m.try("catalog", c.part, attack, m.sound, m.sound.withRecord(m.t, c.bucket, c.key, value))
		}
		try(attackDelete, nil)
		try(attackOther, m.twin.record(m.t, c.bucket, c.key))
		if c.part == "guard record" || c.part == "manifest" { // the others never change
			try(attackOlder, m.older.record(m.t, c.bucket, c.key))
		}
	}
	try := func(part, attack, bucket, key string, value []byte) {
		m.try("catalog", part, attack, m.sound, m.sound.withRecord(m.t, bucket, key, value))
	}
	erased := m.sound.record(m.t, "byokdb", "guard")
	erased[1] = byte(Erased)
	try("guard record", "state made *erased*", "byokdb", "guard", erased)
	try("guard record", "garbage", "byokdb", "guard", []byte("\x01garbage"))
	newer := m.sound.record(m.t, "byokdb", "guard")
	newer[0]++
	try("guard record", "of a newer version", "byokdb", "guard", newer)
	clear := m.sound.record(m.t, "byokdb", "clear")
	clear[34] ^= 1
	try("clear record: development flag", "the other one of the two", "byokdb", "clear", clear)
	try("tombstone", "planted", "byokdb", "tombstone", make([]byte, 36))
	try("record of unknown name", attackExtra, "byokdb", "more", []byte("value"))
	wrapped := m.sound.record(m.t, "envelopes", env)
	second := bytes.Clone(wrapped)
	second[20] = 2
	try("envelope", "one more, of an epoch that never was", "envelopes", string([]byte{0, 0, 0, 2}), second)
	try("envelope", "emptied", "envelopes", env, []byte{})
	try("envelope", "one more, emptied", "envelopes", string([]byte{0, 0, 0, 2}), []byte{})
	entries := m.sound.salvaged(m.t).Journal
	if len(entries) < 2 {
		m.t.Fatalf("%d journal entries", len(entries))
	}
	seq := func(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }
	try("journal", "the last entry removed", "journal", seq(uint64(len(entries))), nil)
	try("journal", "an entry before others removed", "journal", seq(1), nil)
	m.try("catalog", "journal", "an entry edited, all hashes made anew", m.sound, withCatalog(m.t, m.sound,
		func(_ func(string, string) []byte, put func(string, string, []byte)) {
			hash := make([]byte, sha256.Size)
			for i, e := range entries {
				data := bytes.Replace(e.Data, []byte("denied"), []byte("none"), 1)
				sum := sha256.Sum256(slices.Concat([]byte("byokdb journal v1"), []byte(seq(uint64(i+1))), hash, data))
				hash = sum[:]
				put("journal", seq(uint64(i+1)), slices.Concat(hash, data))
			}
		}))
	m.try("catalog", "journal", "all of it removed", m.sound, withCatalog(m.t, m.sound,
		func(_ func(string, string) []byte, put func(string, string, []byte)) {
			for i := range entries {
				put("journal", seq(uint64(i+1)), nil)
			}
		}))
}

// runPages attacks the first run page by page.
func (m *matrix) runPages() {
	const file, name = "run", "runs/00000001.run"
	pages := m.pages[name]
	seen := map[string]bool{}
	for _, p := range pages {
		seen[p.Kind] = true
		for _, at := range sample(int(p.Size), samplesOfBytes) {
			m.try(file, p.Kind, attackFlip, m.sound, m.sound.flip(name, int(p.Offset)+at))
		}
		if p.Kind != "header" {
			m.otherPages(file, name, p, pages)
		}
	}
	if len(seen) != 7 {
		m.t.Fatalf("the run has pages of the kinds %v", seen)
	}
	for at := range 124 {
		m.try(file, "header", attackEdit, m.sound, m.sound.edit(name, func(b []byte) []byte {
			b[at] ^= 1 << (at % 8)
			binary.BigEndian.PutUint32(b[124:], crc32.Checksum(b[:124], crc32.MakeTable(crc32.Castagnoli)))
			return b
		}))
	}
}

// otherPages puts pages of elsewhere in a page's place.
func (m *matrix) otherPages(file, name string, p pager.PageInfo, pages []pager.PageInfo) {
	put := func(attack string, from []byte) {
		m.try(file, p.Kind, attack, m.sound, m.sound.edit(name, func(b []byte) []byte {
			copy(b[p.Offset:p.Offset+p.Size], from)
			return b
		}))
	}
	for _, other := range []image{m.twin, m.fork} {
		for _, path := range other.paths(m.t, "runs/*") {
			if !bytes.Equal(other[path], m.sound[name]) && len(other[path]) > int(p.Offset) {
				put(attackForeign, other[path][p.Offset:])
			}
		}
	}
	put(attackZero, make([]byte, p.Size))
	for _, q := range pages[1:] {
		if q.Offset >= p.Offset || q.Size != p.Size && q.Kind == p.Kind && p.Kind != "leaf" {
			continue
		}
		n := min(p.Size, q.Size)
		m.try(file, p.Kind, attackSwap, m.sound, m.sound.edit(name, func(b []byte) []byte {
			copy(b[p.Offset:p.Offset+n], m.sound[name][q.Offset:])
			copy(b[q.Offset:q.Offset+n], m.sound[name][p.Offset:])
			return b
		}))
	}
}

// runFiles attacks runs as files.
func (m *matrix) runFiles() {
	const file, name, second = "run", "runs/00000001.run", "runs/00000002.run"
	good := m.sound[name]
	for _, size := range sample(len(good), 50) {
		m.try(file, "whole", attackCut, m.sound, image{name: good[:size]})
	}
	for _, p := range m.pages[name] { // and on both sides of every boundary
		for d := int64(-1); d <= 1; d++ {
			if size := p.Offset + d; size >= 0 {
				m.try(file, "whole", attackCut, m.sound, image{name: good[:size]})
			}
		}
	}
	for _, more := range [][]byte{{0}, make([]byte, 4096), good[len(good)-156:], good} {
		m.try(file, "whole", attackExtend, m.sound, image{name: append(bytes.Clone(good), more...)})
	}
	m.wholeFile(file, name, nil)
	m.try(file, "whole", attackFork, m.sound, image{second: m.fork[second]})
	m.try(file, "whole", attackNames, m.sound, image{name: m.sound[second], second: good})
	m.try(file, "whole", attackExtra, m.sound, image{"runs/00000099.run": good})
	m.try(file, "whole", attackExtra, m.sound, image{"runs/00000003.run": m.twin[name]})
}

// frames returns the frames of a segment, in the clear.
func (m *matrix) frames(im image, name string) []wal.FrameInfo {
	dir := m.t.TempDir()
	image{path.Base(name): im[name]}.put(m.t, dir)
	info, err := wal.InspectSegment(m.t.Context(), vfs.OS(), dir+"/"+path.Base(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return info.Frames
}

// logs returns the two forms of the log, and the name of the segment in which
// the last commits are.
func (m *matrix) logs() []struct {
	file string
	im   image
	name string
} {
	name := m.newest(m.sound)
	if name != m.newest(m.crashed) {
		m.t.Fatal("the exhibits end in different segments")
	}
	return []struct {
		file string
		im   image
		name string
	}{{"log, closed", m.sound, name}, {"log, crashed", m.crashed, name}}
}

// newest returns the last segment that has frames with commits.
func (m *matrix) newest(im image) string {
	names := im.paths(m.t, "wal/*.wal")
	for _, name := range slices.Backward(names) {
		if len(m.frames(im, name)) > 1 {
			return name
		}
	}
	m.t.Fatalf("no segment of %v has frames", names)
	return ""
}

// segmentBytes flips and cuts the newest segment.
func (m *matrix) segmentBytes() {
	for _, c := range m.logs() {
		good, frames := c.im[c.name], m.frames(c.im, c.name)
		flip := func(part string, from, to int) {
			for _, at := range sample(to-from, samplesOfBytes) {
				m.try(c.file, part, attackFlip, c.im, c.im.flip(c.name, from+at))
			}
		}
		flip("header", 0, 136)
		flip("header: reserved", 136, 4096)
		for at := range 136 {
			m.try(c.file, "header", attackEdit, c.im, c.im.edit(c.name, func(b []byte) []byte {
				b[at] ^= 1 << (at % 8)
				binary.BigEndian.PutUint32(b[4092:], crc32.Checksum(b[:4092], crc32.MakeTable(crc32.Castagnoli)))
				return b
			}))
		}
		for i, f := range frames {
			part := "a frame before others"
			switch {
			case f.Kind == "end":
				part = "the end frame"
			case i == len(frames)-1:
				part = "the last frame"
			}
			begin := int(f.Offset)
			end := begin + 20 + int(f.Size)
			flip(part+": header", begin, begin+20)
			flip(part+": sealed", begin+20, end)
			next := min((end+511)/512*512, len(good))
			flip("padding between frames", end, next)
			if i == len(frames)-1 {
				flip("space behind the last frame", next, min(next+8192, len(good)))
			}
		}
		for _, size := range sample(len(good), 50) {
			m.try(c.file, m.cutPart(size, frames), attackCut, c.im, image{c.name: good[:size]})
		}
		for _, f := range frames {
			for d := int64(-1); d <= 1; d++ {
				size := int(f.Offset + d)
				m.try(c.file, m.cutPart(size, frames), attackCut, c.im, image{c.name: good[:size]})
			}
		}
		for _, more := range [][]byte{{0}, make([]byte, 8192), good[4096:]} {
			m.try(c.file, "whole", attackExtend, c.im, image{c.name: append(bytes.Clone(good), more...)})
		}
	}
}

// cutPart says what a cut takes.
func (m *matrix) cutPart(size int, frames []wal.FrameInfo) string {
	last := frames[len(frames)-1]
	for _, f := range slices.Backward(frames) {
		if f.Kind == "data" {
			last = f
			break
		}
	}
	switch {
	case size < 4096:
		return "header"
	case size < int(last.Offset+20+last.Size):
		return "frames"
	default:
		return "behind the frames"
	}
}

// segmentFrames moves frames about.
func (m *matrix) segmentFrames() {
	for _, c := range m.logs() {
		frames := m.frames(c.im, c.name)
		bytesOf := func(im image, name string, f wal.FrameInfo) []byte {
			return im[name][f.Offset : f.Offset+20+f.Size]
		}
		put := func(part, attack string, at int64, frame []byte) {
			m.try(c.file, part, attack, c.im, c.im.edit(c.name, func(b []byte) []byte {
				if n := int(at) + len(frame); n > len(b) {
					b = append(b, make([]byte, n-len(b))...)
				}
				copy(b[at:], frame)
				return b
			}))
		}
		part := func(i int) string {
			if i == len(frames)-1 {
				return "the last frame"
			}
			return "a frame before others"
		}
		end := frames[len(frames)-1]
		behind := (end.Offset + 20 + end.Size + 511) / 512 * 512
		for i, f := range frames {
			put(part(i), attackZero, f.Offset, make([]byte, 20+f.Size))
			put("behind the last frame", "an older frame once more", behind, bytesOf(c.im, c.name, f))
			for j, g := range frames {
				if i != j {
					put(part(i), "another frame of the log in its place", f.Offset, bytesOf(c.im, c.name, g))
				}
			}
			for _, other := range []image{m.twin, m.fork} {
				name := m.newest(other)
				for _, g := range m.frames(other, name) {
					put(part(i), "a frame of another log in its place", f.Offset, bytesOf(other, name, g))
				}
			}
		}
		for _, name := range c.im.paths(m.t, "wal/*.wal") {
			if name == c.name {
				continue
			}
			for _, g := range m.frames(c.im, name) {
				put("a frame before others", "a frame of another segment in its place", frames[0].Offset, bytesOf(c.im, name, g))
				put("behind the last frame", "a frame of another segment", behind, bytesOf(c.im, name, g))
			}
		}
	}
}

// segmentFiles attacks segments as files.
func (m *matrix) segmentFiles() {
	for _, c := range m.logs() {
		names := c.im.paths(m.t, "wal/*.wal")
		whole := func(part, attack string, change image) { m.try(c.file, part, attack, c.im, change) }
		for i, name := range names {
			part := "a segment before others"
			if i == len(names)-1 {
				part = "the newest segment"
			}
			whole(part, attackDelete, image{name: nil})
			whole(part, attackZero, image{name: make([]byte, len(c.im[name]))})
			whole(part, attackKind, image{name: c.im["runs/00000001.run"]})
			if b := m.twin[name]; b != nil {
				whole(part, attackOther, image{name: b})
			}
			if b := m.fork[name]; b != nil && !bytes.Equal(b, c.im[name]) {
				whole(part, attackFork, image{name: b})
			}
			for _, other := range names[:i] {
				whole("segments", attackNames, image{name: c.im[other], other: c.im[name]})
			}
		}
		last := names[len(names)-1]
		number := func(d int) string {
			n := 0
			if _, err := fmt.Sscanf(path.Base(last), "%d", &n); err != nil {
				m.t.Fatal(err)
			}
			return fmt.Sprintf("wal/%08d.wal", n+d)
		}
		whole("segments", "one more, above the newest", image{number(1): c.im[last]})
		whole("segments", "one more, with a gap", image{number(5): c.im[last]})
		whole("segments", "one more, below the floor", image{"wal/00000001.wal": m.older[m.newest(m.older)]})
		if c.file == "log, closed" {
			whole("the newest segment", "the same, of before it was closed", image{c.name: m.crashed[c.name]})
		}
		whole("whole", attackDelete, maps.Collect(func(yield func(string, []byte) bool) {
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
		}))
	}
}

// otherFiles adds files that mean nothing.
func (m *matrix) otherFiles() {
	for _, base := range []image{m.sound, m.crashed} {
		for _, name := range []string{
			"catalog.tmp", "wal/00000007.wal.tmp", "wal/00000008.wal.free", "wal/7.wal", "wal/notes", "runs/notes", "notes", ".DS_Store",
		} {
			part := "names that nothing reads"
			if strings.Contains(name, "tmp") || strings.Contains(name, "free") {
				part = "names of unfinished files"
			}
			for _, b := range [][]byte{{}, []byte("text"), base[catalog.FileName], base["runs/00000001.run"], base[m.newest(base)]} {
				m.try("other files", part, "added", base, image{name: b})
			}
		}
	}
}

// directory attacks it as a whole.
func (m *matrix) directory() {
	m.try("directory", "whole", "an older state of the whole", m.sound, m.sound.of(m.older))
	m.try("directory", "whole", attackOther, m.sound, m.sound.of(m.twin))
	m.try("directory", "whole", attackFork, m.sound, m.sound.of(m.fork))
	noCatalog := image{catalog.FileName: m.older[catalog.FileName]}
	m.try("directory", "whole", "an older catalog, runs and log as they are", m.sound, noCatalog)
	withLog := m.sound.of(m.older)
	maps.DeleteFunc(withLog, func(name string, _ []byte) bool { return path.Dir(name) == "runs" })
	m.try("directory", "whole", "an older catalog and log, runs as they are", m.sound, withLog)
	only := func(keep string) image {
		return maps.Collect(func(yield func(string, []byte) bool) {
			for name := range m.sound {
				if path.Dir(name) == keep && !yield(name, nil) {
					return
				}
			}
		})
	}
	m.try("directory", "runs", "all deleted", m.sound, only("runs"))
	m.try("directory", "log", "all deleted", m.sound, only("wal"))
}

// keys opens with keys that are not the database's.
func (m *matrix) keys() {
	m.tryKey("none", "key", "opened with another key", m.sound, image{}, newFakeKey("other"))
	m.tryKey("none", "key", "opened with a key of the same name that wrapped nothing", m.sound, image{}, newFakeKey("k"))
	wrong := newFakeKey("k")
	m.key.mu.Lock()
	for wrapped, dek := range m.key.deks {
		dek[0]++
		wrong.deks[wrapped] = dek
	}
	m.key.mu.Unlock()
	m.tryKey("none", "key", "the KMS returns another DEK", m.sound, image{}, wrong)
}
