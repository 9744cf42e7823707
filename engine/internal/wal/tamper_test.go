package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// image is the files of a log's directory.
type image map[string][]byte

func read(tb testing.TB, cfg Config) image {
	tb.Helper()
	entries, err := os.ReadDir(cfg.Dir)
	mustDo(tb, err)
	im := image{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(cfg.Dir, e.Name()))
		mustDo(tb, err)
		im[e.Name()] = b
	}
	return im
}

// with returns a copy in which one file is replaced, or removed by nil.
func (im image) with(name string, b []byte) image {
	out := maps.Clone(im)
	if out[name] = b; b == nil {
		delete(out, name)
	}
	return out
}

// put writes an image over a log's directory.
func (im image) put(tb testing.TB, cfg Config) {
	tb.Helper()
	mustDo(tb, os.RemoveAll(cfg.Dir))
	mustDo(tb, os.MkdirAll(cfg.Dir, 0o700))
	for name, b := range im {
		mustDo(tb, os.WriteFile(filepath.Join(cfg.Dir, name), b, 0o600))
	}
}

// imageFS reads an image. Recovery that only reads calls nothing else.
type imageFS struct {
	vfs.FS // nil
	im     image
}

type imageFile struct {
	vfs.File // nil
	*bytes.Reader
}

func (f imageFS) List(string) ([]string, error) {
	return slices.Sorted(maps.Keys(f.im)), nil
}

func (f imageFS) Open(path string) (vfs.File, error) {
	b, ok := f.im[filepath.Base(path)]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return imageFile{Reader: bytes.NewReader(b)}, nil
}

func (f imageFile) ReadAt(p []byte, off int64) (int, error) { return f.Reader.ReadAt(p, off) }
func (f imageFile) Size() (int64, error)                    { return f.Reader.Size(), nil }
func (f imageFile) Close() error                            { return nil }

// replayed reads an image and returns what it holds.
func (im image) replayed(tb testing.TB, cfg Config, floor Floor) (*collected, error) {
	tb.Helper()
	cfg.FS = imageFS{im: im}
	var c collected
	_, _, err := recoverLog(context.Background(), cfg.withDefaults(), floor, nil, c.add)
	var se *SegmentError
	if err != nil && (!errors.As(err, &se) || se.Path == "" || strings.Contains(err.Error(), "payload 0")) {
		tb.Fatalf("the error says no place: %v", err)
	}
	return &c, err
}

// newest returns the name of the last segment.
func (im image) newest() string {
	last := ""
	for name := range im {
		if strings.HasSuffix(name, segmentSuffix) {
			last = max(last, name)
		}
	}
	return last
}

// small makes a log of n frames, each synced, and the offsets at which they end.
func small(tb testing.TB, cfg Config, n int) (*Log, []int64) {
	tb.Helper()
	l, _ := mustOpen(tb, cfg, Floor{})
	ends := []int64{headerSize}
	for i := range n {
		mustAppend(tb, l, payloadOf(i))
		mustDo(tb, l.Sync())
		ends = append(ends, l.cur.end)
	}
	return l, ends
}

// frameSpan returns the bytes of a frame without the padding behind it.
func frameSpan(ends []int64, i int) (from, to int64) {
	return ends[i], ends[i] + frameOverhead + int64(len(payloadOf(i)))
}

// TestTruncateAtEveryByte cuts the newest segment at every length: what is
// left of its frames is replayed, whole ones alone, and a header that is cut is
// damage: FORMAT W9, W12.
func TestTruncateAtEveryByte(t *testing.T) {
	cfg := testConfig(t)
	l, ends := small(t, cfg, 4)
	l.Wipe()
	im := read(t, cfg)
	name := im.newest()
	b := im[name]
	for size := int64(0); size <= ends[4]; size++ {
		if size > 16 && size < headerSize-16 && size%256 != 0 {
			continue // the header's zeros
		}
		c, err := im.with(name, b[:size]).replayed(t, cfg, Floor{})
		if size < headerSize {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut at %d: %v", size, err)
			}
			continue
		}
		want := 0
		for want < 4 {
			if _, to := frameSpan(ends, want); to > size {
				break
			}
			want++
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		c.want(t, 0, want)
	}
}

