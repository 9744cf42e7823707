package localkey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// A key file is on disk as
//
//	offset  size  field
//	     0    26  "byokdb development key v1\n"
//	    26    32  KEK
//	    58    16  fingerprint of the KEK, which is its checksum too
const (
	fileMagic = "byokdb development key v1\n"
	fileSize  = len(fileMagic) + crypt.KeySize + fingerprintSize

	magicFamily = "byokdb development key v" // of every version
)

const fingerprintSize = 16

// fingerprint names a KEK: the first half of a hash of it.
type fingerprint [fingerprintSize]byte

// String returns 32 lower-case hexadecimal digits.
func (f fingerprint) String() string { return hex.EncodeToString(f[:]) }

// fingerprintOf hashes with a label, so that the result is of no use elsewhere.
func fingerprintOf(kek []byte) fingerprint {
	h := sha256.New()
	_, _ = io.WriteString(h, "byokdb local key fingerprint v1\x00") // a hash's Write never fails
	_, _ = h.Write(kek)
	var f fingerprint
	copy(f[:], h.Sum(nil))
	return f
}

// What may be wrong with a key file.
var (
	errDamaged  = errors.New("damaged")
	errTooNew   = errors.New("written by a newer version")
	errExposed  = errors.New("readable by others")
	errWithheld = errors.New("not readable by its owner")
)

// readKeyFile returns the KEK in path and its fingerprint. Errors wrap one of
// those above, fs.ErrNotExist, fs.ErrPermission, a context's error, or say what
// the operating system said.
func readKeyFile(ctx context.Context, path string) (*crypt.Secret, fingerprint, error) {
	if err := ctx.Err(); err != nil {
		return nil, fingerprint{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fingerprint{}, err
	}
	if !st.Mode().IsRegular() { // opening a FIFO would hang
		return nil, fingerprint{}, fmt.Errorf("not a regular file: %w", errDamaged)
	}
	f, err := os.Open(path) //nolint:gosec // the caller's path is the point
	if err != nil {
		return nil, fingerprint{}, err
	}
	defer func() { _ = f.Close() }() // only read from
	if st, err = f.Stat(); err != nil {
		return nil, fingerprint{}, err
	}
	if err := checkMode(st.Mode()); err != nil {
		return nil, fingerprint{}, err
	}
	var buf [fileSize + 1]byte // one more, to notice a longer file
	defer clear(buf[:])
	n, err := io.ReadFull(f, buf[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fingerprint{}, err
	}
	return parseKeyFile(buf[:n])
}

// parseKeyFile decodes the content of a key file. The caller clears b.
func parseKeyFile(b []byte) (*crypt.Secret, fingerprint, error) {
	switch {
	case len(b) == 0:
		return nil, fingerprint{}, fmt.Errorf("empty: %w", errDamaged)
	case len(b) > len(magicFamily) && string(b[:len(magicFamily)]) == magicFamily &&
		string(b[:min(len(b), len(fileMagic))]) != fileMagic:
		return nil, fingerprint{}, errTooNew
	case len(b) != fileSize:
		return nil, fingerprint{}, fmt.Errorf("not %d bytes: %w", fileSize, errDamaged)
	case string(b[:len(fileMagic)]) != fileMagic:
		return nil, fingerprint{}, fmt.Errorf("not a key file of byokdb: %w", errDamaged)
	}
	kek := b[len(fileMagic) : len(fileMagic)+crypt.KeySize]
	id := fingerprintOf(kek)
	if subtle.ConstantTimeCompare(id[:], b[len(fileMagic)+crypt.KeySize:]) != 1 {
		return nil, fingerprint{}, fmt.Errorf("its checksum does not match: %w", errDamaged)
	}
	s, err := crypt.NewSecret(kek) // clears kek
	if err != nil {
		return nil, fingerprint{}, fmt.Errorf("allocate secret memory: %w", err)
	}
	return s, id, nil
}

// makeKeyFile writes a new random KEK to path, mode 0600, durably. It fails with
// fs.ErrExist when the name is taken, and leaves no file behind when it fails
// otherwise. The file appears under its name whole, except on file systems
// without hard links.
func makeKeyFile(path string) error {
	kek, err := crypt.RandomSecret()
	if err != nil {
		return fmt.Errorf("allocate secret memory: %w", err)
	}
	defer kek.Wipe()
	fsys := vfs.OS()
	temp := path + ".new-" + strings.ToLower(rand.Text())
	if err := writeKeyFile(fsys, temp, kek); err != nil {
		return err
	}
	err = os.Link(temp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = writeKeyFile(fsys, path, kek)
	}
	if rerr := fsys.Remove(temp); err == nil {
		err = rerr
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// writeKeyFile makes the file anew and syncs it, or leaves none.
func writeKeyFile(fsys vfs.FS, path string, kek *crypt.Secret) error {
	f, err := fsys.Create(path)
	if err != nil {
		return err
	}
	err = kek.Use(func(b []byte) error {
		id := fingerprintOf(b)
		content := make([]byte, 0, fileSize)
		content = append(content, fileMagic...)
		content = append(content, b...)
		content = append(content, id[:]...)
		defer clear(content)
		_, err := f.WriteAt(content, 0)
		return err
	})
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(path))
	}
	return nil
}

// exists reports whether something has the name; a dangling link has not.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
