package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/wal"
)

// Manifest names everything that makes up the database at one moment. It is
// sealed under a key of its own each time it is written.
type Manifest struct {
	Generation     uint64 // grows with every change
	Commit         uint64 // the last commit that the runs contain
	Floor          wal.Floor
	NextRun        uint64
	NextCollection uint32
	Runs           []RunMeta
	Collections    []CollectionMeta
	KeyID          string // copies of the clear record's: they show whether
	Policy         []byte // somebody edited those
}

// RunMeta is one run of the tree.
type RunMeta struct {
	ID                   uint64
	Level                uint8
	Epoch                crypt.Epoch
	Size                 int64 // bytes
	Entries, Tombstones  uint64
	KeyBytes, ValueBytes uint64
	First, Last          []byte // keys
	RootTag              [16]byte
}

// CollectionMeta is one collection.
type CollectionMeta struct {
	ID   uint32
	Name string
}

// A sealed manifest is a header in the clear and the sealed fields. Integers
// are big-endian.
//
//	offset  size  field
//	     0     8  magic
//	     8     2  version, 1
//	    10    16  database id
//	    26     4  DEK epoch
//	    30     8  generation
//	    38    32  salt
//	    70    32  key commitment
//	   102     4  CRC-32C of what precedes
//	   106     …  sealed, associated data: generation ‖ 1
//
// Source: FORMAT.md §3.
const (
	manifestVersion    = 1
	manifestKeyed      = 70 // what the key is derived from
	manifestHeaderSize = 106
	contentManifest    = 1
)

