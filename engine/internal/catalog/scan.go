package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// bbolt trusts its pages: it follows damaged ones into a panic, at worst on a
// goroutine of its own where nobody can recover. So the file is read here
// first, on its own terms, and refused where it is not sound. The same reading
// serves those who have no right to the lock.
//
// Source: go.etcd.io/bbolt, internal/common (file format version 2). Integers
// are little-endian on every platform that is supported.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	pageHeaderSize = 16
	elementSize    = 16
	bucketSize     = 16
	flagBranch     = 0x01
	flagLeaf       = 0x02
	leafIsBucket   = 0x01
	metaSize       = 64
	pageSizeMin    = 1 << 10
	pageSizeMax    = 64 << 10
	depthMax       = 16
)

// record is one stored value.
type record struct{ bucket, key, value string }

// scan is one reading of a bbolt file.
type scan struct {
	file     []byte
	pageSize int
	seen     map[uint64]bool
	records  []record
	txid     uint64
	fault    func(err error) // nil: the first fault ends the reading
}

// note reports a fault where the reading goes on past faults; else it returns it.
func (s *scan) note(err error) error {
	if s.fault == nil || err == nil {
		return err
	}
	s.fault(err)
	return nil
}

// scanFile checks the structure of a whole bbolt file and returns its records.
// Errors: ErrNotDatabase, ErrCorrupt.
func scanFile(file []byte) (*scan, error) {
	s := &scan{file: file, seen: map[uint64]bool{}}
	root, err := s.metas()
	if err != nil {
		return nil, err
	}
	return s, s.bucket("", root, depthMax)
}

var errPage = errors.New("a page of the file is not sound")

func faulty(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", ErrCorrupt, errPage, fmt.Sprintf(format, args...))
}

// metas checks both meta pages and returns the root page of the newer one. A
// disk writes a meta page's sector whole, so that one that is not sound is
// damage, although bbolt would go back to the older state behind it.
func (s *scan) metas() (root uint64, err error) {
	var end uint64 // pages in use, as the newer meta page has it
	if len(s.file) < 2*pageSizeMin {
		return 0, fmt.Errorf("%d bytes: %w", len(s.file), ErrNotDatabase)
	}
	le := binary.LittleEndian
	first := s.file[pageHeaderSize:]
	known := le.Uint32(first) == boltMagic
	for size := pageSizeMin; size <= pageSizeMax && !known; size *= 2 { // page 0 damaged: look for page 1
		if len(s.file) >= size+pageHeaderSize+metaSize && le.Uint32(s.file[size+pageHeaderSize:]) == boltMagic {
			known, first = true, s.file[size+pageHeaderSize:]
		}
	}
	if !known {
		return 0, fmt.Errorf("no bbolt file: %w", ErrNotDatabase)
	}
	s.pageSize = int(le.Uint32(first[8:]))
	if s.pageSize < pageSizeMin || s.pageSize > pageSizeMax || s.pageSize&(s.pageSize-1) != 0 || len(s.file) < 4*s.pageSize {
		return 0, faulty("page size %d in a file of %d bytes", s.pageSize, len(s.file))
	}
	for i := range 2 {
		m := s.file[i*s.pageSize+pageHeaderSize:][:metaSize]
		h := fnv.New64a()
		_, _ = h.Write(m[:56]) // never fails
		if le.Uint32(m) != boltMagic || le.Uint32(m[4:]) != boltVersion || le.Uint64(m[56:]) != h.Sum64() {
			if err := s.note(faulty("meta page %d", i)); err != nil {
				return 0, err
			}
			continue
		}
		if txid := le.Uint64(m[48:]); root == 0 || txid > s.txid {
			s.txid, root, end = txid, le.Uint64(m[16:]), le.Uint64(m[40:])
		}
	}
	if root == 0 {
		return 0, faulty("no meta page is sound")
	}
	if n := uint64(len(s.file) / s.pageSize); end > n { // bbolt extends the file before it uses the space
		return root, s.note(faulty("cut short to %d of %d pages", n, end))
	}
	return root, nil
}

