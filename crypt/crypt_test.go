package crypt_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

func TestID(t *testing.T) {
	id := crypt.ID{0: 1, 15: 0xff}
	var back crypt.ID
	if err := back.UnmarshalText([]byte(id.String())); err != nil || back != id {
		t.Errorf("%v came back as %v, %v", id, back, err)
	}
	for _, bad := range []string{"", "01", id.String() + "0", id.String() + "00", "g" + id.String()[1:]} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestClass(t *testing.T) {
	for c := crypt.ClassNone; c <= crypt.ClassTampered; c++ {
		var back crypt.Class
		if err := back.UnmarshalText([]byte(c.String())); err != nil || back != c {
			t.Errorf("%v came back as %v, %v", c, back, err)
		}
	}
	denied := &crypt.ProviderError{Class: crypt.ClassDenied}
	for _, c := range []struct {
		err  error
		want crypt.Class
	}{
		{nil, crypt.ClassNone},
		{errors.New("odd"), crypt.ClassUnreachable},
		{fmt.Errorf("wrapped: %w", denied), crypt.ClassDenied},
		{errors.Join(errors.New("odd"), denied), crypt.ClassDenied},
	} {
		if got := crypt.ClassOf(c.err); got != c.want {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
}

func TestContextCanonical(t *testing.T) {
	c := crypt.Context{Database: crypt.ID{1}, Purpose: "data", Epoch: 0x01020304}
	const want = "byokdb context v1\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04data\x01\x02\x03\x04"
	if got := string(c.Canonical()); got != want {
		t.Errorf("canonical form %q", got)
	}
	if m := c.Map(); len(m) != 3 || m[crypt.ContextEpoch] != "16909060" || m[crypt.ContextDatabase] != c.Database.String() {
		t.Errorf("pairs %v", m)
	}
}

func ExampleKeyRing() {
	dek, err := crypt.RandomSecret()
	if err != nil {
		panic(err)
	}
	ring := crypt.NewKeyRing()
	defer ring.Wipe()
	ring.Add(1, dek)

	salt := crypt.NewSalt()
	header := append([]byte("my file "), salt[:]...)
	key, commitment, err := ring.Create(1, crypt.KindRun, salt, header)
	if err != nil {
		panic(err)
	}
	sealed := key.Seal(nil, []byte("a page"), crypt.PlaceAAD(4096, 1))

	key, err = ring.Open(1, crypt.KindRun, salt, header, commitment)
	if err != nil {
		panic(err)
	}
	plain, err := key.Open(nil, sealed, crypt.PlaceAAD(4096, 1))
	fmt.Printf("%s %v\n", plain, err)
	_, err = key.Open(nil, sealed, crypt.PlaceAAD(8192, 1))
	fmt.Println(err)
	fmt.Println(dek)
	// Output:
	// a page <nil>
	// sealed data does not authenticate
	// [redacted]
}
