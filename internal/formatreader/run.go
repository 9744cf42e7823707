package formatreader

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// The kinds of pages, FORMAT.md §4.
const (
	pageLeaf       = 1
	pageInner      = 2
	pageFilter     = 3
	pageProperties = 4
	pageValue      = 5
	pageTrailer    = 6
)

const (
	runHeaderSize = 128
	trailerSize   = 156
	filterStride  = 64*64 + 5 + overhead
	contentsMax   = 262144
	chunkSize     = 262144
	valueMax      = 67108864
)

// Entry is one entry of a run: an internal key with a value or a tombstone.
type Entry struct {
	Key, Value []byte
	Tombstone  bool
}

// runFile is a run that is being read.
type runFile struct {
	data     []byte
	key      []byte
	zstd     bool
	pageSize int
	pages    map[uint64]uint64
	entries  []Entry
}

// ReadRun checks a whole run file and returns its entries in order. want is
// what the manifest says about it; nil skips the comparison (run and epoch
// are then the header's).
func ReadRun(data []byte, id [16]byte, deks map[uint32][]byte, want *Run) ([]Entry, error) {
	f := &runFile{data: data, pages: map[uint64]uint64{}}
	number, err := f.readHeader(id, deks, want)
	if err != nil {
		return nil, err
	}
	if len(data) < runHeaderSize+trailerSize {
		return nil, damaged("file is too short")
	}
	end := len(data) - trailerSize
	plain, err := openSealed(f.key, data[end:], uint64(end), pageTrailer)
	if err != nil {
		return nil, fmt.Errorf("trailer: %w", err)
	}
	in := input{b: plain}
	size, trailerRun := in.u64(), in.u64()
	got := Run{Entries: in.u64(), Tombstones: in.u64(), KeyBytes: in.u64(), ValueBytes: in.u64(), Root: [16]byte(data[len(data)-16:])}
	nPages, root, levels, pad := in.u64(), in.take(12), int(in.u8()), in.take(3)
	properties, filterAt, filterBlocks, rest := in.take(12), in.u64(), in.u32(), in.take(32)
	if err := in.done("trailer"); err != nil {
		return nil, err
	}
	if size != uint64(len(data)) || trailerRun != number || levels > 32 || !allZero(pad) || !allZero(rest) {
		return nil, damaged("trailer")
	}
	if want != nil {
		if got.Root != want.Root || size != want.Size || got.Entries != want.Entries || got.Tombstones != want.Tombstones ||
			got.KeyBytes != want.KeyBytes || got.ValueBytes != want.ValueBytes {
			return nil, damaged("another run is in this place")
		}
	}
	if got.Entries == 0 {
		if !allZero(root) || levels != 0 {
			return nil, damaged("root of an empty run")
		}
	} else if err := f.readNode(root, levels, nil, nil); err != nil {
		return nil, err
	}
	if err := f.readProperties(properties, want); err != nil {
		return nil, err
	}
	if err := f.readFilter(filterAt, filterBlocks, got.Entries); err != nil {
		return nil, err
	}
	return f.entries, f.checkWhole(got, nPages, uint64(end))
}

func (f *runFile) readHeader(id [16]byte, deks map[uint32][]byte, want *Run) (number uint64, err error) {
	b := f.data
	if len(b) < 8 || string(b[:8]) != "byokrun\x1a" {
		return 0, damaged("not a run")
	}
	if len(b) < runHeaderSize || !endsWithChecksum(b[:runHeaderSize]) {
		return 0, damaged("checksum of the header")
	}
	in := input{b: b[8:runHeaderSize]}
	version, suite, zero, flags := in.u16(), in.u8(), in.u8(), in.u32()
	switch {
	case version == 0:
		return 0, damaged("version")
	case version > 1 || suite != 1 || flags&^1 != 0:
		return 0, tooNew("version %d, cipher suite %d, features %#x", version, suite, flags)
	}
	f.zstd = flags&1 != 0
	fileID := in.take(16)
	number = in.u64()
	epoch, pageSize := in.u32(), in.u32()
	if zero != 0 || !allZero(b[112:124]) || epoch == 0 || pageSize < 4096 || pageSize > 65536 {
		return 0, damaged("header")
	}
	f.pageSize = int(pageSize)
	dek := deks[epoch]
	if want != nil {
		dek = deks[want.Epoch]
	}
	if dek == nil {
		return 0, damaged("no envelope of epoch %d", epoch)
	}
	key, commitment := derive(dek, b[48:80], kindRun, b[:80])
	if !bytes.Equal(commitment, b[80:112]) {
		return 0, fmt.Errorf("run: %w", ErrWrongKey)
	}
	if !bytes.Equal(fileID, id[:]) || want != nil && (number != want.Number || epoch != want.Epoch) {
		return 0, damaged("another run is in this place")
	}
	f.key = key
	return number, nil
}

