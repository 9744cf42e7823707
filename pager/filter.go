package pager

import (
	"errors"
	"math/bits"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/offheap"
)

// The filter is a blocked Bloom filter of about ten bits a key. All bits of a
// key are in one block of 64 bytes, so that a lookup touches one cache line; it
// says "perhaps" for about one absent key in a hundred. Blocks are kept in
// pages of their own that come and go with the page cache. Hashes have no
// structure that compression could use, so every page but the last has the same
// size on disk and is found by arithmetic.
const (
	filterBlockSize    = 64 // bytes
	filterPageBlocks   = 64 // blocks in a page: 4 KiB
	filterBitsPerKey   = 10
	filterProbes       = 6
	filterPageSize     = filterPageBlocks * filterBlockSize
	filterPageSealed   = framingSize + filterPageSize + crypt.Overhead
	filterBlockBits    = 8 * filterBlockSize
	filterBlockBitsLog = 9
)

const (
	_ = uint(1<<filterBlockBitsLog - filterBlockBits)
	_ = uint(filterBlockBits - 1<<filterBlockBitsLog)
)

// filterHash hashes a key for the filter: xxhash64 with seed 0. It is on disk.
func filterHash(key []byte) uint64 { return xxhash.Sum64(key) }

// filterBlocks returns the number of blocks for so many keys.
func filterBlocks(entries uint64) uint32 {
	return uint32((entries*filterBitsPerKey + filterBlockBits - 1) / filterBlockBits)
}

// filterBlock returns the block of a hash: its upper half scaled to nBlocks.
func filterBlock(hash uint64, nBlocks uint32) uint32 {
	return uint32((hash >> 32) * uint64(nBlocks) >> 32)
}

// filterPages returns the number of pages that nBlocks take.
func filterPages(nBlocks uint32) int {
	return int((uint64(nBlocks) + filterPageBlocks - 1) / filterPageBlocks)
}

// filterSealedSize returns the bytes on disk of a filter of nBlocks.
func filterSealedSize(nBlocks uint32) uint64 {
	return uint64(filterPages(nBlocks))*(framingSize+crypt.Overhead) + uint64(nBlocks)*filterBlockSize
}

// filterPage returns the ref of page i of a filter.
func filterPage(at uint64, nBlocks uint32, i int) ref {
	n := min(filterPageBlocks, nBlocks-uint32(i)*filterPageBlocks)
	return ref{off: at + uint64(i)*filterPageSealed, size: framingSize + n*filterBlockSize + crypt.Overhead}
}

// filterMix returns the number whose upper six groups of nine bits are the bits
// of a hash in its block. The multiplication makes them depend on the lower half
// of the hash, of which the block's number is independent.
func filterMix(hash uint64) uint64 { return hash * 0x9E3779B97F4A7C15 }

// filterAdd sets the bits of a hash in the blocks.
func filterAdd(blocks []byte, hash uint64) {
	at := int(filterBlock(hash, uint32(len(blocks)/filterBlockSize))) * filterBlockSize
	b := blocks[at : at+filterBlockSize]
	h := filterMix(hash)
	for range filterProbes {
		h = bits.RotateLeft64(h, filterBlockBitsLog)
		i := h % filterBlockBits
		b[i/8] |= 1 << (i % 8)
	}
}

// filterTest reports whether all bits of a hash are set in its block.
func filterTest(block []byte, hash uint64) bool {
	b := (*[filterBlockSize]byte)(block)
	h := filterMix(hash)
	for range filterProbes {
		h = bits.RotateLeft64(h, filterBlockBitsLog)
		i := h % filterBlockBits
		if b[i/8]&(1<<(i%8)) == 0 {
			return false
		}
	}
	return true
}

// filterTestPage is filterTest in a page of a filter of nBlocks.
func filterTestPage(page []byte, hash uint64, nBlocks uint32) bool {
	i := int(filterBlock(hash, nBlocks)%filterPageBlocks) * filterBlockSize
	return filterTest(page[i:i+filterBlockSize], hash)
}

// checkFilter checks that a decoded filter page has the size that its ref says.
func checkFilter(page []byte, at ref) error {
	if len(page) != int(at.size)-framingSize-crypt.Overhead || len(page)%filterBlockSize != 0 {
		return corrupt("a filter page has the wrong size")
	}
	return nil
}

// hashes is a list of hashes outside the Go heap, which grows without copying.
type hashes struct {
	chunks [][]byte // of hashesChunk hashes each
	last   []uint64 // the last chunk
	n      int      // in use of last
}

const hashesChunk = 32 << 10

func (l *hashes) add(h uint64) error {
	if l.n == len(l.last) {
		mem, err := offheap.Alloc(8 * hashesChunk)
		if err != nil {
			return err
		}
		l.chunks = append(l.chunks, mem)
		l.last, l.n = asHashes(mem), 0
	}
	l.last[l.n] = h
	l.n++
	return nil
}

// asHashes returns a chunk as what it is. The memory is a page's: aligned.
func asHashes(mem []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/8)
}

// drain hands every hash to fn and gives the memory back on the way.
func (l *hashes) drain(fn func(h uint64)) error {
	for len(l.chunks) > 0 {
		chunk := asHashes(l.chunks[0])
		if len(l.chunks) == 1 {
			chunk = chunk[:l.n]
		}
		for _, h := range chunk {
			fn(h)
		}
		mem := l.chunks[0]
		l.chunks = l.chunks[1:]
		if err := offheap.Free(mem); err != nil {
			return err
		}
	}
	l.last, l.n = nil, 0
	return nil
}

// free gives the memory back.
func (l *hashes) free() error {
	var errs []error
	for _, mem := range l.chunks {
		errs = append(errs, offheap.Free(mem))
	}
	*l = hashes{}
	return errors.Join(errs...)
}
