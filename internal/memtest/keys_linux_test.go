package memtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
)

// A needle is something that must not be found, and what it is.
type needle struct {
	name string
	b    []byte
}

// headers are the clear headers of files by path, and of manifests: what their
// keys are derived from. Files that were removed meanwhile keep theirs.
type headers map[string][]byte

// Where the salt stands, and what the key is derived with, FORMAT.md §2.
var sealedKinds = map[crypt.Kind]struct{ read, derived, salt int }{
	crypt.KindRun:      {128, 80, 48},
	crypt.KindSegment:  {4096, 104, 48},
	crypt.KindManifest: {106, 70, 38},
}

// collect adds the headers of the files that are in dir now.
func (h headers) collect(dir string) {
	for pattern, kind := range map[string]crypt.Kind{"runs/*.run": crypt.KindRun, "wal/*.wal": crypt.KindSegment} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			f, err := os.Open(path)
			if err != nil {
				continue // removed meanwhile
			}
			b := make([]byte, sealedKinds[kind].read)
			if _, err := f.ReadAt(b, 0); err == nil && b[0] != 0 {
				h[fmt.Sprintf("%d %s %x", kind, filepath.Base(path), b[sealedKinds[kind].salt:][:4])] = b
			}
			_ = f.Close()
		}
	}
}

// catalog returns a copy of a bucket of the catalog, which another process has open.
func catalog(t *testing.T, dir, bucket string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "catalog.bolt"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "catalog.bolt")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	out := map[string][]byte{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucket)).ForEach(func(k, v []byte) error {
			out[string(k)] = bytes.Clone(v[:len(v)-4])
			return nil
		})
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("catalog: %d records, %v", len(out), err)
	}
	return out
}

// deks has the KMS unwrap the DEKs of the database, by epoch.
func deks(t *testing.T, dir, uri string) map[uint32][]byte {
	t.Helper()
	key, err := keyuri.Open(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = key.Close() }()
	out := map[uint32][]byte{}
	for epoch, b := range catalog(t, dir, "envelopes") {
		var env crypt.Envelope
		if err := env.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		dek, _, err := key.Unwrap(t.Context(), env.Wrapped, env.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = dek.Use(func(b []byte) error {
			out[binary.BigEndian.Uint32([]byte(epoch))] = bytes.Clone(b)
			return nil
		})
		dek.Wipe()
	}
	return out
}

const inBase64 = " in base64"

// dekNeedles are the forms in which a DEK may be left: as it is, as the KMS's
// answer carries it, and as the block of a hash.
func dekNeedles(epoch uint32, dek []byte) []needle {
	name := fmt.Sprintf("DEK %d", epoch)
	return []needle{
		{name, dek},
		{name + inBase64, []byte(base64.StdEncoding.EncodeToString(dek))},
		{name + " as decimal bytes", fmt.Appendf(nil, "%d", dek)[1:80]},
	}
}

// fileNeedles are the file key of a header, what it is derived from and what
// AES-256-GCM makes of it.
func fileNeedles(t *testing.T, name string, kind crypt.Kind, header, dek []byte) (all []needle) {
	t.Helper()
	at := sealedKinds[kind]
	salt := header[at.salt:][:32]
	prk, err := hkdf.Extract(sha256.New, dek, salt)
	if err != nil {
		t.Fatal(err)
	}
	okm, err := hkdf.Expand(sha256.New, prk, "byokdb v1"+string(rune(kind))+string(header[:at.derived]), 64)
	if err != nil {
		t.Fatal(err)
	}
	commitment := header[at.derived:][:32]
	if !bytes.Equal(okm[32:], commitment) {
		t.Fatalf("%s: the commitment is another one: the derivation in this test is wrong", name)
	}
	parts := schedule(t, okm[:32])
	all = append(parts, needle{"file key", okm[:32]}, needle{"extracted key", prk})
	for _, pad := range []byte{0x36, 0x5c} {
		padded := bytes.Clone(prk)
		for i := range padded {
			padded[i] ^= pad
		}
		all = append(all, needle{"extracted key, padded", padded})
	}
	for i := range all {
		all[i].name = name + ": " + all[i].name
	}
	return all
}

// keySchedule is in the names of such parts.
const keySchedule = "key schedule"

// schedule returns the parts of what the standard library makes of a key that
// look random: the round keys of both directions, and the table of the hash. A part
// is as long as a vector register, in which it may be saved.
func schedule(t *testing.T, key []byte) (parts []needle) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, v := range []reflect.Value{reflect.ValueOf(aead).Field(0).Elem(), reflect.ValueOf(block).Elem()} {
		b := unsafe.Slice((*byte)(v.Addr().UnsafePointer()), v.Type().Size())
		for off := 0; off+16 <= len(b); off += 16 {
			part := bytes.Clone(b[off : off+16])
			distinct := map[byte]bool{}
			for _, c := range part {
				distinct[c] = true
			}
			if len(distinct) > 10 && !seen[string(part)] {
				seen[string(part)] = true
				parts = append(parts, needle{fmt.Sprintf("%s at %d of %d", keySchedule, off, len(b)), part})
			}
		}
	}
	if len(parts) < 40 { // 15 round keys of 16 B, both ways, and 256 B of table
		t.Fatalf("only %d parts: the standard library changed its shape", len(parts))
	}
	return parts
}