// page opens the page that a ref names and returns its contents.
func (f *runFile) page(ref []byte, kind byte) ([]byte, error) {
	offset, size := binary.BigEndian.Uint64(ref), uint64(binary.BigEndian.Uint32(ref[8:]))
	if end := uint64(len(f.data) - trailerSize); offset < runHeaderSize || offset > end || size > end-offset || size < overhead+5 {
		return nil, damaged("page out of the file")
	}
	if _, twice := f.pages[offset]; twice {
		return nil, damaged("page at %d is reached twice", offset)
	}
	f.pages[offset] = size
	plain, err := openSealed(f.key, f.data[offset:offset+size], offset, kind)
	if err != nil {
		return nil, fmt.Errorf("page at %d: %w", offset, err)
	}
	codec, stated, contents := plain[0], int(binary.BigEndian.Uint32(plain[1:])), plain[5:]
	if stated < 1 || stated > contentsMax {
		return nil, damaged("size of the page at %d", offset)
	}
	switch {
	case codec == 0:
	case codec == 1:
		n, err := s2.DecodedLen(contents)
		if err != nil || n != stated {
			return nil, damaged("S2 size of the page at %d", offset)
		}
		if contents, err = s2.Decode(nil, contents); err != nil {
			return nil, damaged("S2 block of the page at %d", offset)
		}
	case codec == 2 && f.zstd:
		contents, err = decodeZstd(contents, stated)
		if err != nil {
			return nil, damaged("zstd frame of the page at %d", offset)
		}
	default:
		return nil, damaged("codec of the page at %d", offset)
	}
	if len(contents) != stated || kind == pageFilter && codec != 0 {
		return nil, damaged("contents of the page at %d", offset)
	}
	return contents, nil
}

func decodeZstd(b []byte, size int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil || !h.HasFCS || h.FrameContentSize != uint64(size) {
		return nil, ErrDamaged
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(contentsMax), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(b, nil)
}

// readNode reads a node that lies levels above the leaves, and all below it.
// Its keys are at least low and below high; nil for none.
func (f *runFile) readNode(ref []byte, levels int, low, high []byte) error {
	kind := byte(pageLeaf)
	if levels > 0 {
		kind = pageInner
	}
	b, err := f.page(ref, kind)
	if err != nil {
		return err
	}
	entries, err := parseNode(b, kind)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if low != nil && bytes.Compare(e.key, low) < 0 || high != nil && bytes.Compare(e.key, high) >= 0 {
			return damaged("key out of its node's range")
		}
		if kind == pageLeaf {
			if err := f.addEntry(e); err != nil {
				return err
			}
			continue
		}
		next := high
		if i+1 < len(entries) {
			next = entries[i+1].key
		}
		if len(e.value) != 12 {
			return damaged("ref of a child")
		}
		if err := f.readNode(e.value, levels-1, e.key, next); err != nil {
			return err
		}
	}
	return nil
}

type nodeEntry struct {
	flags      byte
	key, value []byte
}

