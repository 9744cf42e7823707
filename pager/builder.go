package pager

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// BuilderConfig says what run to write and how.
type BuilderConfig struct {
	FS       vfs.FS
	Path     string // must not exist
	Ring     *crypt.KeyRing
	Database crypt.ID
	RunID    uint64

	Epoch       crypt.Epoch // of the DEK; 0 = the ring's current one
	PageSize    int         // logical, in bytes, PageSizeMin to PageSizeMax; 0 = PageSizeDefault
	Compression Compression
}

// Info describes a finished run. It belongs into the sealed manifest: First and
// Last are customer data, and RootTag is what the whole file hangs on.
type Info struct {
	RunID      uint64
	Epoch      crypt.Epoch
	Size       int64  // of the file, in bytes
	Entries    uint64 // tombstones included
	Tombstones uint64
	KeyBytes   uint64
	ValueBytes uint64
	First      []byte // key; nil in an empty run
	Last       []byte // key; nil in an empty run
	RootTag    [crypt.TagSize]byte
}

// Builder writes one run. Entries are added in ascending order of their keys;
// pages are written as they fill, and held outside the Go heap until then. A
// Builder holds 8 bytes for each entry, for the filter, and up to 2 MiB beside.
// It is not safe for concurrent use.
//
// Any error but that of an argument is final: what follows is Abort.
type Builder struct {
	cfg  BuilderConfig
	file vfs.File
	key  *crypt.FileKey
	zstd *zstd.Encoder // nil unless used

	off     uint64 // where the next page begins
	written uint64 // bytes of the file that are written
	started uint64 // bytes of those that the system was asked to bring to the disk
	out     []byte // sealed bytes behind written

	levels []*nodeWriter // leaves first
	sep    buffer        // separator before the open leaf
	last   buffer        // key that was added last
	page   buffer        // a node being encoded
	plain  buffer        // a page being framed and compressed
	refs   []byte        // of the large value being written
	chunk  buffer        // a chunk of a value from a reader
	hashes hashes        // of all keys
	t      trailer
	first  []byte

	err  error // why the builder cannot go on
	done bool
}

// writeSize is how much sealed data is gathered before it is written, in bytes.
const writeSize = 256 << 10

// NewBuilder makes the file and writes nothing yet. Errors: fs.ErrExist,
// crypt.ErrNoEpoch, crypt.ErrWiped; other errors of the file system; a page size
// or compression that does not exist.
func NewBuilder(cfg BuilderConfig) (*Builder, error) {
	if cfg.PageSize == 0 {
		cfg.PageSize = PageSizeDefault
	}
	if cfg.PageSize < PageSizeMin || cfg.PageSize > PageSizeMax {
		return nil, fmt.Errorf("build run: a page size of %d bytes is not between %d and %d", cfg.PageSize, PageSizeMin, PageSizeMax)
	}
	if cfg.Epoch == 0 {
		cfg.Epoch = cfg.Ring.Current()
	}
	h := header{database: cfg.Database, runID: cfg.RunID, epoch: cfg.Epoch, pageSize: uint32(cfg.PageSize), salt: crypt.NewSalt()}
	b := &Builder{cfg: cfg, off: headerSize, out: make([]byte, 0, writeSize+pageSealedSizeMax)}
	switch cfg.Compression {
	case S2, None:
	case Zstd:
		h.features |= featureZstd
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("build run: %w", err)
		}
		b.zstd = enc
	default:
		return nil, fmt.Errorf("build run: unknown compression %d", cfg.Compression)
	}
	raw := h.marshal()
	key, commitment, err := cfg.Ring.Create(cfg.Epoch, crypt.KindRun, h.salt, keyInput(&raw))
	if err != nil {
		return nil, fmt.Errorf("build run: %w", err)
	}
	b.key = key
	h.commitment = commitment
	raw = h.marshal()
	b.out = append(b.out, raw[:]...)
	if b.file, err = cfg.FS.Create(cfg.Path); err != nil {
		key.Wipe()
		return nil, fmt.Errorf("build run: %w", err)
	}
	b.levels = []*nodeWriter{{kind: kindLeaf}}
	return b, nil
}

