package pager

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/offheap"
)

// VerifyStats counts what Verify read.
type VerifyStats struct {
	Pages      int64 // the trailer included
	Bytes      int64 // of the file
	Entries    uint64
	Tombstones uint64
	Leaves     int64
	Inner      int64
	Values     int64 // value pages
	Filter     int64 // filter pages
	Faults     int64
	Unread     int64 // bytes that faults kept from being checked
}

// A Visitor is told what a verification meets. Each of its functions may be nil.
type Visitor struct {
	// Page is called for every page that opened.
	Page func(p PageInfo)

	// Entry is called for every entry of a sound leaf, in the order of the file.
	// The key is valid during the call; valueSize is in bytes.
	Entry func(key []byte, kind EntryKind, valueSize int64)

	// Fault is called for everything that is wrong, with a *PageError.
	Fault func(err error)

	// Progress is called now and then with what was read so far.
	Progress func(pages, bytes int64)
}

// PageInfo says where in the file a page is.
type PageInfo struct {
	Kind   string // "leaf", "inner node", "filter", "properties", "value", "trailer"
	Offset int64  // in bytes
	Size   int64  // sealed, in bytes
}

// Verify opens every page of the run, past the cache, and checks what a reader
// relies on: that keys ascend within and across pages and separators fit them,
// that counts and sizes are those of the trailer, that large values are whole,
// that the filter denies no key that is there, and that every byte of the file
// belongs to one page.
//
// progress, unless nil, is called now and then with what was read so far; ctx is
// looked at as often. Memory beyond a few pages: the filter, and 16 bytes a page.
// Errors: the faults, joined, as of Get, the first verifyFaultsMax of them; ctx's.
func (r *Run) Verify(ctx context.Context, progress func(pages, bytes int64)) (VerifyStats, error) {
	var faults []error
	st, err := r.VerifyEach(ctx, Visitor{Progress: progress, Fault: func(err error) {
		if len(faults) < verifyFaultsMax {
			faults = append(faults, err)
		}
	}})
	return st, errors.Join(append(faults, err)...)
}

// verifyFaultsMax is how many faults of one file Verify returns.
const verifyFaultsMax = 100

// VerifyEach is Verify that goes on past faults and tells visit of each: what is
// below a page that does not open stays unread, everything else is checked.
// What a fault makes follow, such as counts that cannot match any more, is not
// reported again. The error is why it ended early: ctx's, no memory, or the run
// was closed or wiped.
func (r *Run) VerifyEach(ctx context.Context, visit Visitor) (VerifyStats, error) {
	if err := r.live(); err != nil {
		return VerifyStats{}, err
	}
	v := &verifier{r: r, ctx: ctx, visit: visit}
	defer v.free()
	err := v.run()
	return v.st, err
}

// verifier is one Verify under way. Its methods return an error only to end it;
// faults go to note.
type verifier struct {
	r       *Run
	ctx     context.Context // lives as long as one call
	visit   Visitor
	st      VerifyStats
	w       scratch
	filter  []byte       // all blocks; outside the Go heap
	blind   map[int]bool // filter pages that did not open
	chunk   []byte       // room for one value page; outside the Go heap
	last    buffer       // key of the entry before
	extents []ref
	keys    uint64 // bytes
	values  uint64 // bytes
}

func (v *verifier) run() error {
	t := &v.r.t
	v.st.Bytes = headerSize // read again at the end
	if err := v.loadFilter(); err != nil {
		return err
	}
	if t.entries > 0 {
		if err := v.node(t.root, int(t.depth), nil, nil); err != nil {
			return err
		}
	}
	if err := v.checkProperties(); err != nil {
		return err
	}
	if err := v.note(v.checkEnds()); err != nil {
		return err
	}
	v.opened(ref{off: v.r.src.body, size: trailerSealedSize}, kindTrailer)
	v.report(true)
	if v.st.Faults > 0 {
		v.st.Unread = int64(t.fileSize) - v.st.Bytes
		return nil
	}
	switch {
	case v.st.Entries != t.entries, v.st.Tombstones != t.tombstones, v.keys != t.keyBytes, v.values != t.valueBytes,
		uint64(len(v.extents)-1) != t.nPages:
		return v.note(v.r.src.fail("verify trailer", v.r.src.body, corrupt("the trailer's counts are not those of the file")))
	}
	return v.note(v.checkExtents())
}

