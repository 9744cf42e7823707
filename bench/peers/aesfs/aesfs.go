// Package aesfs is a file system for Pebble that encrypts every file with
// AES-256-CTR, as CockroachDB's encryption at rest does: nothing is
// authenticated, names are in the clear, and each file has a random IV.
//
// CockroachDB keeps the IVs in a registry of its own; here each file begins with
// a page that holds its IV, which saves the registry's syncs. Directories and
// locks are those of the file system below.
package aesfs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// headerSize is what a file begins with: the IV, and zeros up to a page, so that
// offsets keep their alignment.
const headerSize = 4096

type aesFS struct {
	vfs.FS // what has nothing to do with contents
	block  cipher.Block
}

// New returns fs with contents encrypted under a key of 32 bytes.
func New(fs vfs.FS, key []byte) (vfs.FS, error) {
	if len(key) != 32 {
		return nil, errors.New("aesfs: the key is not of 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &aesFS{FS: fs, block: block}, nil
}

func (fs *aesFS) Unwrap() vfs.FS { return fs.FS }

func (fs *aesFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return fs.begin(f)
}

// begin gives a new file its IV.
func (fs *aesFS) begin(inner vfs.File) (vfs.File, error) {
	header := make([]byte, headerSize)
	f := &file{File: inner, block: fs.block}
	rand.Read(f.iv[:])
	copy(header, f.iv[:])
	if _, err := inner.Write(header); err != nil {
		return nil, errors.Join(fmt.Errorf("aesfs: write header: %w", err), inner.Close())
	}
	return f, nil
}

func (fs *aesFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return fs.resume(f)
}

// resume reads a file's IV.
func (fs *aesFS) resume(inner vfs.File) (vfs.File, error) {
	f := &file{File: inner, block: fs.block}
	if _, err := inner.ReadAt(f.iv[:], 0); err != nil {
		return nil, errors.Join(fmt.Errorf("aesfs: read header: %w", err), inner.Close())
	}
	return f, nil
}

func (fs *aesFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, category, opts...)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if info.Size() == 0 {
		return fs.begin(f)
	}
	return fs.resume(f)
}

// ReuseForWrite makes a new file: another IV over old contents would leave
// noise behind what is written.
func (fs *aesFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.Remove(oldname); err != nil {
		return nil, err
	}
	return fs.Create(newname, category)
}

func (fs *aesFS) Stat(name string) (vfs.FileInfo, error) {
	info, err := fs.FS.Stat(name)
	if err != nil || info.IsDir() {
		return info, err
	}
	return contentInfo{info}, nil
}

// contentInfo has the size of the contents.
type contentInfo struct{ vfs.FileInfo }

func (i contentInfo) Size() int64 { return max(i.FileInfo.Size()-headerSize, 0) }

type file struct {
	vfs.File
	block cipher.Block
	iv    [aes.BlockSize]byte
	at    int64 // of the next Read or Write
}

// crypt encrypts or decrypts what is at an offset of the contents.
func (f *file) crypt(dst, src []byte, off int64) {
	hi, lo := binary.BigEndian.Uint64(f.iv[:8]), binary.BigEndian.Uint64(f.iv[8:])
	lo, carry := bits.Add64(lo, uint64(off)/aes.BlockSize, 0)
	var ctr [aes.BlockSize]byte
	binary.BigEndian.PutUint64(ctr[:8], hi+carry)
	binary.BigEndian.PutUint64(ctr[8:], lo)
	stream := cipher.NewCTR(f.block, ctr[:])
	if skip := off % aes.BlockSize; skip > 0 {
		var b [aes.BlockSize]byte
		stream.XORKeyStream(b[:skip], b[:skip])
	}
	stream.XORKeyStream(dst, src)
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off+headerSize)
	f.crypt(p[:n], p[:n], off)
	return n, err
}

// Write encrypts p in place, which its interface allows.
func (f *file) Write(p []byte) (int, error) {
	f.crypt(p, p, f.at)
	n, err := f.File.Write(p)
	f.at += int64(n)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	sealed := make([]byte, len(p))
	f.crypt(sealed, p, off)
	return f.File.WriteAt(sealed, off+headerSize)
}

func (f *file) Preallocate(off, length int64) error {
	return f.File.Preallocate(off+headerSize, length)
}
func (f *file) SyncTo(length int64) (bool, error) { return f.File.SyncTo(length + headerSize) }
func (f *file) Prefetch(off, length int64) error  { return f.File.Prefetch(off+headerSize, length) }

func (f *file) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil {
		return info, err
	}
	return contentInfo{info}, nil
}
