package crypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
)

func testRing(tb testing.TB, e Epoch, from byte) *KeyRing {
	tb.Helper()
	r := NewKeyRing()
	r.Add(e, testSecret(tb, from))
	tb.Cleanup(r.Wipe)
	return r
}

func vectorHeader() (Salt, []byte) {
	salt := Salt(bytes.Repeat([]byte{0xaa}, SaltSize))
	return salt, append([]byte("header"), salt[:]...)
}

// TestDerivationVector holds a key that another implementation of RFC 5869
// (Python's hmac) derived: DEK 00 01 … 1f, salt aa × 32, kind 1.
func TestDerivationVector(t *testing.T) {
	const wantKey = "2237e4d9bd090f4934262b390612b0f4480d5ee1d2da5c3683d9aa8683cda7ed"
	const wantCommitment = "f31a0c9cbc0f8021f5bdced2c9bafb9b10aca6e1a2e642f382845e01709f7556"
	salt, header := vectorHeader()
	k, c, err := testRing(t, 1, 0).Create(1, KindRun, salt, header)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(c[:]); got != wantCommitment {
		t.Errorf("commitment %s", got)
	}
	raw, err := hex.DecodeString(wantKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	aad := PlaceAAD(0x0102, 7)
	if got := hex.EncodeToString(aad[:]); got != "000000000000010207" {
		t.Errorf("AAD %s", got)
	}
	sealed := k.Seal(nil, []byte("page"), aad)
	if plain, err := aead.Open(nil, nil, sealed, aad[:]); err != nil || string(plain) != "page" {
		t.Errorf("another AES-GCM opens %q, %v", plain, err)
	}
	if plain, err := k.Open(nil, aead.Seal(nil, nil, []byte("page"), aad[:]), aad); err != nil || string(plain) != "page" {
		t.Errorf("what another AES-GCM sealed opens as %q, %v", plain, err)
	}
}

func TestOpenChecksTheHeader(t *testing.T) {
	salt, header := vectorHeader()
	r := testRing(t, 1, 0)
	_, c, err := r.Create(1, KindRun, salt, header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(1, KindRun, salt, header, c); err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, r *KeyRing, e Epoch, kind Kind, salt Salt, header []byte, c Commitment, want error) {
		t.Helper()
		if k, err := r.Open(e, kind, salt, header, c); !errors.Is(err, want) || k != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("another DEK", testRing(t, 1, 1), 1, KindRun, salt, header, c, ErrWrongKey)
	refuse("no such epoch", r, 2, KindRun, salt, header, c, ErrNoEpoch)
	refuse("another kind", r, 1, KindSegment, salt, header, c, ErrWrongKey)
	for i := range header {
		bad := bytes.Clone(header)
		bad[i] ^= 0x80
		refuse("header byte", r, 1, KindRun, salt, bad, c, ErrWrongKey)
	}
	for i := range salt {
		bad := salt
		bad[i] ^= 1
		refuse("salt byte", r, 1, KindRun, bad, header, c, ErrWrongKey)
	}
	for i := range c {
		bad := c
		bad[i] ^= 1
		refuse("commitment byte", r, 1, KindRun, salt, header, bad, ErrWrongKey)
	}
}

func TestSealOpen(t *testing.T) {
	salt, header := vectorHeader()
	r := testRing(t, 1, 0)
	k, _, err := r.Create(1, KindRun, salt, header)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := r.Create(1, KindRun, NewSalt(), header)
	if err != nil {
		t.Fatal(err)
	}
	aad := PlaceAAD(4096, 1)
	for _, n := range []int{0, 1, 15, 16, 17, 16384} {
		plain := bytes.Repeat([]byte{'p'}, n)
		sealed := k.Seal([]byte("before"), plain, aad)
		if len(sealed) != 6+n+Overhead || string(sealed[:6]) != "before" {
			t.Fatalf("%d B sealed to %d B", n, len(sealed))
		}
		sealed = sealed[6:]
		got, err := k.Open([]byte("x"), sealed, aad)
		if err != nil || !bytes.Equal(got, append([]byte("x"), plain...)) {
			t.Fatalf("%d B: %v", n, err)
		}
		inPlace := bytes.Clone(sealed)
		if got, err := k.Open(inPlace[:0], inPlace, aad); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d B in place: %v", n, err)
		}
		refuse := func(name string, k *FileKey, sealed []byte, aad AAD) {
			t.Helper()
			if got, err := k.Open([]byte("x"), sealed, aad); !errors.Is(err, ErrAuth) || string(got) != "x" {
				t.Errorf("%d B, %s: %q, %v", n, name, got, err)
			}
		}
		refuse("another file", other, sealed, aad)
		refuse("another place", k, sealed, PlaceAAD(4097, 1))
		refuse("another kind", k, sealed, PlaceAAD(4096, 2))
		refuse("a byte too many", k, append(bytes.Clone(sealed), 0), aad)
		for i := 0; i < len(sealed); i += 1 + n/64 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			refuse("flipped", k, bad, aad)
			refuse("cut short", k, sealed[:i], aad)
		}
	}
	if bytes.Equal(k.Seal(nil, []byte("a"), aad), k.Seal(nil, []byte("a"), aad)) {
		t.Error("two seals are the same: the nonce is not random")
	}
}