// Add appends an entry. key has 1 to KeySizeMax bytes and is above all keys
// before; value has at most ValueSizeMax bytes, none for a tombstone. Both are
// copied. After ErrOrder, ErrKeySize and ErrValueSize the builder goes on as if
// the call had not been made.
func (b *Builder) Add(key []byte, kind EntryKind, value []byte) error {
	if err := b.check(key, int64(len(value))); err != nil {
		return err
	}
	switch kind {
	case Put:
	case Tombstone:
		if len(value) != 0 {
			return ErrValueSize
		}
	default:
		return fmt.Errorf("unknown entry kind %d", kind)
	}
	b.err = b.add(key, kind, value)
	return b.err
}

// AddReader is Add of a put whose value is the next size bytes of r. It reads no
// more than these, and holds one chunk of 256 KiB at a time. r must not use the
// builder. An error of r, io.ErrUnexpectedEOF when it ends too soon, is final.
func (b *Builder) AddReader(key []byte, size int64, r io.Reader) error {
	if err := b.check(key, size); err != nil {
		return err
	}
	b.err = b.addReader(key, int(size), r)
	return b.err
}

// check checks the arguments that all ways of adding have.
func (b *Builder) check(key []byte, size int64) error {
	switch {
	case b.done:
		return ErrClosed
	case b.err != nil:
		return b.err
	case len(key) == 0 || len(key) > KeySizeMax:
		return ErrKeySize
	case size < 0 || size > ValueSizeMax:
		return ErrValueSize
	case b.t.entries > 0 && bytes.Compare(key, b.last.bytes()) <= 0:
		return ErrOrder
	}
	return nil
}

