// Package formatreader is a second reader of byokdb's files, written from
// FORMAT.md alone and sharing no code with the engine: what it lists and what
// the engine lists must be the same. It is the proof that the format is
// documented, and it stands in for a reader by somebody else.
//
// It reads a whole database into memory, needs a development key file, takes
// no lock beyond bbolt's, and changes nothing. Only tests import it.
//
// What it checks: every rule of FORMAT.md that a reader must keep, but for C2
// (it opens the catalog through bbolt, as FORMAT.md allows nobody else to),
// C9's constant time, and the rules for writers.
package formatreader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The classes of refusal, FORMAT.md §1.
var (
	ErrNotDatabase = errors.New("not a database")
	ErrTooNew      = errors.New("too new")
	ErrWrongKey    = errors.New("wrong key")
	ErrDamaged     = errors.New("damaged")
	ErrErased      = errors.New("erased")
)

// Database is what a directory holds: the last state that its log and its
// manifest make up.
type Database struct {
	ID          [16]byte
	Generation  uint64
	Commit      uint64 // number of the last commit
	Runs        []Run  // as the manifest lists them
	Collections []Collection
}

// Collection is one collection with its records in the order of their keys.
type Collection struct {
	ID      uint32
	Name    string
	Records []Record
}

// Record is a user key and its value.
type Record struct{ Key, Value []byte }

// Run is one run as the manifest describes it.
type Run struct {
	Number, Size, Entries, Tombstones, KeyBytes, ValueBytes uint64
	Level                                                   byte
	Epoch                                                   uint32
	Root                                                    [16]byte
	First, Last                                             []byte
}

// state is a database while it is put together: the records by internal key.
type state struct {
	names   map[uint32]string
	records map[string][]byte
	lastID  uint32 // greatest collection id ever given
	commit  uint64
}

// Open reads the database in dir with the development key in keyFile. What it
// refuses wraps one of the five errors above; other errors are the operating
// system's.
func Open(dir, keyFile string) (*Database, error) {
	kek, err := readKeyFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	c, err := readCatalog(filepath.Join(dir, "catalog.bolt"), kek)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	m := c.manifest
	st := &state{names: maps.Clone(m.names), records: map[string][]byte{}, lastID: m.nextCollection - 1, commit: m.commit}
	// Later sources win: the deepest level first, level 0 from the end of the list, the log last.
	order := slices.Clone(m.runs)
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b Run) int { return int(b.Level) - int(a.Level) })
	for _, r := range order {
		data, err := os.ReadFile(filepath.Join(dir, "runs", fmt.Sprintf("%08d.run", r.Number))) //nolint:gosec // the caller's path is the point
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("run %d is missing: %w", r.Number, ErrDamaged)
		} else if err != nil {
			return nil, err
		}
		entries, err := ReadRun(data, c.id, c.deks, &r)
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", r.Number, err)
		}
		for _, e := range entries {
			if e.Tombstone {
				delete(st.records, string(e.Key))
			} else {
				st.records[string(e.Key)] = e.Value
			}
		}
	}
	if err := replay(filepath.Join(dir, "wal"), c, st); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return st.database(c), nil
}

// database sorts what st holds. Records of collections that are not listed
// were dropped (W17).
func (s *state) database(c *catalog) *Database {
	d := &Database{ID: c.id, Generation: c.manifest.generation, Commit: s.commit, Runs: c.manifest.runs}
	for _, id := range slices.Sorted(maps.Keys(s.names)) {
		d.Collections = append(d.Collections, Collection{ID: id, Name: s.names[id]})
	}
	for _, k := range slices.Sorted(maps.Keys(s.records)) {
		id := binary.BigEndian.Uint32([]byte(k))
		i := slices.IndexFunc(d.Collections, func(c Collection) bool { return c.ID == id })
		if i >= 0 {
			d.Collections[i].Records = append(d.Collections[i].Records, Record{Key: []byte(k[4:]), Value: s.records[k]})
		}
	}
	return d
}

// input takes big-endian fields off the front of a byte string. After it has
// run short every field is zero and done says so.
type input struct {
	b     []byte
	short bool
}

func (in *input) take(n int) []byte {
	if n < 0 || n > len(in.b) {
		in.short, in.b = true, nil
		return make([]byte, min(max(n, 0), 64))
	}
	v := in.b[:n:n]
	in.b = in.b[n:]
	return v
}

func (in *input) u8() byte      { return in.take(1)[0] }
func (in *input) u16() uint16   { return binary.BigEndian.Uint16(in.take(2)) }
func (in *input) u32() uint32   { return binary.BigEndian.Uint32(in.take(4)) }
func (in *input) u64() uint64   { return binary.BigEndian.Uint64(in.take(8)) }
func (in *input) bytes() []byte { return in.take(int(in.u32())) }
func (in *input) brief() []byte { return in.take(int(in.u16())) }

func (in *input) uvarint() uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.short, in.b = true, nil
		return 0
	}
	in.b = in.b[n:]
	return v
}

// done returns ErrDamaged when in ran short or has bytes left over.
func (in *input) done(what string) error {
	if in.short || len(in.b) > 0 {
		return damaged("%s has another length", what)
	}
	return nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrDamaged)...)
}

func tooNew(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrTooNew)...)
}

func allZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC-32C of the parts, joined.
func checksum(parts ...[]byte) uint32 {
	return crc32.Checksum(slices.Concat(parts...), castagnoli)
}

// endsWithChecksum reports whether the last four bytes are the CRC-32C of the others.
func endsWithChecksum(b []byte) bool {
	n := len(b) - 4
	return n >= 0 && binary.BigEndian.Uint32(b[n:]) == checksum(b[:n])
}