func TestWipedFileKey(t *testing.T) {
	salt, header := vectorHeader()
	k, _, err := testRing(t, 1, 0).Create(1, KindRun, salt, header)
	if err != nil {
		t.Fatal(err)
	}
	sealed := k.Seal(nil, []byte("p"), AAD{})
	k.Wipe()
	k.Wipe()
	(*FileKey)(nil).Wipe()
	if _, err := k.Open(nil, sealed, AAD{}); !errors.Is(err, ErrWiped) {
		t.Errorf("Open after Wipe: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Seal after Wipe does not panic")
		}
	}()
	k.Seal(nil, []byte("p"), AAD{})
}

func TestKeyRing(t *testing.T) {
	r := NewKeyRing()
	if r.Current() != 0 || r.Equal(1, testSecret(t, 0)) {
		t.Error("an empty ring has a key")
	}
	first, second := testSecret(t, 0), testSecret(t, 1)
	r.Add(2, first)
	r.Add(1, second)
	if r.Current() != 2 || !r.Equal(2, testSecret(t, 0)) || r.Equal(2, second) || !r.Equal(1, second) {
		t.Error("epochs are mixed up")
	}
	r.Add(1, testSecret(t, 2))
	if second.Use(func([]byte) error { return nil }) == nil {
		t.Error("a DEK that was replaced is not wiped")
	}
	r.Drop(1)
	r.Drop(7)
	salt, header := vectorHeader()
	if _, _, err := r.Create(1, KindRun, salt, header); !errors.Is(err, ErrNoEpoch) {
		t.Errorf("a dropped epoch: %v", err)
	}
	r.Wipe()
	r.Wipe()
	if first.Use(func([]byte) error { return nil }) == nil {
		t.Error("Wipe left a DEK")
	}
	late := testSecret(t, 3)
	r.Add(3, late)
	if late.Use(func([]byte) error { return nil }) == nil {
		t.Error("a wiped ring keeps what it is given")
	}
	if _, _, err := r.Create(2, KindRun, salt, header); !errors.Is(err, ErrWiped) {
		t.Errorf("a wiped ring: %v", err)
	}
}

// TestKeyRingRace means something with -race.
func TestKeyRingRace(t *testing.T) {
	r := testRing(t, 1, 0)
	salt, header := vectorHeader()
	dek := testSecret(t, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if k, _, err := r.Create(1, KindRun, salt, header); err == nil {
					k.Wipe()
				} else if !errors.Is(err, ErrWiped) {
					t.Error(err)
				}
				r.Equal(1, dek)
				r.Current()
			}
		})
	}
	wg.Go(r.Wipe)
	wg.Wait()
}
