package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// Names in a backup. They are on disk.
const (
	backupMarker = "byokdb-backup" // says what the directory or stream is
	backupIndex  = "backup.json"   // comes last: without it a set or stream is unfinished
)

// backupVersion is the version of both, and the highest that is read.
const backupVersion = 1

// A marker says that a directory or stream is a backup, and of which database.
type marker struct {
	Format   string `json:"format"`
	Version  int    `json:"version"`
	Database string `json:"database"` // 32 lower-case hexadecimal digits
}

// backupFormat is marker.Format.
const backupFormat = "byokdb backup"

// markerSizeMax and indexSizeMax bound what is read as such, in bytes.
const (
	markerSizeMax = 4 << 10
	indexSizeMax  = 256 << 20
)

func newMarker(id crypt.ID) marker {
	return marker{Format: backupFormat, Version: backupVersion, Database: id.String()}
}

func (m marker) marshal() ([]byte, error) {
	b, err := json.Marshal(m)
	return append(b, '\n'), err
}

// parseMarker reads a marker. where is for errors: ErrNotBackup, ErrTooNew.
func parseMarker(b []byte, where string) (m marker, err error) {
	if err := json.Unmarshal(b, &m); err != nil || m.Format != backupFormat || m.Version < 1 {
		return m, fmt.Errorf("%s: %w: %s is damaged or another program's", where, ErrNotBackup, backupMarker)
	}
	if m.Version > backupVersion {
		return m, fmt.Errorf("%s: %w: backup format %d", where, ErrTooNew, m.Version)
	}
	if canonical, err := m.marshal(); err != nil || !bytes.Equal(canonical, b) {
		return m, fmt.Errorf("%s: %w: %s", where, ErrCorrupt, backupMarker)
	}
	return m, nil
}

// An index lists the files of one backup. It holds no customer data: names are
// numbers, and hashes are of sealed bytes.
//
// Source: FORMAT.md §8.
type index struct {
	Format     string      `json:"format"`
	Version    int         `json:"version"`
	Database   string      `json:"database"`
	Set        uint64      `json:"set,omitempty"`
	Generation uint64      `json:"generation"`
	Position   Position    `json:"position,omitzero"`
	Created    time.Time   `json:"created"` // to the second, UTC
	Files      []indexFile `json:"files"`
}

// An indexFile is one file of a backup.
type indexFile struct {
	Name   string `json:"name"` // in the database's directory, with slashes
	Size   int64  `json:"size"` // in bytes
	SHA256 string `json:"sha256"`
	Pool   string `json:"pool,omitempty"` // name among the runs of a destination
}

func newIndex(src *backupSource, set uint64) *index {
	return &index{
		Format: backupFormat, Version: backupVersion, Database: src.database.String(), Set: set,
		Generation: src.generation, Position: src.position, Created: src.now.UTC().Truncate(time.Second),
	}
}

// sealedIndex is an index with a hash of its bytes.
type sealedIndex struct {
	Index  json.RawMessage `json:"index"`
	SHA256 string          `json:"sha256"`
}

// marshal encodes the index in the one form that parseIndex accepts.
func (x *index) marshal() ([]byte, error) {
	raw, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	b, err := json.Marshal(sealedIndex{Index: raw, SHA256: hex.EncodeToString(sum[:])})
	return append(b, '\n'), err
}

// parseIndex reads an index. where is for errors: ErrCorrupt, ErrTooNew.
func parseIndex(b []byte, where string) (*index, error) {
	damaged := func(what string) error { return fmt.Errorf("%w: %s: %s", ErrCorrupt, where, what) }
	var s sealedIndex
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, damaged("the index of the backup is cut or damaged")
	}
	if canonical, err := json.Marshal(s); err != nil || !bytes.Equal(append(canonical, '\n'), b) {
		return nil, damaged("the index of the backup is damaged")
	}
	if sum := sha256.Sum256(s.Index); hex.EncodeToString(sum[:]) != s.SHA256 {
		return nil, damaged("the checksum of the backup's index does not match")
	}
	var x index
	if err := json.Unmarshal(s.Index, &x); err != nil || x.Format != backupFormat || x.Version < 1 {
		return nil, damaged("the index is not one of a backup")
	}
	if x.Version > backupVersion {
		return nil, fmt.Errorf("%s: %w: backup format %d", where, ErrTooNew, x.Version)
	}
	names := make(map[string]bool, len(x.Files))
	for _, f := range x.Files {
		if !isPart(f.Name) || names[f.Name] || f.Size < 0 || f.Pool != "" && !isPoolName(f.Pool) {
			return nil, damaged("the index lists a file that a backup cannot have")
		}
		names[f.Name] = true
	}
	if len(x.Files) == 0 || x.Files[0].Name != catalog.FileName {
		return nil, damaged("the index does not begin with the catalog")
	}
	return &x, nil
}

// bytes returns the size of all files, in bytes.
func (x *index) bytes() (n int64) {
	for _, f := range x.Files {
		n += f.Size
	}
	return n
}

// isPoolName reports whether a name is that of a run in a destination: its
// number, '-', 32 hexadecimal digits, ".run".
func isPoolName(name string) bool {
	var id uint64
	var root [crypt.TagSize]byte
	var tail []byte
	if n, err := fmt.Sscanf(name, "%d-%x", &id, &tail); n != 2 || err != nil || len(tail) != len(root) {
		return false
	}
	copy(root[:], tail)
	return name == (&backupPart{id: id, root: root}).poolName()
}
