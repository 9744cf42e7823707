package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/internal/vfs"
)

// Snapshot returns a copy of the whole file at one moment, which Parse accepts.
// Writers do not wait for it, but for RetireEnvelopes.
func (c *Catalog) Snapshot() ([]byte, error) {
	c.copying.RLock()
	defer c.copying.RUnlock()
	var b bytes.Buffer
	err := c.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: copy: %w", c.path, err)
	}
	return b.Bytes(), nil
}

// ReadFile is Read that returns the bytes of the file as well: they are a sound
// catalog, also when another process was writing it.
func ReadFile(files vfs.FS, dir string) ([]byte, *Contents, error) {
	path := filepath.Join(dir, FileName)
	var err error
	for range readTries {
		var b []byte
		if b, err = readFile(files, path); err != nil {
			break
		}
		var c *Contents
		if c, err = Parse(b); err == nil {
			return b, c, nil
		}
		if !errors.Is(err, ErrCorrupt) {
			break
		}
	}
	return nil, nil, fmt.Errorf("%s: %w", path, err)
}

// readTries is how often a catalog is read before it is called damaged: a
// writer may move pages meanwhile, and then another reading differs.
const readTries = 5

// Generation returns the generation that the clear header of a sealed manifest
// states. It proves nothing before the manifest is opened. Errors: ErrCorrupt.
//
// Source: FORMAT.md §3, Sealed manifest.
func Generation(sealed []byte) (uint64, error) {
	if len(sealed) < manifestHeaderSize || [8]byte(sealed[:8]) != manifestMagic ||
		crc32.Checksum(sealed[:102], castagnoli) != binary.BigEndian.Uint32(sealed[102:]) {
		return 0, fmt.Errorf("header of the manifest: %w", ErrCorrupt)
	}
	return binary.BigEndian.Uint64(sealed[30:]), nil
}
