package devkms

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
)

// A ciphertext blob is
//
//	offset  size  field
//	     0     1  version, 1
//	     1    36  key id, as text
//	    37    32  material id
//	    69     …  AES-256-GCM with a random nonce of what was encrypted
//
// with everything before the nonce and the encryption context as associated
// data.
const (
	blobVersion    = 1
	keyIDSize      = 36
	materialIDSize = 32
	blobHeader     = 1 + keyIDSize + materialIDSize
)

var errBlob = errors.New("not a ciphertext of this service")

// blobKeys returns which key and material encrypted blob.
func blobKeys(blob []byte) (keyID, materialID string, err error) {
	if len(blob) < blobHeader || blob[0] != blobVersion {
		return "", "", errBlob
	}
	return string(blob[1 : 1+keyIDSize]), hex.EncodeToString(blob[1+keyIDSize : blobHeader]), nil
}

func sealBlob(k *key, plain []byte, context map[string]string) ([]byte, error) {
	m := k.current()
	id, err := hex.DecodeString(m.ID)
	if err != nil {
		return nil, err
	}
	blob := append([]byte{blobVersion}, k.ID...)
	blob = append(blob, id...)
	a, err := m.aead()
	if err != nil {
		return nil, err
	}
	return a.Seal(blob, nil, plain, blobAAD(blob, context)), nil
}

func openBlob(m *material, blob []byte, context map[string]string) ([]byte, error) {
	a, err := m.aead()
	if err != nil {
		return nil, err
	}
	return a.Open(nil, nil, blob[blobHeader:], blobAAD(blob[:blobHeader], context))
}

func (m *material) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(m.Bytes)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// blobAAD is unambiguous: pairs in order of their names, each string with its
// length before it.
func blobAAD(header []byte, context map[string]string) []byte {
	out := slices.Clone(header)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, s := range []string{name, context[name]} {
			out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
			out = append(out, s...)
		}
	}
	return out
}