// TestZeroTailAtEveryByte is a crash in which the last frame arrived in part, or
// arrived behind zeros: W12.
func TestZeroTailAtEveryByte(t *testing.T) {
	cfg := testConfig(t)
	l, ends := small(t, cfg, 3)
	l.Wipe()
	im := read(t, cfg)
	name := im.newest()
	from, to := frameSpan(ends, 2)
	for at := from; at < to; at++ {
		for _, head := range []bool{false, true} {
			b := bytes.Clone(im[name])
			if head {
				clear(b[from : at+1])
			} else {
				clear(b[at:])
			}
			if bytes.Equal(b, im[name]) {
				continue // zeros over zeros
			}
			c, err := im.with(name, b).replayed(t, cfg, Floor{})
			if err != nil {
				t.Fatalf("zeros at %d, head %v: %v", at, head, err)
			}
			c.want(t, 0, 2)
		}
	}
}

// TestFlipEveryByte flips one bit in every byte of a log of two segments that
// was closed in order: in a header or a frame it is detected, between frames it
// changes nothing. Only the end frame, which holds nothing, may be lost: W3, W4,
// W8, W9, W13.
func TestFlipEveryByte(t *testing.T) {
	cfg := testConfig(t)
	l, _ := small(t, cfg, 3)
	first := l.cur.number
	_, err := l.Rotate()
	mustDo(t, err)
	for i := 3; i < 6; i++ {
		mustAppend(t, l, payloadOf(i))
	}
	lastEnd := l.cur.end
	mustDo(t, l.Close())
	im := read(t, cfg)
	r := rand.New(rand.NewPCG(1, 1))
	nDetected := 0
	for name, b := range im {
		number, _ := parseSegmentName(name)
		for at := range b {
			if number == first && at >= headerSize && b[at] == 0 && bytes.Count(b[at:], []byte{0}) == len(b)-at {
				break // preallocated space
			}
			flipped := bytes.Clone(b)
			flipped[at] ^= 1 << r.IntN(8)
			c, err := im.with(name, flipped).replayed(t, cfg, Floor{})
			switch {
			case err == nil:
				c.want(t, 0, 6)
				if at < headerSize {
					t.Fatalf("%s: a flipped bit at %d of the header is not noticed", name, at)
				}
			case !errors.Is(err, ErrCorrupt):
				t.Fatalf("%s: flipped at %d: %v", name, at, err)
			case number != first && int64(at) >= lastEnd:
				t.Fatalf("%s: flipped at %d, behind the last payload: %v", name, at, err)
			default:
				nDetected++
			}
		}
	}
	if nDetected < 2*headerSize {
		t.Errorf("only %d flips were detected", nDetected)
	}
}

// TestUnsyncedFramesInAnyPart is a crash that keeps any subset of the frames
// that were not synced: the log opens with those before the first missing one.
// With a sync in between, a missing frame is an error: W5, W6, W12, W13.
func TestUnsyncedFramesInAnyPart(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	ends := []int64{headerSize}
	const nSynced, n = 3, 7
	for i := range n {
		mustAppend(t, l, payloadOf(i))
		if ends = append(ends, l.cur.end); i == nSynced-1 {
			mustDo(t, l.Sync())
		}
	}
	l.Wipe()
	im := read(t, cfg)
	name := im.newest()
	for lost := range 1 << n {
		b := bytes.Clone(im[name])
		want := n
		for i := n - 1; i >= 0; i-- {
			if lost&(1<<i) != 0 {
				clear(b[ends[i]:ends[i+1]])
				want = i
			}
		}
		damaged := want < nSynced && lost>>nSynced != 1<<(n-nSynced)-1
		c, err := im.with(name, b).replayed(t, cfg, Floor{})
		if damaged != errors.Is(err, ErrCorrupt) || err != nil && !damaged {
			t.Fatalf("frames %07b lost: %v", lost, err)
		}
		if err != nil {
			continue
		}
		c.want(t, 0, want)
		// Recovery goes on behind what is left, and the leftovers stay dropped.
		if lost%9 != 0 {
			continue
		}
		im.with(name, b).put(t, cfg)
		l, _ := mustOpen(t, cfg, Floor{})
		mustAppend(t, l, payloadOf(want))
		mustDo(t, l.Sync())
		l.Wipe()
		l, c = mustOpen(t, cfg, Floor{})
		c.want(t, 0, want+1)
		mustDo(t, l.Close())
	}
}

