package pager

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// RunConfig says which run to open.
type RunConfig struct {
	FS       vfs.FS
	Path     string
	Ring     *crypt.KeyRing
	Database crypt.ID
	Cache    *CacheOwner

	// Info is what the manifest says of the run. A file that differs is
	// ErrMismatch. The zero Info expects nothing but the database; Run.Info
	// then reads First and Last from the file.
	Info Info
}

// Run is an open run file. It holds a file, a file key and a few hundred bytes;
// pages are in the cache. Safe for concurrent use, except that nothing else may
// be under way during Close.
type Run struct {
	src    source
	owner  *CacheOwner
	fileNo uint32
	era    atomic.Uint64 // of the owner; eraClosed after Close
	t      trailer
	info   Info

	prefetched atomic.Bool // the inner nodes below the root, or there are none
}

// eraClosed is odd, as no live era is.
const eraClosed = ^uint64(0)

// OpenRun opens a run: it reads the header and the trailer and nothing else.
//
// Errors, as *PageError but for those of opening the file: ErrNotRun; ErrTooNew;
// crypt.ErrWrongKey when the header is sound and the file was sealed under
// another DEK; crypt.ErrNoEpoch; crypt.ErrWiped; ErrMismatch; ErrCorrupt, which
// includes a file that was cut short or extended.
func OpenRun(cfg RunConfig) (*Run, error) {
	f, err := cfg.FS.Open(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r := &Run{src: source{file: f, path: cfg.Path}, owner: cfg.Cache}
	if err := r.open(&cfg); err != nil {
		r.src.key.Wipe()
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *Run) open(cfg *RunConfig) error {
	era := r.owner.era.Load()
	if era%2 == 1 {
		return errWiped
	}
	size, err := r.src.file.Size()
	if err != nil {
		return r.src.fail("open run", 0, err)
	}
	h, raw, err := readHeader(r.src.file, size, cfg.Path)
	if err != nil {
		return err
	}
	want := &cfg.Info
	expected := want.RunID != 0 || want.Size != 0
	// The file key is bound to the header: that the commitment matches shows
	// that the header is genuine, so a mismatch is told only afterwards.
	r.src.key, err = cfg.Ring.Open(h.epoch, crypt.KindRun, h.salt, keyInput(&raw), h.commitment)
	switch {
	case errors.Is(err, crypt.ErrWrongKey) && h.database != cfg.Database:
		return r.src.fail("open header", 0, fmt.Errorf("%w: another database's run", crypt.ErrWrongKey))
	case err != nil:
		return r.src.fail("open header", 0, err)
	case h.database != cfg.Database:
		return r.src.fail("open header", 0, fmt.Errorf("%w: another database's", ErrMismatch))
	case expected && (h.runID != want.RunID || h.epoch != want.Epoch):
		return r.src.fail("open header", 0, fmt.Errorf("%w: another run id or epoch", ErrMismatch))
	}
	if err := r.openTrailer(size, h.runID); err != nil {
		return err
	}
	r.info.Epoch = h.epoch
	if r.fileNo, err = r.owner.c.newFile(); err != nil {
		return err
	}
	r.era.Store(era)
	if expected {
		return r.compare(want)
	}
	if r.t.entries == 0 {
		return nil
	}
	p, err := r.properties()
	r.info.First, r.info.Last = p.first, p.last
	return err
}

// openTrailer reads the trailer, whose place follows from the file's size.
func (r *Run) openTrailer(size int64, runID uint64) error {
	r.src.body = uint64(size) - trailerSealedSize
	var sealed [trailerSealedSize]byte
	if n, err := r.src.file.ReadAt(sealed[:], int64(r.src.body)); n < len(sealed) {
		return r.src.fail("read trailer", r.src.body, err)
	}
	plain, err := r.src.key.Open(nil, sealed[:], crypt.PlaceAAD(r.src.body, byte(kindTrailer)))
	if errors.Is(err, crypt.ErrAuth) {
		err = errAuth
	}
	if err != nil {
		return r.src.fail("open trailer", r.src.body, err)
	}
	if err := r.t.unmarshal(plain, size); err != nil {
		return r.src.fail("decode trailer", r.src.body, err)
	}
	if r.t.runID != runID {
		return r.src.fail("decode trailer", r.src.body, corrupt("header and trailer name different runs"))
	}
	r.info = Info{
		RunID: runID, Size: size, Entries: r.t.entries, Tombstones: r.t.tombstones,
		KeyBytes: r.t.keyBytes, ValueBytes: r.t.valueBytes,
		RootTag: [crypt.TagSize]byte(sealed[trailerSealedSize-crypt.TagSize:]),
	}
	return nil
}

// compare compares with what the manifest says. First and Last hang on the root
// tag like everything else.
func (r *Run) compare(want *Info) error {
	got := r.info
	got.First, got.Last = want.First, want.Last
	switch {
	case got.RootTag != want.RootTag:
		return r.src.fail("compare trailer", r.src.body, fmt.Errorf("%w: another root tag", ErrMismatch))
	case got.Size != want.Size, got.Entries != want.Entries, got.Tombstones != want.Tombstones,
		got.KeyBytes != want.KeyBytes, got.ValueBytes != want.ValueBytes:
		return r.src.fail("compare trailer", r.src.body, fmt.Errorf("%w: other counts", ErrMismatch))
	}
	r.info = got
	return nil
}

// properties reads the properties page; it is not kept in the cache.
func (r *Run) properties() (p properties, err error) {
	w := r.owner.c.getScratch()
	defer r.owner.c.putScratch(w)
	in, err := r.src.readSealed(w, r.t.properties, kindProperties)
	if err != nil {
		return p, err
	}
	l, err := r.owner.c.allocLoose(in.size, r.owner.id)
	if err != nil {
		return p, err
	}
	defer l.free()
	if err = in.decode(l.mem); err == nil {
		err = p.unmarshal(l.mem)
	}
	if err != nil {
		return properties{}, r.src.fail("decode properties", r.t.properties.off, err)
	}
	return p, nil
}

// Info returns what the run is. First and Last must not be changed.
func (r *Run) Info() Info { return r.info }

// Path returns the path that the run was opened with.
func (r *Run) Path() string { return r.src.path }

// live returns nil, or why the run cannot be read any more.
func (r *Run) live() error {
	era := r.era.Load()
	if era == r.owner.era.Load() {
		return nil
	}
	if era == eraClosed {
		return fmt.Errorf("run: %w", ErrClosed)
	}
	return errWiped
}

// Get looks a key up, asking the filter first. It appends the value to dst and returns the extended
// slice; it does not keep dst. kind is Tombstone when the key was deleted in this run; found
// is false when the run says nothing about the key, and value is dst then.
//
// Errors: *PageError with ErrCorrupt, crypt.ErrAuth or the file system's error;
// crypt.ErrWiped; ErrClosed. value is dst then.
func (r *Run) Get(dst, key []byte) (value []byte, kind EntryKind, found bool, err error) {
	return r.get(dst, key, true)
}

// GetLikely is Get for a key that is probably in the run: it does not read the
// filter from the disk before the leaf, which would double what a cold read costs,
// but only once a leaf was read in vain.
func (r *Run) GetLikely(dst, key []byte) (value []byte, kind EntryKind, found bool, err error) {
	return r.get(dst, key, false)
}

func (r *Run) get(dst, key []byte, filtered bool) (value []byte, kind EntryKind, found bool, err error) {
	p, flags, v, found, err := r.find(key, filtered)
	if !found || err != nil {
		return dst, 0, false, err
	}
	dst, kind, found, err = r.appendValue(dst, flags, v)
	p.release()
	return dst, kind, found, err
}

// appendValue appends the value of an entry to dst.
func (r *Run) appendValue(dst []byte, flags byte, v []byte) (value []byte, kind EntryKind, found bool, err error) {
	if flags&entryLarge == 0 {
		dst = append(dst, v...)
	} else {
		dst, err = r.appendLarge(dst, v)
	}
	return dst, EntryKind(flags & entryKindMask), err == nil, err
}

// find returns the entry of a key in its leaf, which the caller releases when
// found. filtered asks the filter before anything else.
func (r *Run) find(key []byte, filtered bool) (leaf page, flags byte, stored []byte, found bool, err error) {
	if err := r.live(); err != nil {
		return page{}, 0, nil, false, err
	}
	if r.t.entries == 0 {
		return page{}, 0, nil, false, nil
	}
	if filtered {
		if may, err := r.mayContain(key); err != nil || !may {
			return page{}, 0, nil, false, err
		}
	}
	at := r.t.root
	for range r.t.depth {
		p, err := r.owner.c.get(r, at, kindInner)
		if err != nil {
			return page{}, 0, nil, false, err
		}
		n := node(p.data)
		if !r.prefetched.Load() {
			r.prefetch(n)
		}
		at = n.child(n.descend(key))
		p.release()
	}
	p, unsure, err := r.leaf(at, key, filtered)
	if p.data == nil || err != nil {
		return page{}, 0, nil, false, err
	}
	n := node(p.data)
	i := n.find(key)
	if i < 0 {
		p.release()
		if unsure { // the filter would have spared this: it is to be in the cache for the next one
			_, err = r.mayContain(key)
		}
		return page{}, 0, nil, false, err
	}
	flags, _, v := n.entry(i, n.len())
	return p, flags, v, true, nil
}

// prefetchMax is up to how many inner nodes are prefetched.
const prefetchMax = 64

// prefetch asks the system for the inner nodes below the root when the first read
// comes to it: else the first reads of many keys would each wait for one more page
// than their leaf.
func (r *Run) prefetch(root node) {
	f, ok := r.src.file.(vfs.Prefetcher)
	if r.prefetched.Swap(true) || !ok || r.t.depth < 2 || root.len() > prefetchMax {
		return
	}
	for i := range root.len() {
		at := root.child(i)
		f.Prefetch(int64(at.off), int64(at.size))
	}
}

// mayContain asks the filter.
func (r *Run) mayContain(key []byte) (bool, error) {
	hash := filterHash(key)
	p, err := r.owner.c.get(r, r.filterOf(hash), kindFilter)
	if err != nil {
		return false, err
	}
	may := filterTestPage(p.data, hash, r.t.nBlocks)
	p.release()
	return may, nil
}

func (r *Run) filterOf(hash uint64) ref {
	return filterPage(r.t.filterAt, r.t.nBlocks, int(filterBlock(hash, r.t.nBlocks)/filterPageBlocks))
}

// leaf returns the leaf at which key would be, pinned. Before it is read from the
// disk, the filter is asked, unless it was before or would have to be read too:
// then unsure is true. There is no leaf when the filter says that the key is not
// there.
func (r *Run) leaf(at ref, key []byte, filtered bool) (p page, unsure bool, err error) {
	if !filtered {
		if p, ok, err := r.owner.c.peek(r, at, kindLeaf); ok || err != nil {
			return p, false, err
		}
		hash := filterHash(key)
		f, ok, err := r.owner.c.peek(r, r.filterOf(hash), kindFilter)
		if err != nil {
			return page{}, false, err
		}
		if unsure = !ok; ok {
			may := filterTestPage(f.data, hash, r.t.nBlocks)
			if f.release(); !may {
				return page{}, false, nil
			}
		}
	}
	p, err = r.owner.c.get(r, at, kindLeaf)
	return p, unsure, err
}

// valueCachedMax is the largest value page that goes through the cache, in
// bytes as sealed: those beyond would push many nodes out.
const valueCachedMax = 64 << 10

// appendLarge appends a large value to dst. dst's contents are unchanged after
// an error.
func (r *Run) appendLarge(dst, v []byte) ([]byte, error) {
	start, size := len(dst), largeSize(v)
	out := dst
	if cap(out)-start < size {
		out = make([]byte, start, start+size)
		copy(out, dst)
	}
	out = out[:start+size]
	if err := r.readLarge(out[start:], v); err != nil {
		clear(out[start:])
		return dst, err
	}
	return out, nil
}

// readLarge reads a large value into dst, which has its size.
func (r *Run) readLarge(dst, v []byte) error {
	for i := range largeChunks(len(dst)) {
		at, size := largeChunk(v, i)
		if err := r.readChunk(dst[i*chunkSize:i*chunkSize+size], at); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) readChunk(dst []byte, at ref) error {
	if at.size <= valueCachedMax {
		p, err := r.owner.c.get(r, at, kindValue)
		if err != nil {
			return err
		}
		defer p.release()
		if len(p.data) != len(dst) {
			return r.src.fail("decode value", at.off, corrupt("the value's size does not match"))
		}
		copy(dst, p.data)
		return nil
	}
	w := r.owner.c.getScratch()
	defer r.owner.c.putScratch(w)
	return r.readChunkPast(w, dst, at)
}

// readChunkPast reads one page of a large value past the cache. w is wiped
// afterwards.
func (r *Run) readChunkPast(w *scratch, dst []byte, at ref) error {
	defer w.wipe()
	in, err := r.src.readSealed(w, at, kindValue)
	if err != nil {
		return err
	}
	if in.size != len(dst) {
		return r.src.fail("decode value", at.off, corrupt("the value's size does not match"))
	}
	if err := in.decode(dst); err != nil {
		return r.src.fail("decode value", at.off, err)
	}
	return nil
}

// Close closes the file, wipes the file key and drops the run's pages from the
// cache. Iterators that are still open return ErrClosed from then on. No other
// call may be under way. Closing again does nothing.
func (r *Run) Close() error {
	if r.era.Swap(eraClosed) == eraClosed {
		return nil
	}
	r.src.key.Wipe()
	r.owner.c.dropFile(r.fileNo)
	return r.src.file.Close()
}
