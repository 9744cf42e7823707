package pager

import (
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"github.com/byokdb/byokdb/internal/offheap"
)

// buffer is memory outside the Go heap that grows. Its zero value is empty.
type buffer struct {
	mem []byte // from offheap.Alloc, or nil
	n   int    // bytes in use
}

const bufferSizeMin = 16 << 10

func (b *buffer) bytes() []byte { return b.mem[:b.n] }

// reserve makes room for n more bytes; what is there is kept.
func (b *buffer) reserve(n int) error {
	if b.n+n <= len(b.mem) {
		return nil
	}
	mem, err := offheap.Alloc(max(bufferSizeMin, 1<<bits.Len(uint(b.n+n-1))))
	if err != nil {
		return err
	}
	copy(mem, b.bytes())
	old := b.mem
	b.mem = mem
	if old == nil {
		return nil
	}
	return offheap.Free(old)
}

// append adds p; room must have been reserved.
func (b *buffer) append(p []byte) { b.n += copy(b.mem[b.n:b.n+len(p)], p) }

// extend adds n zeroed bytes, for which room must have been reserved, and
// returns them.
func (b *buffer) extend(n int) []byte {
	p := b.mem[b.n : b.n+n]
	b.n += n
	clear(p)
	return p
}

// set makes p the contents.
func (b *buffer) set(p []byte) error {
	b.n = 0
	if err := b.reserve(len(p)); err != nil {
		return err
	}
	b.append(p)
	return nil
}

// reset zeroes and drops the contents and keeps the memory.
func (b *buffer) reset() {
	clear(b.bytes())
	b.n = 0
}

// free zeroes the memory and gives it back.
func (b *buffer) free() error {
	if b.mem == nil {
		return nil
	}
	mem := b.mem
	b.mem, b.n = nil, 0
	return offheap.Free(mem)
}

// scratch is what reading one page needs: room for the sealed bytes and for the
// opened, still compressed ones.
type scratch struct {
	sealed, plain []byte
	used          int // bytes of plain to be wiped
	zstd          *zstd.Decoder
}

// scratchKeepMax is the largest scratch that is kept for the next reader.
const scratchKeepMax = 128 << 10

func (w *scratch) reserve(n int) error {
	if n <= len(w.sealed) {
		return nil
	}
	size := max(32<<10, 1<<bits.Len(uint(n-1)))
	if err := w.free(); err != nil {
		return err
	}
	mem, err := offheap.Alloc(2 * size)
	if err != nil {
		return err
	}
	w.sealed, w.plain = mem[:size:2*size], mem[size:]
	return nil
}

// decoder returns a decoder of zstd pages, whose working memory on the Go heap
// goes with the scratch.
func (w *scratch) decoder() (*zstd.Decoder, error) {
	if w.zstd != nil {
		return w.zstd, nil
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(2*contentSizeMax))
	if err != nil {
		return nil, fmt.Errorf("make a zstd decoder: %w", err)
	}
	w.zstd = d
	return d, nil
}

func (w *scratch) wipe() {
	clear(w.plain[:w.used])
	w.used = 0
}

func (w *scratch) free() error {
	if w.sealed == nil {
		return nil
	}
	mem := w.sealed[:cap(w.sealed)]
	*w = scratch{}
	return offheap.Free(mem)
}
