package pager

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
}

// Verify opens every page of the run, past the cache, and checks what a reader
// relies on: that keys ascend within and across pages and separators fit them,
// that counts and sizes are those of the trailer, that large values are whole,
// that the filter denies no key that is there, and that every byte of the file
// belongs to one page.
//
// progress, unless nil, is called now and then with what was read so far; ctx is
// looked at as often. Memory beyond a few pages: the filter, and 16 bytes a page.
// Errors: as of Get, and ctx's.
func (r *Run) Verify(ctx context.Context, progress func(pages, bytes int64)) (VerifyStats, error) {
	if err := r.live(); err != nil {
		return VerifyStats{}, err
	}
	v := &verifier{r: r, ctx: ctx, progress: progress}
	defer v.free()
	if err := v.run(); err != nil {
		return v.st, err
	}
	return v.st, nil
}

// verifier is one Verify under way.
type verifier struct {
	r        *Run
	ctx      context.Context // lives as long as one call
	progress func(pages, bytes int64)
	st       VerifyStats
	w        scratch
	filter   []byte // all blocks; outside the Go heap
	chunk    []byte // room for one value page; outside the Go heap
	last     buffer // key of the entry before
	extents  []ref
	keys     uint64 // bytes
	values   uint64 // bytes
}

func (v *verifier) run() error {
	if err := v.loadFilter(); err != nil {
		return err
	}
	t := &v.r.t
	if t.entries > 0 {
		if err := v.node(t.root, int(t.depth), nil, nil); err != nil {
			return err
		}
	}
	if err := v.checkProperties(); err != nil {
		return err
	}
	trailerRef := ref{off: v.r.src.body, size: trailerSealedSize}
	v.extents = append(v.extents, trailerRef) // opened when the run was; read again now
	if err := v.checkEnds(); err != nil {
		return err
	}
	switch {
	case v.st.Entries != t.entries, v.st.Tombstones != t.tombstones, v.keys != t.keyBytes, v.values != t.valueBytes,
		uint64(len(v.extents)-1) != t.nPages:
		return v.r.src.fail("verify trailer", v.r.src.body, corrupt("the trailer's counts are not those of the file"))
	}
	v.st.Pages++
	v.st.Bytes = int64(t.fileSize)
	v.report(true)
	return v.checkExtents()
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
	v.extents = append(v.extents, at)
	v.st.Pages++
	v.st.Bytes += int64(at.size)
	v.report(false)
	return mem, nil
}

const verifyReportPages = 256

func (v *verifier) report(last bool) {
	if v.progress != nil && (last || v.st.Pages%verifyReportPages == 0) {
		v.progress(v.st.Pages, v.st.Bytes)
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
			return err
		}
		copy(v.filter[i*filterPageSize:], mem)
		if err := offheap.Free(mem); err != nil {
			return err
		}
		v.st.Filter++
	}
	return nil
}

// node checks a node and all below it. Keys are at least lo and below hi; nil
// is no bound.
func (v *verifier) node(at ref, level int, lo, hi []byte) error {
	kind := kindInner
	if level == 0 {
		kind = kindLeaf
	}
	mem, err := v.read(at, kind)
	if err != nil {
		return err
	}
	err = v.nodeEntries(at, mem, level, lo, hi)
	return errors.Join(err, offheap.Free(mem))
}

func (v *verifier) nodeEntries(at ref, p node, level int, lo, hi []byte) error {
	if err := checkOrder(p, lo, hi); err != nil {
		return v.r.src.fail("verify node", at.off, err)
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
	for i := range n {
		flags, key, value := p.entry(i, n)
		if v.st.Entries > 0 && bytes.Compare(v.last.bytes(), key) >= 0 {
			return v.r.src.fail("verify leaf", at.off, corrupt("keys do not ascend"))
		}
		if err := v.last.set(key); err != nil {
			return err
		}
		hash := filterHash(key)
		block := int(filterBlock(hash, v.r.t.nBlocks)) * filterBlockSize
		if !filterTest(v.filter[block:block+filterBlockSize], hash) {
			return v.r.src.fail("verify leaf", at.off, corrupt("the filter denies a key that is there"))
		}
		v.st.Entries++
		v.keys += uint64(len(key))
		if EntryKind(flags&entryKindMask) == Tombstone {
			v.st.Tombstones++
		}
		if flags&entryLarge == 0 {
			v.values += uint64(len(value))
			continue
		}
		v.values += uint64(largeSize(value))
		if err := v.large(value); err != nil {
			return err
		}
	}
	return nil
}

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
		at, size := largeChunk(value, i)
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
		v.extents = append(v.extents, at)
		v.st.Values++
		v.st.Pages++
		v.st.Bytes += int64(at.size)
		v.report(false)
	}
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

func (v *verifier) checkProperties() error {
	t := &v.r.t
	mem, err := v.read(t.properties, kindProperties)
	if err != nil {
		return err
	}
	if err := offheap.Free(mem); err != nil {
		return err
	}
	p, err := v.r.properties()
	if err != nil {
		return err
	}
	want := v.r.info
	if !bytes.Equal(p.last, v.last.bytes()) || !bytes.Equal(p.first, want.First) || !bytes.Equal(p.last, want.Last) {
		return v.r.src.fail("verify properties", t.properties.off, corrupt("first or last key is not the file's"))
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