func (b *Builder) add(key []byte, kind EntryKind, value []byte) error {
	if !b.large(len(value)) {
		return b.addEntry(key, byte(kind), value, len(value))
	}
	b.beginRefs(len(value))
	for rest := value; len(rest) > 0; {
		n := min(len(rest), chunkSize)
		if err := b.writeChunk(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return b.addEntry(key, byte(kind)|entryLarge, b.refs, len(value))
}

func (b *Builder) addReader(key []byte, size int, r io.Reader) error {
	b.chunk.n = 0
	if err := b.chunk.reserve(max(1, min(size, chunkSize))); err != nil {
		return err
	}
	defer func() {
		clear(b.chunk.mem[:min(size, chunkSize)])
	}()
	if !b.large(size) {
		value := b.chunk.mem[:size]
		if err := readValue(r, value); err != nil {
			return err
		}
		return b.addEntry(key, byte(Put), value, size)
	}
	b.beginRefs(size)
	for left := size; left > 0; {
		part := b.chunk.mem[:min(left, chunkSize)]
		if err := readValue(r, part); err != nil {
			return err
		}
		if err := b.writeChunk(part); err != nil {
			return err
		}
		left -= len(part)
	}
	return b.addEntry(key, byte(Put)|entryLarge, b.refs, size)
}

// readValue fills p from a reader that the caller gave.
func readValue(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read value: %w", err)
	}
	return nil
}

// large reports whether a value of that size goes to pages of its own.
func (b *Builder) large(size int) bool { return size > b.cfg.PageSize/4 }

// addEntry adds an entry to the open leaf. stored is what the leaf holds as its
// value, size the size of the value itself.
func (b *Builder) addEntry(key []byte, flags byte, stored []byte, size int) error {
	leaf := b.levels[0]
	if !leaf.room(len(key), len(stored), b.cfg.PageSize) {
		if err := b.flush(0); err != nil {
			return err
		}
	}
	if len(leaf.starts) == 0 {
		// The shortest key that is above the last and not above this one.
		n := len(key)
		if b.t.entries > 0 {
			n = commonPrefix(b.last.bytes(), key) + 1
		}
		if err := b.sep.set(key[:n]); err != nil {
			return err
		}
	}
	if err := leaf.add(flags, key, stored); err != nil {
		return err
	}
	if err := b.hashes.add(filterHash(key)); err != nil {
		return err
	}
	if b.t.entries == 0 {
		b.first = bytes.Clone(key)
	}
	b.t.entries++
	if EntryKind(flags&entryKindMask) == Tombstone {
		b.t.tombstones++
	}
	b.t.keyBytes += uint64(len(key))
	b.t.valueBytes += uint64(size)
	return b.last.set(key)
}

// beginRefs begins what the entry of a large value holds; writeChunk goes on.
func (b *Builder) beginRefs(size int) {
	b.refs = binary.BigEndian.AppendUint32(b.refs[:0], uint32(size))
}

// writeChunk writes the next value page of a large value.
func (b *Builder) writeChunk(data []byte) error {
	at, err := b.writePage(kindValue, data)
	if err != nil {
		return err
	}
	var r [refSize]byte
	at.put(r[:])
	b.refs = append(b.refs, r[:]...)
	return nil
}

// flush writes the open node of a level and adds it to the level above.
func (b *Builder) flush(level int) error {
	w := b.levels[level]
	if err := w.encode(&b.page); err != nil {
		return err
	}
	at, err := b.writePage(w.kind, b.page.bytes())
	if err != nil {
		return err
	}
	if level+1 == len(b.levels) {
		b.levels = append(b.levels, &nodeWriter{kind: kindInner})
	}
	sep := b.sep.bytes()
	if level > 0 {
		sep = w.key(0)
	}
	up := b.levels[level+1]
	if !up.room(len(sep), refSize, b.cfg.PageSize) {
		if err := b.flush(level + 1); err != nil {
			return err
		}
	}
	var r [refSize]byte
	at.put(r[:])
	if err := up.add(0, sep, r[:]); err != nil {
		return err
	}
	w.reset()
	return nil
}

// writePage frames, compresses and seals one page.
func (b *Builder) writePage(kind pageKind, data []byte) (ref, error) {
	invariant(len(data) > 0 && len(data) <= contentSizeMax, "write a page of a wrong size")
	b.plain.n = 0
	if err := b.plain.reserve(framingSize + max(len(data), s2.MaxEncodedLen(len(data)))); err != nil {
		return ref{}, err
	}
	room := b.plain.mem[framingSize:]
	codec, n := b.compress(kind, room, data)
	if codec == codecNone {
		n = copy(room, data)
	}
	b.plain.mem[0] = codec
	binary.BigEndian.PutUint32(b.plain.mem[1:], uint32(len(data)))
	b.plain.n = framingSize + n
	return b.seal(kind, b.plain.bytes())
}

// compress compresses a page into room and returns the codec and the size. A
// page that does not become smaller by a sixteenth is not worth decoding.
func (b *Builder) compress(kind pageKind, room, data []byte) (codec byte, n int) {
	if kind == kindFilter || b.cfg.Compression == None {
		return codecNone, 0
	}
	limit := len(data) - len(data)/16
	if b.zstd != nil {
		out := b.zstd.EncodeAll(data, room[:0])
		if len(out) < limit && sameArray(out, room) {
			return codecZstd, len(out)
		}
		return codecNone, 0
	}
	out := s2.Encode(room, data)
	if len(out) < limit && sameArray(out, room) {
		return codecS2, len(out)
	}
	return codecNone, 0
}

// seal appends a sealed page to what is to be written.
func (b *Builder) seal(kind pageKind, plain []byte) (ref, error) {
	at := ref{off: b.off, size: uint32(len(plain) + crypt.Overhead)}
	if at.off+uint64(at.size) > FileSizeMax {
		return ref{}, fmt.Errorf("a run has at most %d bytes", int64(FileSizeMax))
	}
	b.out = b.key.Seal(b.out, plain, crypt.PlaceAAD(at.off, byte(kind)))
	b.off += uint64(at.size)
	b.t.nPages++
	if len(b.out) < writeSize {
		return at, nil
	}
	return at, b.write()
}

// write writes what has gathered.
func (b *Builder) write() error {
	if _, err := b.file.WriteAt(b.out, int64(b.written)); err != nil {
		return &PageError{Path: b.cfg.Path, Offset: int64(b.written), Op: "write pages", Err: err}
	}
	b.written += uint64(len(b.out))
	b.out = b.out[:0]
	return b.startWriteback()
}

// writebackSize is how much is written before the system is asked to bring it to
// the disk, in bytes.
const writebackSize = 1 << 20

// startWriteback keeps the sync at the end short.
func (b *Builder) startWriteback() error {
	f, ok := b.file.(vfs.WritebackStarter)
	n := b.written - b.started
	if !ok || n < writebackSize {
		return nil
	}
	if err := f.StartWriteback(int64(b.started), int64(n)); err != nil {
		return &PageError{Path: b.cfg.Path, Offset: int64(b.started), Op: "write back", Err: err}
	}
	b.started = b.written
	return nil
}

// Size returns the size in bytes that the file would have if the open page were
// written as it is, without the filter.
func (b *Builder) Size() int64 { return int64(b.off) + int64(b.levels[0].size()) }

// Entries returns the number of entries so far.
func (b *Builder) Entries() uint64 { return b.t.entries }

// Finish writes the rest of the tree, the filter, the properties and the
// trailer, syncs the file and closes it. The caller makes the file's name
// durable. After an error the file is incomplete and Abort removes it.
func (b *Builder) Finish() (Info, error) {
	if b.done {
		return Info{}, ErrClosed
	}
	if b.err != nil {
		return Info{}, b.err
	}
	info, err := b.finish()
	if err != nil {
		b.err = err
		return Info{}, err
	}
	b.done = true
	return info, b.release()
}

func (b *Builder) finish() (Info, error) {
	if err := b.finishTree(); err != nil {
		return Info{}, err
	}
	if err := b.finishFilter(); err != nil {
		return Info{}, err
	}
	p := properties{first: b.first, last: b.last.bytes()}
	at, err := b.writePage(kindProperties, p.append(nil))
	if err != nil {
		return Info{}, err
	}
	b.t.properties = at
	b.t.runID = b.cfg.RunID
	b.t.fileSize = b.off + trailerSealedSize
	raw := b.t.marshal()
	b.out = b.key.Seal(b.out, raw[:], crypt.PlaceAAD(b.off, byte(kindTrailer)))
	info := Info{
		RunID: b.cfg.RunID, Epoch: b.cfg.Epoch, Size: int64(b.t.fileSize),
		Entries: b.t.entries, Tombstones: b.t.tombstones, KeyBytes: b.t.keyBytes, ValueBytes: b.t.valueBytes,
		First: b.first, RootTag: [crypt.TagSize]byte(b.out[len(b.out)-crypt.TagSize:]),
	}
	if b.t.entries > 0 {
		info.Last = bytes.Clone(b.last.bytes())
	}
	if err := b.write(); err != nil {
		return Info{}, err
	}
	if err := b.file.Sync(); err != nil {
		return Info{}, fmt.Errorf("sync run: %w", err)
	}
	file := b.file
	b.file = nil
	if err := file.Close(); err != nil {
		return Info{}, fmt.Errorf("close run: %w", err)
	}
	return info, nil
}

// finishTree writes the open node of every level, from the leaf upwards, until
// a level holds a single node: that is the root.
func (b *Builder) finishTree() error {
	if b.t.entries == 0 {
		return nil
	}
	if err := b.flush(0); err != nil {
		return err
	}
	for level := 1; ; level++ {
		w := b.levels[level]
		if level == len(b.levels)-1 && len(w.starts) == 1 {
			b.t.root, b.t.depth = w.child(0), uint8(level-1)
			return nil
		}
		if err := b.flush(level); err != nil {
			return err
		}
	}
}

// finishFilter writes the filter's pages.
func (b *Builder) finishFilter() error {
	b.t.filterAt, b.t.nBlocks = b.off, filterBlocks(b.t.entries)
	size := int(b.t.nBlocks) * filterBlockSize
	if size == 0 {
		return nil
	}
	b.page.reset()
	if err := b.page.reserve(size); err != nil {
		return err
	}
	blocks := b.page.extend(size)
	if err := b.hashes.drain(func(h uint64) { filterAdd(blocks, h) }); err != nil {
		return err
	}
	for len(blocks) > 0 {
		n := min(len(blocks), filterPageSize)
		if _, err := b.writePage(kindFilter, blocks[:n]); err != nil {
			return err
		}
		blocks = blocks[n:]
	}
	return nil
}

// Abort closes and removes the file and wipes what was in memory. After Finish
// has succeeded it does nothing.
func (b *Builder) Abort() error {
	if b.done {
		return nil
	}
	b.done = true
	var err error
	if b.file != nil {
		err = b.file.Close()
		b.file = nil
	}
	return errors.Join(err, b.cfg.FS.Remove(b.cfg.Path), b.release())
}

// release wipes the key and gives memory back.
func (b *Builder) release() error {
	b.key.Wipe()
	var errs []error
	for _, w := range b.levels {
		errs = append(errs, w.entries.free())
	}
	for _, m := range []*buffer{&b.sep, &b.last, &b.page, &b.plain, &b.chunk} {
		errs = append(errs, m.free())
	}
	errs = append(errs, b.hashes.free())
	b.out, b.refs, b.first, b.zstd = nil, nil, nil, nil
	b.levels = []*nodeWriter{{kind: kindLeaf}}
	return errors.Join(errs...)
}