// page returns a page with its overflow.
func (s *scan) page(id uint64) ([]byte, error) {
	n := uint64(len(s.file) / s.pageSize)
	if id < 2 || id >= n {
		return nil, faulty("page %d of %d", id, n)
	}
	p := s.file[id*uint64(s.pageSize):]
	if binary.LittleEndian.Uint64(p) != id {
		return nil, faulty("page %d says that it is another", id)
	}
	span := uint64(binary.LittleEndian.Uint32(p[12:])) + 1
	if id+span > n {
		return nil, faulty("page %d is cut short", id)
	}
	for i := id; i < id+span; i++ {
		if s.seen[i] {
			return nil, faulty("page %d is named twice", i)
		}
		s.seen[i] = true
	}
	p = p[:span*uint64(s.pageSize)]
	return p, s.fills(p, id)
}

// fills checks that a page's elements need all of its overflow.
func (s *scan) fills(p []byte, id uint64) error {
	if len(p) == s.pageSize {
		return nil
	}
	end, err := elementsEnd(p)
	if err != nil {
		return err
	}
	if end <= len(p)-s.pageSize {
		return faulty("page %d overflows without need", id)
	}
	return nil
}

func elementsEnd(p []byte) (end int, err error) {
	err = elements(p, func(_ uint32, _ uint64, key, value []byte, at int) error {
		end = max(end, at+len(key)+len(value))
		return nil
	})
	return end, err
}

// elements calls fn for each element of a branch or leaf page: at is where its
// key starts in p.
func elements(p []byte, fn func(flags uint32, child uint64, key, value []byte, at int) error) error {
	le := binary.LittleEndian
	flags, count := le.Uint16(p[8:]), int(le.Uint16(p[10:]))
	if flags != flagBranch && flags != flagLeaf || pageHeaderSize+count*elementSize > len(p) {
		return faulty("page type %#x with %d elements", flags, count)
	}
	if count == 0 && (flags == flagBranch || len(bytes.Trim(p[pageHeaderSize:], "\x00")) > 0) {
		return faulty("an empty page that holds something") // bbolt clears pages: its elements were counted away
	}
	var last []byte
	next := uint64(pageHeaderSize) + uint64(count)*elementSize // bbolt leaves no gaps, so that a wrong count shows
	for i := range count {
		off := pageHeaderSize + i*elementSize
		e := p[off:]
		var f uint32
		var child, pos, ksize, vsize uint64
		if flags == flagBranch {
			pos, ksize, child = uint64(le.Uint32(e)), uint64(le.Uint32(e[4:])), le.Uint64(e[8:])
		} else {
			f, pos = le.Uint32(e), uint64(le.Uint32(e[4:]))
			ksize, vsize = uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
		}
		at := uint64(off) + pos
		if at != next || at+ksize+vsize > uint64(len(p)) {
			return faulty("an element lies outside of its place")
		}
		next += ksize + vsize
		key := p[at : at+ksize]
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return faulty("keys are not in order")
		}
		last = key
		if err := fn(f, child, key, p[at+ksize:at+ksize+vsize], int(at)); err != nil {
			return err
		}
	}
	return nil
}

// bucket reads the tree below a page.
func (s *scan) bucket(name string, id uint64, depth int) error {
	if depth == 0 {
		return faulty("the tree is too deep")
	}
	p, err := s.page(id)
	if err != nil {
		return err
	}
	return s.tree(name, p, depth)
}

func (s *scan) tree(name string, p []byte, depth int) error {
	branch := binary.LittleEndian.Uint16(p[8:]) == flagBranch
	return elements(p, func(flags uint32, child uint64, key, value []byte, _ int) error {
		switch {
		case branch:
			return s.note(s.bucket(name, child, depth-1))
		case flags == 0:
			s.records = append(s.records, record{bucket: name, key: string(key), value: string(value)})
			return nil
		case flags != leafIsBucket || len(value) < bucketSize || name != "":
			return s.note(faulty("an element of unknown type"))
		}
		if root := binary.LittleEndian.Uint64(value); root != 0 {
			return s.note(s.bucket(string(key), root, depth-1))
		}
		inline := value[bucketSize:]
		if len(inline) < pageHeaderSize {
			return s.note(faulty("an inline bucket is cut short"))
		}
		return s.note(s.tree(string(key), inline, depth-1))
	})
}