// parseNode keeps R7, and checks order, heads and prefix too.
func parseNode(b []byte, kind byte) ([]nodeEntry, error) {
	in := input{b: b}
	nodeKind, z1, n, prefix, z2 := in.u8(), in.u8(), int(in.u16()), int(in.u16()), in.u16()
	if in.short || nodeKind != kind || z1 != 0 || z2 != 0 || n < 1 || 8+8*n > len(b) {
		return nil, damaged("head of a node")
	}
	entries := make([]nodeEntry, 0, n)
	at := func(i int) int {
		if i == n {
			return len(b)
		}
		return int(binary.BigEndian.Uint32(b[8+8*i+4:]))
	}
	if at(0) != 8+8*n {
		return nil, damaged("entries of a node begin elsewhere")
	}
	for i := range n {
		from, to := at(i), at(i+1)
		if to > len(b) || from+3 > to {
			return nil, damaged("slots of a node")
		}
		e := nodeEntry{flags: b[from]}
		k := int(binary.BigEndian.Uint16(b[from+1:]))
		if k < 1 || k > 32784 || k < prefix || from+3+k > to {
			return nil, damaged("length of a key")
		}
		e.key, e.value = b[from+3:from+3+k], b[from+3+k:to]
		head := append(bytes.Clone(e.key[prefix:min(k, prefix+4)]), 0, 0, 0, 0)[:4]
		if !bytes.Equal(head, b[8+8*i:8+8*i+4]) {
			return nil, damaged("head of a slot")
		}
		if i > 0 && (bytes.Compare(entries[i-1].key, e.key) >= 0 || !bytes.Equal(entries[0].key[:prefix], e.key[:prefix])) {
			return nil, damaged("keys of a node")
		}
		sound := kind == pageInner && e.flags == 0 || kind == pageLeaf && (e.flags == 1 || e.flags == 0x81 || e.flags == 2 && len(e.value) == 0)
		if !sound {
			return nil, damaged("flags of an entry")
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (f *runFile) addEntry(e nodeEntry) error {
	if n := len(f.entries); n > 0 && bytes.Compare(f.entries[n-1].Key, e.key) >= 0 {
		return damaged("keys of the leaves")
	}
	out := Entry{Key: e.key, Value: e.value, Tombstone: e.flags == 2}
	if e.flags == 0x81 {
		in := input{b: e.value}
		size := int(in.u32())
		if size < 1 || size > valueMax || len(in.b) != (size+chunkSize-1)/chunkSize*12 { // R8
			return damaged("refs of a large value")
		}
		out.Value = nil
		for len(in.b) > 0 {
			chunk, err := f.page(in.take(12), pageValue)
			if err != nil {
				return err
			}
			if len(chunk) != min(chunkSize, size-len(out.Value)) {
				return damaged("chunk of a large value")
			}
			out.Value = append(out.Value, chunk...)
		}
	} else if len(e.value) > f.pageSize/4 {
		return damaged("a large value within a leaf")
	}
	f.entries = append(f.entries, out)
	return nil
}

func (f *runFile) readProperties(ref []byte, want *Run) error {
	b, err := f.page(ref, pageProperties)
	if err != nil {
		return err
	}
	in := input{b: b}
	if v := in.u32(); v > 1 {
		return tooNew("properties version %d", v)
	} else if v == 0 {
		return damaged("properties version")
	}
	first, last := in.brief(), in.brief()
	if err := in.done("properties"); err != nil {
		return err
	}
	var haveFirst, haveLast []byte
	if n := len(f.entries); n > 0 {
		haveFirst, haveLast = f.entries[0].Key, f.entries[n-1].Key
	}
	if !bytes.Equal(first, haveFirst) || !bytes.Equal(last, haveLast) ||
		want != nil && (!bytes.Equal(first, want.First) || !bytes.Equal(last, want.Last)) {
		return damaged("first or last key")
	}
	return nil
}

// checkWhole keeps R10 and compares the trailer's counts.
func (f *runFile) checkWhole(want Run, nPages, end uint64) error {
	at, n := uint64(runHeaderSize), uint64(0)
	for at != end {
		size, ok := f.pages[at]
		if !ok {
			return damaged("nothing names the bytes at %d", at)
		}
		at += size
		n++
	}
	if n != uint64(len(f.pages)) || n != nPages {
		return damaged("number of pages")
	}
	got := Run{Entries: uint64(len(f.entries))}
	for _, e := range f.entries {
		got.KeyBytes += uint64(len(e.Key))
		got.ValueBytes += uint64(len(e.Value))
		if e.Tombstone {
			got.Tombstones++
		}
	}
	if got.Entries != want.Entries || got.Tombstones != want.Tombstones || got.KeyBytes != want.KeyBytes || got.ValueBytes != want.ValueBytes {
		return damaged("counts of the trailer")
	}
	return nil
}