// TestSegmentTampering changes whole files: W9, W10, W11.
func TestSegmentTampering(t *testing.T) {
	cfg := testConfig(t)
	l, _ := small(t, cfg, 2)
	_, err := l.Rotate()
	mustDo(t, err)
	for i := 2; i < 4; i++ {
		mustAppend(t, l, payloadOf(i))
	}
	early := read(t, cfg) // an older state of the second segment
	mustAppend(t, l, payloadOf(4))
	floor, err := l.Rotate()
	mustDo(t, err)
	mustAppend(t, l, payloadOf(5))
	mustDo(t, l.Close())
	im := read(t, cfg)

	other := testConfig(t)
	other.Ring, other.Database = cfg.Ring, crypt.ID{9}
	ol, _ := small(t, other, 3)
	ol.Wipe()
	foreign := read(t, other)

	twin := testConfig(t) // the same database and DEK, another history
	twin.Ring = cfg.Ring
	tl, _ := small(t, twin, 2)
	_, err = tl.Rotate()
	mustDo(t, err)
	tl.Wipe()
	fork := read(t, twin)

	name := func(n uint64) string { return segmentName(n) }
	for _, c := range []struct {
		what string
		im   image
		from Floor
	}{
		{"first segment missing", im.with(name(1), nil), Floor{}},
		{"middle segment missing", im.with(name(2), nil), Floor{}},
		{"all segments missing", image{}, floor},
		{"floor's segment missing", im.with(name(3), nil), floor},
		{"swapped", im.with(name(1), im[name(2)]).with(name(2), im[name(1)]), Floor{}},
		{"copied under the next number", im.with(name(4), im[name(3)]), Floor{}},
		{"older state of a middle segment", im.with(name(2), early[name(2)]), Floor{}},
		{"another database's", im.with(name(1), foreign[name(1)]), Floor{}},
		{"a fork's first segment", im.with(name(1), fork[name(1)]), Floor{}},
		{"a fork's second segment", im.with(name(2), fork[name(2)]), Floor{}},
		{"empty file", im.with(name(2), []byte{}), Floor{}},
		{"zeros", im.with(name(3), make([]byte, 64<<10)), Floor{}},
		{"text", im.with(name(3), []byte(strings.Repeat("no log ", 2000))), Floor{}},
		{"floor's tag", im, Floor{Segment: floor.Segment, Frame: floor.Frame, Tag: Tag{1}}},
		{"floor's frame", im, Floor{Segment: floor.Segment, Frame: floor.Frame + 1, Tag: floor.Tag}},
		{"floor without a frame", im, Floor{Segment: 1}},
	} {
		c.im.put(t, cfg)
		if _, err := Verify(context.Background(), cfg, c.from); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if c, err := im.replayed(t, cfg, floor); err != nil || len(c.payloads) != 1 {
		t.Errorf("the log itself: %v", err)
	}
}

func TestWrongKey(t *testing.T) {
	cfg := testConfig(t)
	l, _ := small(t, cfg, 2)
	mustDo(t, l.Close())
	cfg.Ring = testRing(t, 8)
	if _, err := Verify(context.Background(), cfg, Floor{}); !errors.Is(err, crypt.ErrWrongKey) || errors.Is(err, ErrCorrupt) {
		t.Errorf("with another DEK: %v", err)
	}
}

// TestHeaderVectors are headers with one defect each: W3, W9.
func TestHeaderVectors(t *testing.T) {
	cfg := testConfig(t)
	l, _ := small(t, cfg, 1)
	l.Wipe()
	im := read(t, cfg)
	name := im.newest()
	for _, c := range []struct {
		what string
		edit func(b []byte)
		want error
		sum  bool // the checksum is made right again
	}{
		{"magic", func(b []byte) { b[0] = 'X' }, ErrCorrupt, true},
		{"version 0", func(b []byte) { b[9] = 0 }, ErrCorrupt, true},
		{"version 2", func(b []byte) { b[9] = 2 }, ErrTooNew, true},
		{"version 2, damaged", func(b []byte) { b[9] = 2 }, ErrCorrupt, false},
		{"cipher", func(b []byte) { b[headerCipherAt] = 2 }, ErrTooNew, true},
		{"feature", func(b []byte) { b[headerFeaturesAt] = 1 }, ErrTooNew, true},
		{"reserved byte", func(b []byte) { b[11] = 1 }, ErrCorrupt, true},
		{"reserved bytes", func(b []byte) { b[headerCRCAt-1] = 1 }, ErrCorrupt, true},
		{"database", func(b []byte) { b[headerDatabaseAt] ^= 1 }, ErrCorrupt, true},
		{"segment", func(b []byte) { b[headerSegmentAt+7] ^= 2 }, ErrCorrupt, true},
		{"alignment", func(b []byte) { b[headerAlignAt+3] = 64 }, ErrCorrupt, true},
		{"epoch 0", func(b []byte) { clear(b[headerEpochAt:headerAlignAt]) }, ErrCorrupt, true},
		{"epoch unknown", func(b []byte) { b[headerEpochAt+3] = 2 }, crypt.ErrNoEpoch, true},
		{"salt", func(b []byte) { b[headerSaltAt] ^= 1 }, crypt.ErrWrongKey, true},
		{"first frame", func(b []byte) { b[headerFirstAt+7] ^= 2 }, crypt.ErrWrongKey, true},
		{"tag before", func(b []byte) { b[headerTagAt] ^= 1 }, crypt.ErrWrongKey, true},
		{"commitment", func(b []byte) { b[headerCommitmentAt] ^= 1 }, crypt.ErrWrongKey, true},
		{"checksum", func(b []byte) { b[headerCRCAt] ^= 1 }, ErrCorrupt, false},
	} {
		b := bytes.Clone(im[name])
		c.edit(b)
		if c.sum {
			binary.BigEndian.PutUint32(b[headerCRCAt:], crc32.Checksum(b[:headerCRCAt], castagnoli))
		}
		im.with(name, b).put(t, cfg)
		_, err := Verify(context.Background(), cfg, Floor{})
		nKinds := 0
		for _, kind := range []error{ErrCorrupt, ErrTooNew, crypt.ErrNoEpoch, crypt.ErrWrongKey} {
			if errors.Is(err, kind) {
				nKinds++
			}
		}
		if !errors.Is(err, c.want) || nKinds != 1 {
			t.Errorf("%s: %v, want %v alone", c.what, err, c.want)
		}
	}
}

// TestRecycledSegments reuses files that are full of old frames: none of them
// may show, wherever the new ones end: W2.
func TestRecycledSegments(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxRecycled = 2
	l, _ := mustOpen(t, cfg, Floor{})
	n := 0
	var floor Floor
	for range 5 {
		for range 40 {
			mustAppend(t, l, payloadOf(n))
			n++
		}
		var err error
		floor, err = l.Rotate()
		mustDo(t, err)
		mustDo(t, l.Release(floor))
	}
	if len(l.recycled) == 0 || l.cur.alloc < 20<<10 {
		t.Fatalf("nothing was recycled: %d files, %d B", len(l.recycled), l.cur.alloc)
	}
	below := n
	for range 5 {
		mustAppend(t, l, payloadOf(n))
		n++
		mustDo(t, l.Sync())
		im := read(t, cfg)
		stale := im[im.newest()][l.cur.end:]
		if len(stale) == bytes.Count(stale, []byte{0}) {
			t.Fatal("there are no old frames behind the new ones")
		}
		c, err := im.replayed(t, cfg, floor)
		if err != nil {
			t.Fatal(err)
		}
		c.want(t, below, n-below)
	}
}

// TestCrashWhileRecycling lists what a crash between two steps leaves: files
// that have no segment's name are removed: W1.
func TestCrashWhileRecycling(t *testing.T) {
	cfg := testConfig(t)
	l, _ := small(t, cfg, 3)
	l.Wipe()
	im := read(t, cfg)
	old := im[im.newest()]
	for _, left := range []string{"00000002.wal.tmp", "00000002.wal.free", "00000001.wal.tmp"} {
		im.with(left, old).put(t, cfg)
		l, c := mustOpen(t, cfg, Floor{})
		c.want(t, 0, 3)
		l.Wipe()
		if _, err := os.Stat(filepath.Join(cfg.Dir, left)); err == nil {
			t.Errorf("%s is still there", left)
		}
	}
}

func TestCreate(t *testing.T) {
	cfg := testConfig(t)
	for range 3 { // again over what a crash left of the creation before
		floor, err := Create(cfg)
		mustDo(t, err)
		mustDo(t, os.WriteFile(cfg.path(1)+".tmp", []byte("half"), 0o600))
		if floor != (Floor{Segment: 1, Frame: 1}) {
			t.Fatalf("floor %+v", floor)
		}
	}
	l, c := mustOpen(t, cfg, Floor{Segment: 1, Frame: 1})
	c.want(t, 0, 0)
	mustAppend(t, l, payloadOf(0))
	l.Wipe()
	if _, err := Create(cfg); !errors.Is(err, ErrCorrupt) {
		t.Errorf("creating over somebody's frames: %v", err)
	}
	_, c = mustOpen(t, cfg, Floor{Segment: 1, Frame: 1})
	c.want(t, 0, 1)
}

// TestRandomCrashes lives through many crashes: each keeps a random part of the
// sectors written since the last sync.
func TestRandomCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := testConfig(t)
	cfg.SegmentSize = 24 << 10
	var floor Floor
	below, written, durable := 0, 0, 0
	for round := range 60 {
		l, c := mustOpen(t, cfg, floor)
		if got := below + len(c.payloads); got < durable || got > written {
			t.Fatalf("round %d: %d payloads, want %d to %d", round, got, durable, written)
		}
		c.want(t, below, len(c.payloads))
		written = below + len(c.payloads)
		durable = written
		synced := read(t, cfg)
		for range r.IntN(12) {
			mustAppend(t, l, payloadOf(written))
			written++
			switch r.IntN(6) {
			case 0, 1:
				mustDo(t, l.Sync())
				durable, synced = written, read(t, cfg)
			case 2:
				f, err := l.Rotate()
				mustDo(t, err)
				floor, below = f, written
				mustDo(t, l.Release(floor))
				durable, synced = written, read(t, cfg)
			}
			if l.durable.frame == l.chain.frame-1 && l.cur.nFrames == 1 { // a new segment was begun: the old one is synced
				now := read(t, cfg)
				fresh := now.newest()
				b := bytes.Clone(now[fresh])
				clear(b[headerSize:])
				durable, synced = written-1, now.with(fresh, b)
			}
		}
		l.Wipe()
		im := read(t, cfg)
		name := im.newest()
		b := bytes.Clone(im[name])
		before := append(synced[name], make([]byte, len(b))...)
		for at := headerSize; at+frameAlign <= len(b); at += frameAlign {
			if r.IntN(2) == 0 {
				copy(b[at:at+frameAlign], before[at:])
			}
		}
		im.with(name, b).put(t, cfg)
	}
	if written < 50 {
		t.Errorf("only %d payloads were written", written)
	}
}

