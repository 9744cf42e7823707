package crypt

import (
	"bytes"
	"errors"
	"testing"
)

func TestEphemeralKey(t *testing.T) {
	a, err := NewEphemeralKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewEphemeralKey()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Wipe()
	plain := []byte("rows of a sort")
	sealed := a.Seal(nil, plain, PlaceAAD(7, 1))
	if got, err := a.Open(nil, sealed, PlaceAAD(7, 1)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := a.Open(nil, sealed, PlaceAAD(8, 1)); !errors.Is(err, ErrAuth) {
		t.Errorf("at another place: %v", err)
	}
	if _, err := b.Open(nil, sealed, PlaceAAD(7, 1)); !errors.Is(err, ErrAuth) {
		t.Errorf("another key opens it: %v", err)
	}
	a.Wipe()
	if _, err := a.Open(nil, sealed, PlaceAAD(7, 1)); !errors.Is(err, ErrWiped) {
		t.Errorf("after Wipe: %v", err)
	}
}
