package formatreader

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
)

// The kinds of sealed objects, FORMAT.md §2.
const (
	kindRun      = 1
	kindSegment  = 2
	kindManifest = 3
	kindCheck    = 4
)

// overhead is what sealing adds: nonce (12) and tag (16).
const overhead = 28

// developmentKey is a KEK that lies in a file.
type developmentKey struct{ key, fingerprint []byte }

func readKeyFile(path string) (developmentKey, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the caller's path is the point
	if err != nil {
		return developmentKey{}, err
	}
	const magic = "byokdb development key v1\n"
	if len(b) != 74 || string(b[:26]) != magic {
		return developmentKey{}, fmt.Errorf("%s is no development key", path)
	}
	sum := sha256.Sum256(slices.Concat([]byte("byokdb local key fingerprint v1\x00"), b[26:58]))
	if string(sum[:16]) != string(b[58:]) {
		return developmentKey{}, fmt.Errorf("%s: fingerprint: %w", path, ErrDamaged)
	}
	return developmentKey{key: b[26:58], fingerprint: b[58:]}, nil
}

// unwrap returns the DEK of an epoch that k wrapped.
func (k developmentKey) unwrap(wrapped []byte, id [16]byte, epoch uint32) ([]byte, error) {
	if len(wrapped) != 77 || wrapped[0] != 1 {
		return nil, damaged("wrapped DEK of epoch %d", epoch)
	}
	if string(wrapped[1:17]) != string(k.fingerprint) {
		return nil, fmt.Errorf("epoch %d was wrapped by another key: %w", epoch, ErrWrongKey)
	}
	context := slices.Concat([]byte("byokdb context v1\x00"), id[:], []byte("\x04data"), be32(epoch))
	return openGCM(k.key, wrapped[17:], slices.Concat(wrapped[:17], context))
}

// derive returns file key and commitment, FORMAT.md §2.
func derive(dek, salt []byte, kind byte, header []byte) (fileKey, commitment []byte) {
	info := "byokdb v1" + string(rune(kind)) + string(header)
	out, err := hkdf.Key(sha256.New, dek, salt, info, 64)
	if err != nil {
		panic(err) // 64 bytes are never too many
	}
	return out[:32], out[32:]
}

// openSealed opens nonce ‖ ciphertext ‖ tag that was sealed at place with content.
func openSealed(fileKey, sealed []byte, place uint64, content byte) ([]byte, error) {
	return openGCM(fileKey, sealed, append(be64(place), content))
}

func openGCM(key, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < overhead {
		return nil, damaged("%d bytes cannot be sealed ones", len(sealed))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block) // the nonce stands before the text
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, aad)
	if err != nil {
		return nil, damaged("does not authenticate")
	}
	return plain, nil
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