var (
	manifestMagic = [8]byte{'B', 'Y', 'O', 'K', 'M', 'A', 'N', 0}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Seal encodes and seals the manifest under the ring's current epoch.
func (m *Manifest) Seal(ring *crypt.KeyRing, database crypt.ID) ([]byte, error) {
	epoch, salt := ring.Current(), crypt.NewSalt()
	var e encoder
	e.raw(manifestMagic[:])
	e.u16(manifestVersion)
	e.raw(database[:])
	e.u32(uint32(epoch))
	e.u64(m.Generation)
	e.raw(salt[:])
	key, commitment, err := ring.Create(epoch, crypt.KindManifest, salt, e.b)
	if err != nil {
		return nil, fmt.Errorf("seal manifest: %w", err)
	}
	defer key.Wipe()
	e.raw(commitment[:])
	e.u32(crc32.Checksum(e.b, castagnoli))
	plain := m.marshal()
	defer clear(plain)
	return key.Seal(e.b, plain, crypt.PlaceAAD(m.Generation, contentManifest)), nil
}

// ManifestInfo is what the clear header of a sealed manifest says. It proves
// nothing until the manifest is opened.
type ManifestInfo struct {
	Version    uint16
	Database   crypt.ID
	Epoch      crypt.Epoch
	Generation uint64
	Size       int // of the whole, in bytes
}

// InspectManifest returns what the header of a sealed manifest says. It needs
// no key. Errors: ErrCorrupt, ErrTooNew.
func InspectManifest(b []byte) (info ManifestInfo, err error) {
	switch {
	case len(b) < manifestHeaderSize || [8]byte(b[:8]) != manifestMagic:
		return info, fmt.Errorf("not a manifest: %w", ErrCorrupt)
	case crc32.Checksum(b[:102], castagnoli) != binary.BigEndian.Uint32(b[102:]):
		return info, fmt.Errorf("manifest header checksum: %w", ErrCorrupt)
	case binary.BigEndian.Uint16(b[8:]) == 0:
		return info, fmt.Errorf("manifest version 0: %w", ErrCorrupt)
	case binary.BigEndian.Uint16(b[8:]) > manifestVersion:
		return info, fmt.Errorf("manifest version %d: %w", binary.BigEndian.Uint16(b[8:]), ErrTooNew)
	}
	return ManifestInfo{
		Version: binary.BigEndian.Uint16(b[8:]), Database: crypt.ID(b[10:26]),
		Epoch: crypt.Epoch(binary.BigEndian.Uint32(b[26:])), Generation: binary.BigEndian.Uint64(b[30:]), Size: len(b),
	}, nil
}

// OpenManifest opens a sealed manifest. Errors: ErrCorrupt, ErrTooNew,
// crypt.ErrWrongKey.
func OpenManifest(ring *crypt.KeyRing, database crypt.ID, b []byte) (*Manifest, error) {
	info, err := InspectManifest(b)
	if err != nil {
		return nil, err
	}
	if info.Database != database {
		return nil, fmt.Errorf("manifest of another database: %w", ErrCorrupt)
	}
	epoch, generation := info.Epoch, info.Generation
	key, err := ring.Open(epoch, crypt.KindManifest, crypt.Salt(b[38:70]), b[:manifestKeyed], crypt.Commitment(b[70:102]))
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	plain, err := key.Open(nil, b[manifestHeaderSize:], crypt.PlaceAAD(generation, contentManifest))
	if errors.Is(err, crypt.ErrAuth) {
		return nil, fmt.Errorf("manifest: %w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	m := &Manifest{}
	if err := m.unmarshal(plain); err != nil {
		return nil, err
	}
	if m.Generation != generation {
		return nil, fmt.Errorf("manifest of generation %d in the place of %d: %w", m.Generation, generation, ErrCorrupt)
	}
	return m, nil
}

func (m *Manifest) marshal() []byte {
	var e encoder
	e.u64(m.Generation)
	e.u64(m.Commit)
	e.u64(m.Floor.Segment)
	e.u64(m.Floor.Frame)
	e.raw(m.Floor.Tag[:])
	e.u64(m.NextRun)
	e.u32(m.NextCollection)
	e.bytes([]byte(m.KeyID))
	e.bytes(m.Policy)
	e.u32(uint32(len(m.Runs)))
	for _, r := range m.Runs {
		e.u64(r.ID)
		e.u8(r.Level)
		e.u32(uint32(r.Epoch))
		e.u64(uint64(r.Size))
		e.u64(r.Entries)
		e.u64(r.Tombstones)
		e.u64(r.KeyBytes)
		e.u64(r.ValueBytes)
		e.raw(r.RootTag[:])
		e.bytes(r.First)
		e.bytes(r.Last)
	}
	e.u32(uint32(len(m.Collections)))
	for _, c := range m.Collections {
		e.u32(c.ID)
		e.bytes([]byte(c.Name))
	}
	return e.b
}

func (m *Manifest) unmarshal(b []byte) error {
	d := decoder{b: b}
	m.Generation, m.Commit = d.u64(), d.u64()
	m.Floor.Segment, m.Floor.Frame = d.u64(), d.u64()
	d.raw(m.Floor.Tag[:])
	m.NextRun, m.NextCollection = d.u64(), d.u32()
	m.KeyID, m.Policy = string(d.bytes()), d.bytes()
	m.Runs = make([]RunMeta, d.count(77))
	for i := range m.Runs {
		r := &m.Runs[i]
		r.ID, r.Level, r.Epoch, r.Size = d.u64(), d.u8(), crypt.Epoch(d.u32()), d.i64()
		r.Entries, r.Tombstones, r.KeyBytes, r.ValueBytes = d.u64(), d.u64(), d.u64(), d.u64()
		d.raw(r.RootTag[:])
		r.First, r.Last = d.bytes(), d.bytes()
	}
	m.Collections = make([]CollectionMeta, d.count(8))
	for i := range m.Collections {
		m.Collections[i] = CollectionMeta{ID: d.u32(), Name: string(d.bytes())}
	}
	if err := d.done("the manifest"); err != nil {
		return err
	}
	return m.validate()
}

// validate checks what must hold in every manifest that was ever written.
func (m *Manifest) validate() error {
	if err := m.Floor.Validate(); err != nil {
		return fmt.Errorf("manifest: %w: %w", ErrCorrupt, err)
	}
	runs := make(map[uint64]bool, len(m.Runs))
	for _, r := range m.Runs {
		switch {
		case r.ID == 0 || r.ID >= m.NextRun || runs[r.ID] || r.Epoch == 0 || r.Size == 0,
			len(r.First) < 4 || len(r.Last) < 4 || bytes.Compare(r.First, r.Last) > 0:
			return fmt.Errorf("manifest: run %d: %w", r.ID, ErrCorrupt)
		}
		runs[r.ID] = true
	}
	ids, names := make(map[uint32]bool, len(m.Collections)), make(map[string]bool, len(m.Collections))
	for _, c := range m.Collections {
		if c.ID == 0 || c.ID >= m.NextCollection || c.Name == "" || ids[c.ID] || names[c.Name] {
			return fmt.Errorf("manifest: collection %d: %w", c.ID, ErrCorrupt)
		}
		ids[c.ID], names[c.Name] = true, true
	}
	return nil
}
