package formatreader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	firstFrame      = 4096
	frameAlignment  = 512
	frameHeaderSize = 20
	payloadMax      = 1 << 30
)

// logReader follows the chain of frames through the segments.
type logReader struct {
	c    *catalog
	st   *state
	next uint64 // number of the next frame
	tag  [16]byte
}

// segment is one segment whose header has been checked.
type segment struct {
	data, key, salt []byte
	first           uint64
	before          [16]byte
}

// frame is one opened frame.
type frame struct {
	number, durable uint64
	before, tag     [16]byte
	payload         []byte
	kind            byte
	size            int // with its header
}

// replay applies the log in dir, from the manifest's floor on, to st.
func replay(dir string, c *catalog, st *state) error {
	numbers, err := segments(dir)
	if err != nil {
		return err
	}
	l := &logReader{c: c, st: st, next: c.manifest.floorSeq, tag: c.manifest.floorTag}
	from := c.manifest.floorSegment
	if from == 0 {
		from, l.next = 1, 1
	}
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { return n < from })
	if len(numbers) == 0 {
		return damaged("no segment from the floor on")
	}
	for i, n := range numbers {
		if n != from+uint64(i) { // W10
			return damaged("segment %d is missing", from+uint64(i))
		}
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%08d.wal", n))) //nolint:gosec // the caller's path is the point
		if err != nil {
			return err
		}
		s, err := readSegmentHeader(data, c, n)
		if err == nil {
			err = l.readSegment(s, i == len(numbers)-1)
		}
		if err != nil {
			return fmt.Errorf("segment %d: %w", n, err)
		}
	}
	return nil
}

