// Package torture writes to a database in such a way that what must be there
// can be told after any crash, without a copy of it kept elsewhere.
//
// Several writers commit numbered transactions. What transaction s of writer w
// does is a function of the seed, w and s alone, and every record is written
// again in a fixed turn, so that the whole contents after S transactions follow
// from S: see [Plan]. Each transaction also appends to a collection in which
// all writers number their commits in order. So a checker reads how many
// transactions of each writer are there, and everything else must agree:
//
//   - no gap in the order of commits, and none of one that was never begun;
//   - every commit that was acknowledged;
//   - of every transaction all or nothing, byte for byte, and nothing else.
//
// The package serves tests and scripts/powercut only.
package torture

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A Plan says what every transaction of every writer does. It is the same for
// all runs on one database.
type Plan struct {
	Seed    uint64
	Writers int // 1 to 64
}

// Shape of the workload. A writer fills a collection for an epoch, changes it
// for another one beside the next collection, and drops it then.
const (
	txPerEpoch = 200  // transactions of a writer on its newest collection
	nSlots     = 960  // keys of a collection
	newestTurn = 8    // slots of the newest collection that a transaction writes
	olderTurn  = 4    // slots of the collection before that
	bulkEvery  = 32   // transactions from one that rewrites the bulk collection to the next
	bulkSlots  = 300  // keys of the bulk collection
	orderKept  = 2000 // commits in the collection that numbers them
)

const (
	_ = uint(-(nSlots % newestTurn)) // turns are whole
	_ = uint(-(nSlots % olderTurn))
)

// Collections that all writers share.
const (
	orderName  = "order"  // number of the commit (8) → writer and sequence
	writerName = "writer" // writer (1) → its last sequence
)

// collectionName returns the name of a writer's collection of an epoch.
func collectionName(writer int, epoch uint64) string {
	return fmt.Sprintf("w%02d-e%06d", writer, epoch)
}

func bulkName(writer int) string { return fmt.Sprintf("w%02d-bulk", writer) }

// Uses of the hash.
const (
	useKey uint64 = iota + 1
	useValue
	useCourse
	useLife
)

// hash mixes the seed with numbers.
//
// Source: splitmix64, Steele, Lea and Flood 2014.
func (p Plan) hash(parts ...uint64) uint64 {
	h := p.Seed
	for _, v := range parts {
		h = mix(h ^ v)
	}
	return h
}

func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// key returns the key of a slot. Slots that are neighbours are not so as keys.
func (p Plan) key(writer, slot int) []byte {
	b := binary.BigEndian.AppendUint64(nil, p.hash(useKey, uint64(writer), uint64(slot)))
	return binary.BigEndian.AppendUint32(b, uint32(slot))
}

// valueHeader is the fixed part of a value: CRC-32C of what follows (4), writer
// (1), sequence (8), slot (4).
const valueHeader = 17

// value returns what transaction s writes into a slot of one of its
// collections, nil if it deletes the record.
func (p Plan) value(writer int, epoch, s uint64, slot int) []byte {
	h := p.hash(useValue, uint64(writer), epoch, s, uint64(slot))
	if h%5 == 0 {
		return nil
	}
	return fill(writer, s, slot, sizeOf(h>>8), h)
}

// bulkValue is value for the bulk collection, whose values are small.
func (p Plan) bulkValue(writer int, s uint64, slot int) []byte {
	h := p.hash(useValue, uint64(writer), ^uint64(0), s, uint64(slot))
	if h%7 == 0 {
		return nil
	}
	return fill(writer, s, slot, int((h>>8)%200), h)
}

// sizeOf chooses the size of a payload in bytes: mostly some hundred, sometimes
// larger than a page, now and then some MiB.
func sizeOf(h uint64) int {
	pick, h := h%8192, h>>13
	switch {
	case pick == 0:
		return 1<<20 + int(h%(2<<20))
	case pick < 64:
		return 4<<10 + int(h%(96<<10))
	default:
		return int(h % 500)
	}
}

// fill makes a value with a payload of n bytes, every other one of which
// compresses well.
func fill(writer int, s uint64, slot, n int, h uint64) []byte {
	b := make([]byte, 4, valueHeader+n+8)
	b = append(b, byte(writer))
	b = binary.BigEndian.AppendUint64(b, s)
	b = binary.BigEndian.AppendUint32(b, uint32(slot))
	for i := 0; len(b) < valueHeader+n; i++ {
		word := h
		if h&1 == 1 {
			word = mix(h + uint64(i))
		}
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return seal(b[:valueHeader+n])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts the checksum over a record into its first four bytes.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// sealed reports whether a record has the checksum that it states.
func sealed(b []byte) bool {
	return len(b) >= 4 && binary.BigEndian.Uint32(b) == crc32.Checksum(b[4:], castagnoli)
}

// epochOf returns the epoch of transaction s ≥ 1 and its index in that.
func epochOf(s uint64) (epoch uint64, i int) {
	return (s - 1) / txPerEpoch, int((s - 1) % txPerEpoch)
}

// turn returns the first slot that the i-th transaction of an epoch writes, n
// slots at a time.
func turn(i, n int) int { return i % (nSlots / n) * n }

// lastTurn returns the last transaction of an epoch up to its i-th one that
// wrote a slot, n slots at a time, -1 if none did.
func lastTurn(i, n, slot int) int {
	block := slot / n
	if i < block {
		return -1
	}
	return i - (i-block)%(nSlots/n)
}

// lastWriter returns the last transaction up to s that wrote a slot of a
// writer's collection of an epoch, 0 if none did.
func lastWriter(s, epoch uint64, slot int) uint64 {
	newest, i := epochOf(s)
	if newest > epoch {
		if j := lastTurn(i, olderTurn, slot); j >= 0 {
			return newest*txPerEpoch + uint64(j) + 1
		}
		i = txPerEpoch - 1
	}
	if j := lastTurn(i, newestTurn, slot); j >= 0 {
		return epoch*txPerEpoch + uint64(j) + 1
	}
	return 0
}

// A Commit is one transaction in the order of all.
type Commit struct {
	N      uint64 // number among all commits of all writers, from 1
	Writer int
	Seq    uint64 // number among the writer's, from 1
}

func (c Commit) String() string {
	return fmt.Sprintf("commit %d (writer %d, transaction %d)", c.N, c.Writer, c.Seq)
}

// orderKey returns the key of a commit in the order.
func orderKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// orderValue is the record of a commit: CRC-32C (4), writer (1), sequence (8).
func (c Commit) orderValue() []byte {
	return seal(binary.BigEndian.AppendUint64(append(make([]byte, 4), byte(c.Writer)), c.Seq))
}

// commitOf reads a record of the order.
func commitOf(key, value []byte) (Commit, error) {
	if len(key) != 8 || len(value) != 13 || !sealed(value) {
		return Commit{}, fmt.Errorf("%w: the order of commits has a record of %d and %d bytes that was never written", ErrWrong, len(key), len(value))
	}
	return Commit{
		N: binary.BigEndian.Uint64(key), Writer: int(value[4]), Seq: binary.BigEndian.Uint64(value[5:]),
	}, nil
}
