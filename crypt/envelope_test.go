package crypt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// testSecret returns a secret of the bytes from, from+1, ….
func testSecret(tb testing.TB, from byte) *Secret {
	tb.Helper()
	b := make([]byte, KeySize)
	for i := range b {
		b[i] = from + byte(i)
	}
	s, err := NewSecret(b)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Wipe)
	return s
}

func testEnvelope() *Envelope {
	return &Envelope{
		Database: ID{1}, Epoch: 2, Created: time.Unix(3, 0).UTC(), Salt: Salt{4}, Check: Commitment{5},
		KeyID: "key", Wrapped: Wrapped{Bytes: []byte{6, 7}, MaterialID: "m"},
	}
}

var envelopeVector = "01" + "01" + strings.Repeat("00", 15) + "00000002" + "0000000000000003" +
	"04" + strings.Repeat("00", 31) + "05" + strings.Repeat("00", 31) + "00036b6579" + "00016d" + "00020607"

func TestEnvelopeCodec(t *testing.T) {
	want := testEnvelope()
	b, err := want.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b); got != envelopeVector {
		t.Fatalf("encoded as %s", got)
	}
	var got Envelope
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	again, err := got.MarshalBinary()
	if err != nil || hex.EncodeToString(again) != envelopeVector || !got.Created.Equal(want.Created) {
		t.Fatalf("decoded %+v, %v", got, err)
	}
	b[len(b)-1] ^= 1
	if got.Wrapped.Bytes[1] != 7 {
		t.Error("the envelope shares the memory that it was decoded from")
	}
}

// TestEnvelopeDefects has one defect each.
func TestEnvelopeDefects(t *testing.T) {
	good, err := hex.DecodeString(envelopeVector)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, b []byte) {
		t.Helper()
		e := Envelope{KeyID: "untouched"}
		if err := e.UnmarshalBinary(b); !errors.Is(err, ErrEnvelope) {
			t.Errorf("%s: %v", name, err)
		}
		if e.KeyID != "untouched" {
			t.Errorf("%s: a failure changed the envelope", name)
		}
	}
	for n := range good {
		check("cut short", good[:n])
	}
	check("a byte too many", append(bytes.Clone(good), 0))
	for name, at := range map[string]struct {
		off int
		v   byte
	}{"version": {0, 0}, "epoch 0": {20, 0}, "key id too long": {93, 0xff}, "wrapped size": {102, 0xff}} {
		bad := bytes.Clone(good)
		bad[at.off] = at.v
		check(name, bad)
	}
	newer := bytes.Clone(good)
	newer[0] = envelopeVersion + 1
	if err := new(Envelope).UnmarshalBinary(newer[:1]); !errors.Is(err, ErrTooNew) {
		t.Errorf("a newer version: %v", err)
	}
	for name, edit := range map[string]func(*Envelope){
		"epoch":       func(e *Envelope) { e.Epoch = 0 },
		"no key id":   func(e *Envelope) { e.KeyID = "" },
		"key id":      func(e *Envelope) { e.KeyID = strings.Repeat("k", keyIDSizeMax+1) },
		"no wrapped":  func(e *Envelope) { e.Wrapped.Bytes = nil },
		"wrapped":     func(e *Envelope) { e.Wrapped.Bytes = make([]byte, wrappedSizeMax+1) },
		"material id": func(e *Envelope) { e.Wrapped.MaterialID = strings.Repeat("m", materialIDSizeMax+1) },
	} {
		e := testEnvelope()
		edit(e)
		if _, err := e.MarshalBinary(); !errors.Is(err, ErrEnvelope) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	seed, err := hex.DecodeString(envelopeVector)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Envelope
		if err := e.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrEnvelope) && !errors.Is(err, ErrTooNew) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := e.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
	})
}

func TestEnvelopeVerify(t *testing.T) {
	dek := testSecret(t, 0)
	c := Context{Database: ID{9}, Purpose: PurposeData, Epoch: 3}
	e, err := NewEnvelope(c, "key", Wrapped{Bytes: []byte{1}}, dek, time.Unix(100, 5))
	if err != nil {
		t.Fatal(err)
	}
	if e.Context() != c || e.Created.Nanosecond() != 0 {
		t.Errorf("envelope %+v", e)
	}
	if err := e.Verify(dek); err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(testSecret(t, 1)); !errors.Is(err, ErrWrongKey) || ClassOf(err) != ClassTampered {
		t.Errorf("another DEK: %v", err)
	}
	for name, edit := range map[string]func(*Envelope){
		"database": func(e *Envelope) { e.Database[0] ^= 1 }, "epoch": func(e *Envelope) { e.Epoch++ },
		"salt": func(e *Envelope) { e.Salt[31] ^= 1 }, "check": func(e *Envelope) { e.Check[31] ^= 1 },
	} {
		bad := *e
		edit(&bad)
		if err := bad.Verify(dek); ClassOf(err) != ClassTampered {
			t.Errorf("%s edited: %v", name, err)
		}
	}
	wiped := testSecret(t, 0)
	wiped.Wipe()
	if err := e.Verify(wiped); !errors.Is(err, ErrWiped) {
		t.Errorf("wiped DEK: %v", err)
	}
}
