package catalog

import (
	"fmt"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// FormatVersion is the version of the whole directory's format. It is on disk.
const FormatVersion = 1

// Clear is what must be known before a key is there. It holds no customer data.
type Clear struct {
	FormatVersion uint16
	Database      crypt.ID
	Created       time.Time // seconds, UTC
	KeyID         string    // of the KEK, for life
	KeyURI        string    // from which keyuri.Open makes the provider
	Development   bool      // the KEK protects nothing
	Policy        []byte    // guard.Policy's encoding
}

// marshal encodes the record.
//
//	format version (2 B) ‖ features that a reader must know (4 B) ‖ features
//	that a reader may ignore (4 B) ‖ database id (16 B) ‖ created (8 B, seconds
//	since 1970) ‖ development (1 B) ‖ KEK id ‖ key URI ‖ policy
//
// Source: FORMAT.md §3.
func (c *Clear) marshal() []byte {
	var e encoder
	e.u16(FormatVersion)
	e.u32(0)
	e.u32(0)
	e.raw(c.Database[:])
	e.u64(uint64(c.Created.Unix()))
	e.u8(b2u(c.Development))
	e.bytes([]byte(c.KeyID))
	e.bytes([]byte(c.KeyURI))
	e.bytes(c.Policy)
	return e.b
}

func (c *Clear) unmarshal(b []byte) error {
	d := decoder{b: b}
	c.FormatVersion = d.u16()
	features := d.u32()
	if !d.bad && (c.FormatVersion > FormatVersion || features != 0) {
		return fmt.Errorf("format version %d, features %#x: %w", c.FormatVersion, features, ErrTooNew)
	}
	if c.FormatVersion == 0 {
		d.bad = true
	}
	d.u32()
	d.raw(c.Database[:])
	c.Created = time.Unix(d.i64(), 0).UTC()
	development := d.u8()
	if c.Development = development == 1; development > 1 {
		d.bad = true
	}
	c.KeyID, c.KeyURI, c.Policy = string(d.bytes()), string(d.bytes()), d.bytes()
	return d.done("the clear record")
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// Tombstone says when and why a database was erased, to lay beside the KMS's own
// log.
type Tombstone struct {
	Erased      time.Time // seconds, UTC
	FirstDenied time.Time // likewise: the first denial since the key last answered; zero if unknown
	DeniedFor   time.Duration
	Reason      string // what the KMS said last
	FirstID     string // the KMS's request id of its first denial
	LastID      string // of its last
}

func (t *Tombstone) marshal() []byte {
	var e encoder
	e.u64(uint64(t.Erased.Unix()))
	first := int64(0)
	if !t.FirstDenied.IsZero() {
		first = t.FirstDenied.Unix()
	}
	e.u64(uint64(first))
	e.u64(uint64(t.DeniedFor))
	for _, s := range []string{t.Reason, t.FirstID, t.LastID} {
		e.bytes([]byte(s))
	}
	return e.b
}

func (t *Tombstone) unmarshal(b []byte) error {
	d := decoder{b: b}
	t.Erased = time.Unix(d.i64(), 0).UTC()
	if first := d.i64(); first != 0 {
		t.FirstDenied = time.Unix(first, 0).UTC()
	}
	t.DeniedFor = time.Duration(d.i64())
	t.Reason, t.FirstID, t.LastID = string(d.bytes()), string(d.bytes()), string(d.bytes())
	return d.done("the tombstone")
}