func FuzzSegment(f *testing.F) {
	cfg := testConfig(f)
	l, ends := small(f, cfg, 3)
	l.Wipe()
	im := read(f, cfg)
	name := im.newest()
	f.Add(im[name][headerSize:ends[3]], uint16(0))
	f.Add([]byte{}, uint16(0))
	f.Add(im[name][ends[1]:ends[3]], uint16(512))
	f.Fuzz(func(t *testing.T, tail []byte, at uint16) {
		b := append(bytes.Clone(im[name][:headerSize]), make([]byte, int(at))...)
		c, err := im.with(name, append(b, tail...)).replayed(t, cfg, Floor{})
		if err == nil { // whatever opens is genuine
			c.want(t, 0, len(c.payloads))
		}
	})
}

func FuzzHeader(f *testing.F) {
	var raw [headerSize]byte
	(&header{segment: 1, epoch: 1, first: 1}).marshal(&raw)
	f.Add(raw[:])
	f.Fuzz(func(t *testing.T, in []byte) {
		var b, again [headerSize]byte
		copy(b[:], in)
		binary.BigEndian.PutUint32(b[headerCRCAt:], crc32.Checksum(b[:headerCRCAt], castagnoli))
		var h header
		if h.unmarshal(&b) != nil {
			return
		}
		if h.marshal(&again); again != b {
			t.Error("a header that is read is written differently")
		}
	})
}

