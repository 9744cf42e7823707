package catalog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/byokdb/byokdb/internal/vfs"
)

// Salvaged is what of a catalog can be read, whatever is wrong with the rest.
type Salvaged struct {
	Contents
	HasClear bool // the clear record was read; else Clear means nothing

	PageSize int    // of bbolt, in bytes
	Pages    int    // of the file
	Used     int    // pages that the tree holds, the meta pages included
	Txid     uint64 // of bbolt's last transaction
	Records  []RecordInfo

	Faults []error // everything that is wrong; each is ErrCorrupt
}

// RecordInfo names one stored record.
type RecordInfo struct {
	Bucket string
	Key    string // as text; hexadecimal where it is a number
	Size   int    // of the value, in bytes, without its checksum
}

// Salvage reads a catalog as far as it can be read, and goes on past faults:
// past a meta page, a page of the tree and a record that is not sound. It takes
// no lock. The error is why there is nothing to read: ErrNotExist,
// ErrNotDatabase, ErrTooNew, the file system's, or ErrCorrupt where both meta
// pages are gone.
func Salvage(files vfs.FS, dir string) (s *Salvaged, err error) {
	path := filepath.Join(dir, FileName)
	for range 5 { // a writer may move pages while we read: then another reading differs
		var b []byte
		if b, err = readFile(files, path); err != nil {
			break
		}
		if s, err = salvage(b); err == nil && len(s.Faults) == 0 {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func salvage(b []byte) (*Salvaged, error) {
	out := &Salvaged{}
	out.Size = int64(len(b))
	fault := func(err error) { out.Faults = append(out.Faults, err) }
	s := &scan{file: b, seen: map[uint64]bool{}, fault: fault}
	root, err := s.metas()
	if err != nil {
		return nil, err
	}
	_ = s.note(s.bucket("", root, depthMax)) // it went to fault
	out.PageSize, out.Pages, out.Used, out.Txid = s.pageSize, len(b)/s.pageSize, 2+len(s.seen), s.txid
	found := map[string]bool{}
	for i := range s.records {
		r := &s.records[i]
		out.Records = append(out.Records, RecordInfo{Bucket: r.bucket, Key: keyText(r), Size: max(len(r.value)-4, 0)})
		err := out.take(r, found)
		if errors.Is(err, ErrTooNew) || errors.Is(err, ErrNotDatabase) {
			return nil, err
		}
		if err != nil {
			fault(err)
			continue
		}
		out.HasClear = out.HasClear || r.bucket == bucketMain && r.key == keyClear
	}
	if len(out.Faults) == 0 { // else what is missing was damaged
		switch err := out.complete(found); {
		case errors.Is(err, ErrNotDatabase):
			return nil, err
		case err != nil:
			fault(err)
		}
	}
	out.Faults = append(out.Faults, chainFaults(out.Journal)...)
	return out, nil
}

// keyText returns a record's key as text.
func keyText(r *record) string {
	if r.bucket == bucketMain {
		return r.key
	}
	return hex.EncodeToString([]byte(r.key))
}

// Hold keeps writers out of the catalog in dir until release is called; other
// holders are let in. Of a catalog that is too damaged to be locked nothing is
// held. Errors: ErrInUse.
func Hold(files vfs.FS, dir string) (release func(), err error) {
	release = func() {}
	defer func() {
		if recover() != nil { // bbolt on a damaged file
			err = nil
		}
	}()
	db, err := openBolt(files, filepath.Join(dir, FileName), true)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return release, fmt.Errorf("%s: %w", filepath.Join(dir, FileName), ErrInUse)
	case err != nil:
		return release, nil // damaged or absent: there is nothing that could be locked
	}
	return func() { _ = db.Close() }, nil // nothing was written
}