// segments lists the numbers of the segments in dir, ascending.
func segments(dir string) ([]uint64, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, damaged("no log")
	} else if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, f := range files {
		digits, ok := strings.CutSuffix(f.Name(), ".wal")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && fmt.Sprintf("%08d", n) == digits {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// readSegmentHeader keeps W9.
func readSegmentHeader(b []byte, c *catalog, number uint64) (*segment, error) {
	if len(b) < firstFrame || string(b[:8]) != "byokwal\x1a" || !endsWithChecksum(b[:firstFrame]) {
		return nil, damaged("header")
	}
	in := input{b: b[8:136]}
	version, suite, zero, features := in.u16(), in.u8(), in.u8(), in.u32()
	if version > 1 || suite != 1 || features != 0 {
		return nil, tooNew("version %d, cipher suite %d, features %#x", version, suite, features)
	}
	id, n, epoch, alignment := in.take(16), in.u64(), in.u32(), in.u32()
	if version == 0 || zero != 0 || !allZero(b[136:4092]) || alignment != frameAlignment || !bytes.Equal(id, c.id[:]) || n != number {
		return nil, damaged("header")
	}
	s := &segment{data: b, salt: in.take(32), first: in.u64(), before: [16]byte(in.take(16))}
	dek := c.deks[epoch]
	if dek == nil {
		return nil, damaged("no envelope of epoch %d", epoch)
	}
	key, commitment := derive(dek, s.salt, kindSegment, b[:104])
	if !bytes.Equal(commitment, in.take(32)) {
		return nil, fmt.Errorf("segment: %w", ErrWrongKey)
	}
	s.key = key
	return s, nil
}

func (l *logReader) readSegment(s *segment, newest bool) error {
	if s.first != l.next || s.before != l.tag {
		return damaged("begins elsewhere than at the frame after the last one")
	}
	at := firstFrame
	for {
		f := s.openFrame(at)
		if f == nil {
			break
		}
		if f.number != l.next || f.before != l.tag { // W11
			return damaged("frame at %d is not the next one", at)
		}
		if err := f.check(); err != nil {
			return err
		}
		if err := l.apply(f.payload); err != nil {
			return fmt.Errorf("frame %d: %w", f.number, err)
		}
		l.next, l.tag = f.number+1, f.tag
		at = align(at + f.size)
	}
	if !newest {
		return nil
	}
	return s.checkEnd(at, l.next)
}

// checkEnd keeps W13 and W14 behind the first place where no frame opens;
// missing is the number that such a frame would have.
func (s *segment) checkEnd(at int, missing uint64) error {
	left := len(s.data) - at
	for at+frameHeaderSize <= len(s.data) {
		if size := s.claim(at); at+frameHeaderSize+size <= len(s.data) {
			if left -= size; left < 0 {
				return damaged("frame headers behind the end claim more than there is")
			}
		}
		f := s.openFrame(at)
		switch {
		case f == nil:
			at += frameAlignment
		case f.durable >= missing || f.number <= missing:
			return damaged("frame %d is missing, and was durable", missing)
		default:
			at = align(at + f.size)
		}
	}
	return nil
}

// claim returns the sealed size that a sound frame header at an offset states, 0 where there is none.
func (s *segment) claim(at int) int {
	if at+frameHeaderSize > len(s.data) {
		return 0
	}
	b := s.data[at:]
	kind, n := b[12], int(binary.BigEndian.Uint32(b[8:]))
	if binary.BigEndian.Uint32(b[16:]) != checksum(s.salt, b[:16]) || !allZero(b[13:16]) || kind != 1 && kind != 2 {
		return 0
	}
	return n
}

// openFrame returns the frame at an offset, nil where none opens.
func (s *segment) openFrame(at int) *frame {
	n := s.claim(at)
	if n < overhead+24 || at+frameHeaderSize+n > len(s.data) {
		return nil
	}
	b := s.data[at:]
	f := &frame{number: binary.BigEndian.Uint64(b), kind: b[12], size: frameHeaderSize + n}
	sealed := b[frameHeaderSize:f.size]
	plain, err := openSealed(s.key, sealed, f.number, f.kind)
	if err != nil {
		return nil
	}
	f.before, f.tag = [16]byte(plain), [16]byte(sealed[n-16:])
	f.durable, f.payload = binary.BigEndian.Uint64(plain[16:]), plain[24:]
	return f
}

func (f *frame) check() error {
	if (f.kind == 2) != (len(f.payload) == 0) || len(f.payload) > payloadMax || f.durable >= f.number {
		return damaged("content of frame %d", f.number)
	}
	return nil
}

func align(at int) int { return (at + frameAlignment - 1) / frameAlignment * frameAlignment }

// apply applies the batches of a payload (W15).
func (l *logReader) apply(payload []byte) error {
	for in := (input{b: payload}); len(in.b) > 0; {
		commit, ops := in.u64(), in.bytes()
		if in.short {
			return damaged("a batch is cut short")
		}
		if commit <= l.c.manifest.commit {
			continue
		}
		if commit != l.st.commit+1 {
			return damaged("commit %d follows commit %d", commit, l.st.commit)
		}
		if err := l.st.applyBatch(ops); err != nil {
			return fmt.Errorf("commit %d: %w", commit, err)
		}
		l.st.commit = commit
	}
	return nil
}

// applyBatch applies operations in their order (W16, W17).
func (s *state) applyBatch(ops []byte) error {
	for in := (input{b: ops}); len(in.b) > 0; {
		code, id, text := in.u8(), in.u32(), in.bytes()
		key := string(be32(id)) + string(text)
		switch code {
		case 1:
			value := in.bytes()
			if len(text) > 32768 || len(value) > valueMax {
				return damaged("a key or value is too long")
			}
			s.records[key] = value
		case 2:
			if len(text) > 32768 {
				return damaged("a key is too long")
			}
			delete(s.records, key)
		case 3:
			if id <= s.lastID || len(text) < 1 || len(text) > 1024 {
				return damaged("new collection")
			}
			s.names[id], s.lastID = string(text), id
		case 4:
			if len(text) > 0 || s.names[id] == "" {
				return damaged("dropped collection")
			}
			delete(s.names, id)
		default:
			return damaged("operation %d", code)
		}
		if in.short {
			return damaged("a batch is cut short")
		}
		if code <= 2 && s.names[id] == "" {
			return damaged("a record of collection %d, which does not exist", id)
		}
	}
	seen := map[string]bool{}
	for _, name := range s.names {
		if seen[name] {
			return damaged("two collections have one name")
		}
		seen[name] = true
	}
	return nil
}