// note reports a fault of the file and returns nil; what is none, it returns.
func (v *verifier) note(err error) error {
	var pe *PageError
	if err == nil || !errors.As(err, &pe) || errors.Is(err, crypt.ErrWiped) || errors.Is(err, ErrClosed) {
		return err
	}
	v.st.Faults++
	if v.visit.Fault != nil {
		v.visit.Fault(err)
	}
	return nil
}

// opened counts a page.
func (v *verifier) opened(at ref, kind pageKind) {
	v.extents = append(v.extents, at)
	v.st.Pages++
	v.st.Bytes += int64(at.size)
	if v.visit.Page != nil {
		v.visit.Page(PageInfo{Kind: kind.String(), Offset: int64(at.off), Size: int64(at.size)})
	}
	v.report(false)
}

// checkEnds reads the header and the trailer once more.
func (v *verifier) checkEnds() error {
	size, err := v.r.src.file.Size()
	if err != nil {
		return v.r.src.fail("verify", 0, err)
	}
	h, _, err := readHeader(v.r.src.file, size, v.r.src.path)
	if err != nil {
		return err
	}
	if h.runID != v.r.info.RunID || h.epoch != v.r.info.Epoch || uint64(size) != v.r.t.fileSize {
		return v.r.src.fail("verify header", 0, ErrMismatch)
	}
	again := Run{src: v.r.src}
	if err := again.openTrailer(size, h.runID); err != nil {
		return err
	}
	if again.info.RootTag != v.r.info.RootTag {
		return v.r.src.fail("verify trailer", v.r.src.body, ErrMismatch)
	}
	return nil
}

// read reads one page past the cache into memory that the caller frees.
func (v *verifier) read(at ref, kind pageKind) ([]byte, error) {
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	in, err := v.r.src.readSealed(&v.w, at, kind)
	if err != nil {
		return nil, err
	}
	mem, err := offheap.Alloc(in.size)
	if err != nil {
		return nil, err
	}
	if err := decodePage(in, mem, at, kind); err != nil {
		return nil, errors.Join(v.r.src.fail("decode "+kind.String(), at.off, err), offheap.Free(mem))
	}
	v.opened(at, kind)
	return mem, nil
}

const verifyReportPages = 256

func (v *verifier) report(last bool) {
	if v.visit.Progress != nil && (last || v.st.Pages%verifyReportPages == 0) {
		v.visit.Progress(v.st.Pages, v.st.Bytes)
	}
}

func (v *verifier) free() {
	for _, mem := range [][]byte{v.filter, v.chunk} {
		if mem != nil {
			_ = offheap.Free(mem) // zeroed all the same
		}
	}
	_, _ = v.last.free(), v.w.free() // zeroed all the same
}

func (v *verifier) loadFilter() (err error) {
	n := v.r.t.nBlocks
	if n == 0 {
		return nil
	}
	if v.filter, err = offheap.Alloc(int(n) * filterBlockSize); err != nil {
		return err
	}
	for i := range filterPages(n) {
		mem, err := v.read(filterPage(v.r.t.filterAt, n, i), kindFilter)
		if err != nil {
			if err = v.note(err); err != nil {
				return err
			}
			if v.blind == nil {
				v.blind = make(map[int]bool)
			}
			v.blind[i] = true
			continue
		}
		copy(v.filter[i*filterPageSize:], mem)
		if err := offheap.Free(mem); err != nil {
			return err
		}
		v.st.Filter++
	}
	return nil
}

// denied reports whether the filter denies a key. Pages of it that did not open
// deny nothing.
func (v *verifier) denied(key []byte) bool {
	hash := filterHash(key)
	block := int(filterBlock(hash, v.r.t.nBlocks))
	if v.blind[block/filterPageBlocks] {
		return false
	}
	block *= filterBlockSize
	return !filterTest(v.filter[block:block+filterBlockSize], hash)
}

// node checks a node and all below it. Keys are at least lo and below hi; nil
// is no bound. Nothing below a node that is not sound is read, so that no page
// is read twice.
func (v *verifier) node(at ref, level int, lo, hi []byte) error {
	kind := kindInner
	if level == 0 {
		kind = kindLeaf
	}
	mem, err := v.read(at, kind)
	if err != nil {
		return v.note(err)
	}
	err = v.nodeEntries(at, mem, level, lo, hi)
	return errors.Join(err, offheap.Free(mem))
}

