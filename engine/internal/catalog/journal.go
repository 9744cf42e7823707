package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// Entry is one entry of the journal. Each holds the hash of the one before it,
// so that none can be changed, dropped or added in the middle unnoticed.
type Entry struct {
	Sequence uint64 // from 1
	Hash     [sha256.Size]byte
	Data     []byte
}

// next returns the entry that follows e; e is the zero Entry before the first.
//
//	hash = SHA-256("byokdb journal v1" ‖ sequence (8 B) ‖ previous hash ‖ data)
//
// Source: FORMAT.md §3.
func (e Entry) next(data []byte) Entry {
	h := sha256.New()
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], e.Sequence+1)
	for _, part := range [][]byte{[]byte("byokdb journal v1"), seq[:], e.Hash[:], data} {
		_, _ = h.Write(part) // never fails
	}
	return Entry{Sequence: e.Sequence + 1, Hash: [sha256.Size]byte(h.Sum(nil)), Data: data}
}

func (e *Entry) unmarshal(key string, value []byte) error {
	if len(key) != 8 || len(value) < sha256.Size {
		return fmt.Errorf("journal entry does not parse: %w", ErrCorrupt)
	}
	e.Sequence = binary.BigEndian.Uint64([]byte(key))
	e.Hash = [sha256.Size]byte(value)
	e.Data = value[sha256.Size:]
	return nil
}

// checkChain checks the hashes of a whole journal.
func checkChain(entries []Entry) error {
	for _, err := range chainFaults(entries) {
		return err
	}
	return nil
}

// chainFaults returns every place where the chain does not hold.
func chainFaults(entries []Entry) (faults []error) {
	var last Entry
	for _, e := range entries {
		if want := last.next(e.Data); e.Sequence != want.Sequence || e.Hash != want.Hash {
			faults = append(faults, fmt.Errorf("journal entry %d does not follow the one before it: %w", e.Sequence, ErrCorrupt))
		}
		last = e
	}
	return faults
}

// appendJournal adds an entry behind the last.
func appendJournal(tx *bbolt.Tx, data []byte) error {
	var last Entry
	if k, v := tx.Bucket([]byte(bucketJournal)).Cursor().Last(); k != nil {
		r := record{bucket: bucketJournal, key: string(k), value: string(v)}
		plain, err := r.unframe()
		if err == nil {
			err = last.unmarshal(r.key, plain)
		}
		if err != nil {
			return err
		}
	}
	e := last.next(data)
	key := binary.BigEndian.AppendUint64(nil, e.Sequence)
	return put(tx, bucketJournal, string(key), append(e.Hash[:], data...))
}