func TestErrorsNameThePlace(t *testing.T) {
	e := &SegmentError{Path: "p", Offset: 512, Frame: 7, Op: "read frame", Err: corrupt("why")}
	if got := e.Error(); !strings.Contains(got, "frame 7 of p at offset 512") {
		t.Error(got)
	}
	if got := fmt.Sprint(&SegmentError{Path: "p", Op: "read header", Err: ErrTooNew}); !strings.HasPrefix(got, "read header of p: ") {
		t.Error(got)
	}
}

// TestForgedFrames writes frames behind the log with the segment's own key: W11,
// W14.
func TestForgedFrames(t *testing.T) {
	for _, c := range []struct {
		what    string
		number  uint64
		before  Tag
		durable uint64
		kind    byte
		payload string
		nCopies int // of its header alone, behind the end
	}{
		{"number skipped", 4, Tag{}, 2, frameData, "x", 0},
		{"number repeated", 2, Tag{}, 1, frameData, "x", 0},
		{"tag of another", 3, Tag{1}, 2, frameData, "x", 0},
		{"durable in the future", 3, Tag{}, 3, frameData, "x", 0},
		{"end frame with a payload", 3, Tag{}, 2, frameEnd, "x", 0},
		{"headers without end", 9, Tag{}, 2, frameData, strings.Repeat("x", 30000), 8},
	} {
		cfg := testConfig(t)
		l, ends := small(t, cfg, 2)
		if c.before == (Tag{}) {
			c.before = l.chain.tag
		}
		content := append(bytes.Clone(c.before[:]), binary.BigEndian.AppendUint64(nil, c.durable)...)
		content = append(content, c.payload...)
		h := frameHeader{number: c.number, size: uint32(len(content) + crypt.Overhead), kind: c.kind}
		b := make([]byte, frameHeaderSize)
		h.marshal(b, l.cur.seed)
		header := bytes.Clone(b)
		b = l.cur.key.Seal(b, content, crypt.PlaceAAD(c.number, c.kind))
		l.Wipe()
		im := read(t, cfg)
		name := im.newest()
		file := append(bytes.Clone(im[name]), make([]byte, 64<<10)...)
		if c.nCopies == 0 {
			copy(file[ends[2]:], b)
		}
		for i := range c.nCopies {
			copy(file[ends[2]+int64(i+1)*frameAlign:], header)
		}
		if _, err := im.with(name, file).replayed(t, cfg, Floor{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
