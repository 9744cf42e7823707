package crypt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestSecretIsRedacted(t *testing.T) {
	s, err := NewSecret([]byte("correct horse battery staple !!!"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Wipe()
	holder := struct {
		S *Secret
		E any
		u *Secret
	}{s, s, s}
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("m", "secret", s, "in", holder)
	}
	j, err := json.Marshal(map[string]any{"s": s, "h": holder})
	if err != nil {
		t.Fatal(err)
	}
	byValue := reflect.ValueOf(s).Elem().Interface()
	outs := []string{logged.String(), string(j), fmt.Sprint(s), fmt.Sprintln(holder), s.String(), s.GoString()}
	for _, verb := range "vdsqxXbocUtTpeEfFgG" {
		for _, flag := range []string{"", "+", "#", "-40", "040", " "} {
			f := "%" + flag + string(verb)
			outs = append(outs, fmt.Sprintf(f, s), fmt.Sprintf(f, holder), fmt.Sprintf(f, []*Secret{s}), fmt.Sprintf(f, byValue))
		}
	}
	for _, out := range outs {
		low := strings.ToLower(out)
		for _, leak := range []string{"correct", "horse", "636f7272", "99 111 114", "0x63, 0x6f", "1100011 11011"} {
			if strings.Contains(low, leak) {
				t.Errorf("leaks %q: %s", leak, out)
			}
		}
	}
	if !strings.Contains(string(j), redacted) || !strings.Contains(logged.String(), redacted) {
		t.Errorf("no %s in %s or %s", redacted, j, logged.String())
	}
}

func TestSecretLife(t *testing.T) {
	if _, err := NewSecret(nil); err == nil {
		t.Error("an empty secret is accepted")
	}
	given := []byte{1, 2, 3}
	s, err := NewSecret(given)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(given, make([]byte, 3)) {
		t.Error("the bytes that were given are still there")
	}
	same, err := NewSecret([]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	defer same.Wipe()
	other, err := RandomSecret()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Wipe()
	if !s.Equal(same) || !s.Equal(s) || s.Equal(other) {
		t.Error("Equal is wrong")
	}
	if err := s.Use(func([]byte) error { return errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Use returned %v", err)
	}
	s.Wipe()
	s.Wipe()
	(*Secret)(nil).Wipe()
	if s.Equal(same) || same.Equal(s) || s.Equal(s) {
		t.Error("a wiped secret equals something")
	}
	if err := s.Use(func([]byte) error { t.Error("called"); return nil }); !errors.Is(err, ErrWiped) {
		t.Errorf("Use after Wipe returned %v", err)
	}
}

// TestSecretRace wipes beside users: nothing may race, or lock for ever.
func TestSecretRace(t *testing.T) {
	for range 200 {
		race(t)
	}
}

func race(t *testing.T) {
	t.Helper()
	a, b := testSecret(t, 0), testSecret(t, 0)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				if i%2 == 0 {
					a.Equal(b)
				} else {
					b.Equal(a)
				}
			}
		})
	}
	wg.Go(a.Wipe)
	wg.Go(b.Wipe)
	wg.Wait()
}