func (v *verifier) nodeEntries(at ref, p node, level int, lo, hi []byte) error {
	if err := checkOrder(p, lo, hi); err != nil {
		return v.note(v.r.src.fail("verify node", at.off, err))
	}
	if level == 0 {
		v.st.Leaves++
		return v.leafEntries(at, p)
	}
	v.st.Inner++
	n := p.len()
	for i := range n {
		next := hi
		if i+1 < n {
			next = p.key(i + 1)
		}
		if err := v.node(p.child(i), level-1, p.key(i), next); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) leafEntries(at ref, p node) error {
	n := p.len()
	denied := false
	for i := range n {
		flags, key, value := p.entry(i, n)
		if v.st.Entries > 0 && bytes.Compare(v.last.bytes(), key) >= 0 {
			return v.note(v.r.src.fail("verify leaf", at.off, corrupt("keys do not ascend")))
		}
		if err := v.last.set(key); err != nil {
			return err
		}
		if !denied && v.denied(key) { // said once for a leaf
			denied = true
			if err := v.note(v.r.src.fail("verify leaf", at.off, corrupt("the filter denies a key that is there"))); err != nil {
				return err
			}
		}
		kind, size := EntryKind(flags&entryKindMask), uint64(len(value))
		if kind == Tombstone {
			v.st.Tombstones++
		}
		if flags&entryLarge != 0 {
			size = uint64(largeSize(value))
			if err := v.large(value); err != nil {
				return err
			}
		}
		v.st.Entries++
		v.keys += uint64(len(key))
		v.values += size
		if v.visit.Entry != nil {
			v.visit.Entry(key, kind, int64(size))
		}
	}
	return nil
}

// large checks the pages of a large value.
func (v *verifier) large(value []byte) (err error) {
	if v.chunk == nil {
		if v.chunk, err = offheap.Alloc(chunkSize); err != nil {
			return err
		}
	}
	for i := range largeChunks(largeSize(value)) {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.note(v.chunkAt(largeChunk(value, i))); err != nil {
			return err
		}
	}
	return nil
}

// chunkAt checks one value page, which decodes to size bytes.
func (v *verifier) chunkAt(at ref, size int) error {
	in, err := v.r.src.readSealed(&v.w, at, kindValue)
	if err != nil {
		return err
	}
	if in.size != size {
		return v.r.src.fail("verify value", at.off, corrupt("the value's size does not match"))
	}
	if err := in.decode(v.chunk[:size]); err != nil {
		return v.r.src.fail("decode value", at.off, err)
	}
	v.st.Values++
	v.opened(at, kindValue)
	return nil
}

// checkOrder checks the keys of one node: that they ascend within the bounds,
// and that prefix and heads are theirs.
func checkOrder(p node, lo, hi []byte) error {
	n, skip := p.len(), p.prefixSize()
	first := p.key(0)
	for i := range n {
		key := p.key(i)
		switch {
		case i > 0 && bytes.Compare(p.key(i-1), key) >= 0:
			return corrupt("keys do not ascend")
		case !bytes.HasPrefix(key, first[:skip]), uint32(p.slot(i)>>32) != headOf(key[skip:]):
			return corrupt("a key does not match its head")
		case lo != nil && bytes.Compare(key, lo) < 0, hi != nil && bytes.Compare(key, hi) >= 0:
			return corrupt("a key is outside its node's bounds")
		}
	}
	return nil
}

// checkProperties compares the first and last key with the run's and, unless a
// fault kept some from being read, with those that were met.
func (v *verifier) checkProperties() error {
	t := &v.r.t
	mem, err := v.read(t.properties, kindProperties)
	if err != nil {
		return v.note(err)
	}
	var p properties
	perr := p.unmarshal(mem)
	if err := offheap.Free(mem); err != nil {
		return err
	}
	if perr != nil {
		return v.note(v.r.src.fail("decode properties", t.properties.off, perr))
	}
	want := v.r.info
	if v.st.Faults == 0 && !bytes.Equal(p.last, v.last.bytes()) ||
		!bytes.Equal(p.first, want.First) || !bytes.Equal(p.last, want.Last) {
		return v.note(v.r.src.fail("verify properties", t.properties.off, corrupt("first or last key is not the file's")))
	}
	return nil
}

// checkExtents checks that the pages cover the file, each byte once.
func (v *verifier) checkExtents() error {
	slices.SortFunc(v.extents, func(a, b ref) int { return cmp.Compare(a.off, b.off) })
	next := uint64(headerSize)
	for _, e := range v.extents {
		if e.off != next {
			return v.r.src.fail("verify", next, corrupt("bytes that belong to no page, or to two"))
		}
		next += uint64(e.size)
	}
	if next != v.r.t.fileSize {
		return v.r.src.fail("verify", next, fmt.Errorf("%w: bytes behind the last page", ErrCorrupt))
	}
	return nil
}
