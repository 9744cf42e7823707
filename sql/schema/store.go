package schema

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// What is on disk. The collection "schema" of a place holds
//
//	"v"                → version (8 B, big-endian) ‖ last object id (8 B, big-endian)
//	"o" ‖ id (8 B, BE) → record: layout (1 B) ‖ root (uvarint) ‖ type, name, table, SQL (each uvarint length ‖ bytes)
//	"s" ‖ root (8 B)   → AUTOINCREMENT: the greatest rowid ever (8 B, big-endian)
//
// Object ids and roots come from one counter and are never used twice.
const (
	keyVersion   = "v"
	prefixObject = "o"
	prefixSeq    = "s"
	layout       = 1
)

// Version returns the version of the schema that tx sees, 0 before the first
// table. Two schemas that differ have different versions, those of
// transactions that were rolled back included: the low half is random.
func Version(tx *engine.Tx) (uint64, error) { return versionAt(tx, Main) }

func versionAt(tx *engine.Tx, p Place) (uint64, error) {
	c, err := tx.Collection(p.catalog())
	if errors.Is(err, engine.ErrNoCollection) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	version, _, err := readVersion(c)
	return version, err
}

func readVersion(c *engine.Collection) (version, lastID uint64, err error) {
	b, err := c.UnsafeGet([]byte(keyVersion))
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	if len(b) != 16 {
		return 0, 0, corrupt("version record of %d bytes", len(b))
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), nil
}

// writer changes the records in one transaction.
type writer struct {
	tx      *engine.Tx
	coll    *engine.Collection
	version uint64
	lastID  uint64
}

// newWriter bumps the version. finish must be called.
func newWriter(tx *engine.Tx, p Place) (*writer, error) {
	if p == tempRoot {
		return nil, sqlerr.New(sqlerr.Misuse, "temporary objects of nobody")
	}
	c, err := tx.CreateCollectionIfNotExists(p.catalog())
	if err != nil {
		return nil, fmt.Errorf("open schema: %w", err)
	}
	w := &writer{tx: tx, coll: c}
	if p.temp() {
		w.lastID = firstTempID
	}
	if version, lastID, err := readVersion(c); err == nil {
		w.version, w.lastID = version, lastID
	} else if !errors.Is(err, engine.ErrNotFound) {
		return nil, err
	}
	var salt [4]byte
	rand.Read(salt[:])
	w.version = (w.version>>32+1)<<32 | uint64(binary.BigEndian.Uint32(salt[:]))
	return w, nil
}

func (w *writer) nextID() uint64 { w.lastID++; return w.lastID }

func (w *writer) finish() error {
	b := binary.BigEndian.AppendUint64(nil, w.version)
	if err := w.coll.Put([]byte(keyVersion), binary.BigEndian.AppendUint64(b, w.lastID)); err != nil {
		return fmt.Errorf("write schema version: %w", err)
	}
	return nil
}

func (w *writer) put(o Object) error {
	if err := w.coll.Put(numberKey(prefixObject, o.id), encodeObject(o)); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}

func (w *writer) remove(id uint64) error {
	if err := w.coll.Delete(numberKey(prefixObject, id)); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}

// Sequence returns the greatest rowid that an AUTOINCREMENT table ever had, 0
// and false before the first row.
func Sequence(tx *engine.Tx, t *Table) (seq int64, known bool, err error) {
	c, err := tx.Collection(t.place.catalog())
	if err != nil {
		return 0, false, fmt.Errorf("read sequence: %w", err)
	}
	b, err := c.Get(numberKey(prefixSeq, t.Root))
	if errors.Is(err, engine.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read sequence: %w", err)
	}
	if len(b) != 8 {
		return 0, false, corrupt("sequence record of %d bytes", len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), true, nil
}

// DropSequence makes an AUTOINCREMENT table forget the rowids of rows that are
// gone.
func DropSequence(tx *engine.Tx, t *Table) error {
	c, err := tx.Collection(t.place.catalog())
	if err != nil {
		return fmt.Errorf("write sequence: %w", err)
	}
	if err := c.Delete(numberKey(prefixSeq, t.Root)); err != nil {
		return fmt.Errorf("write sequence: %w", err)
	}
	return nil
}

// SetSequence records the greatest rowid of an AUTOINCREMENT table.
func SetSequence(tx *engine.Tx, t *Table, rowID int64) error {
	c, err := tx.Collection(t.place.catalog())
	if err != nil {
		return fmt.Errorf("write sequence: %w", err)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(rowID))
	if err := c.Put(numberKey(prefixSeq, t.Root), b); err != nil {
		return fmt.Errorf("write sequence: %w", err)
	}
	return nil
}

func numberKey(prefix string, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), n)
}

func encodeObject(o Object) []byte {
	b := binary.AppendUvarint([]byte{layout}, o.Root)
	for _, s := range []string{o.Type, o.Name, o.Table, o.SQL} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

func decodeObject(key, b []byte) (Object, error) {
	var o Object
	if len(key) != len(prefixObject)+8 || !bytes.HasPrefix(key, []byte(prefixObject)) {
		return o, corrupt("key of %d bytes", len(key))
	}
	o.id = binary.BigEndian.Uint64(key[len(prefixObject):])
	if len(b) > 0 && b[0] > layout {
		return o, fmt.Errorf("schema object %d: %w", o.id, engine.ErrTooNew)
	}
	if len(b) == 0 || b[0] != layout {
		return o, corrupt("object %d has an unknown layout", o.id)
	}
	root, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return o, corrupt("object %d is cut short", o.id)
	}
	o.Root, b = root, b[1+n:]
	for _, s := range []*string{&o.Type, &o.Name, &o.Table, &o.SQL} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return o, corrupt("object %d is cut short", o.id)
		}
		b = b[n:]
		*s, b = string(b[:size]), b[size:]
	}
	if len(b) != 0 {
		return o, corrupt("object %d has %d bytes too many", o.id, len(b))
	}
	return o, nil
}

func corrupt(format string, args ...any) error {
	return sqlerr.New(sqlerr.Corrupt, "malformed database schema: "+format, args...)
}
