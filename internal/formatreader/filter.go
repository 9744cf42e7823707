package formatreader

import (
	"encoding/binary"
	"math/bits"
)

// readFilter reads the filter and checks that it holds every key (R9).
func (f *runFile) readFilter(offset uint64, blocks uint32, entries uint64) error {
	if uint64(blocks) != (10*entries+511)/512 {
		return damaged("blocks of the filter")
	}
	var filter []byte
	for left := int(blocks); left > 0; left -= 64 {
		n := min(left, 64) * 64
		page, err := f.page(append(be64(offset), be32(uint32(n+5+overhead))...), pageFilter)
		if err != nil {
			return err
		}
		if len(page) != n {
			return damaged("page of the filter")
		}
		filter = append(filter, page...)
		offset += filterStride
	}
	for _, e := range f.entries {
		h := xxhash64(e.Key)
		block := filter[(h>>32)*uint64(blocks)>>32*64:][:64]
		m := h * 0x9E3779B97F4A7C15
		for range 6 {
			m = bits.RotateLeft64(m, 9)
			if bit := m & 511; block[bit/8]&(1<<(bit%8)) == 0 {
				return damaged("a key is not in the filter")
			}
		}
	}
	return nil
}

// xxhash64 is XXH64 with seed 0.
//
// Source: github.com/Cyan4973/xxHash, doc/xxhash_spec.md.
func xxhash64(b []byte) uint64 {
	p1 := uint64(0x9E3779B185EBCA87) // variables: sums of them wrap
	const (
		p2 = 0xC2B2AE3D27D4EB4F
		p3 = 0x165667B19E3779F9
		p4 = 0x85EBCA77C2B2AE63
		p5 = 0x27D4EB2F165667C5
	)
	round := func(acc, lane uint64) uint64 { return bits.RotateLeft64(acc+lane*p2, 31) * p1 }
	n, h := uint64(len(b)), uint64(p5)
	if len(b) >= 32 {
		acc := [4]uint64{p1 + p2, p2, 0, -p1}
		for ; len(b) >= 32; b = b[32:] {
			for i := range acc {
				acc[i] = round(acc[i], binary.LittleEndian.Uint64(b[8*i:]))
			}
		}
		h = 0
		for i, a := range acc {
			h += bits.RotateLeft64(a, []int{1, 7, 12, 18}[i])
		}
		for _, a := range acc {
			h = (h^round(0, a))*p1 + p4
		}
	}
	for h += n; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^round(0, binary.LittleEndian.Uint64(b)), 27)*p1 + p4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*p1, 23)*p2 + p3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*p5, 11) * p1
	}
	h = (h ^ h>>33) * p2
	h = (h ^ h>>29) * p3
	return h ^ h>>32
}
