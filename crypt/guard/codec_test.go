package guard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

func TestPolicyLimits(t *testing.T) {
	ok := Policy{}.WithDefaults()
	if w, err := ok.Validate(); err != nil || len(w) != 0 || ok.Bound() != 70*time.Second || ok.Deadline != 4*time.Hour {
		t.Fatalf("defaults: %+v, %v, %v", ok, w, err)
	}
	for name, edit := range map[string]func(*Policy){
		"interval low": func(p *Policy) { p.ProbeInterval = stepMin - 1 }, "interval high": func(p *Policy) { p.ProbeInterval = probeIntervalMax + 1 },
		"timeout low": func(p *Policy) { p.ProbeTimeout = stepMin - 1 }, "timeout high": func(p *Policy) { p.ProbeTimeout = probeTimeoutMax + 1 },
		"deadline low": func(p *Policy) { p.Deadline = deadlineMin - 1 }, "deadline high": func(p *Policy) { p.Deadline = deadlineMax + 1 },
		"grace low": func(p *Policy) { p.UnreachableGrace = -1 }, "grace high": func(p *Policy) { p.UnreachableGrace = graceMax + 1 },
		"on deadline": func(p *Policy) { p.OnDeadline = 2 },
	} {
		p := ok
		edit(&p)
		if _, err := p.Validate(); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]Policy{
		"short": {ProbeInterval: time.Second, ProbeTimeout: time.Second, Deadline: 59 * time.Second},
		"bound": {ProbeInterval: time.Hour, ProbeTimeout: time.Second, Deadline: time.Hour},
		"grace": {ProbeInterval: time.Second, ProbeTimeout: time.Second, Deadline: time.Hour, UnreachableGrace: time.Hour},
	} {
		if w, err := p.Validate(); err != nil || len(w) != 1 {
			t.Errorf("%s: warnings %q, %v", name, w, err)
		}
	}
}

func TestPolicyCodec(t *testing.T) {
	p := Policy{ProbeInterval: 1, ProbeTimeout: 2, Deadline: 3, UnreachableGrace: 4, OnDeadline: Erase}
	if _, err := p.MarshalBinary(); !errors.Is(err, ErrPolicy) {
		t.Errorf("marshalled a policy outside its limits: %v", err)
	}
	p = Policy{ProbeInterval: time.Minute, ProbeTimeout: 10 * time.Second, Deadline: 4 * time.Hour, UnreachableGrace: time.Hour, OnDeadline: Erase}
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	const vector = "01" + "0000000df8475800" + "00000002540be400" + "00000d18c2e28000" + "0000034630b8a000" + "01"
	if got := hex.EncodeToString(b); got != vector {
		t.Errorf("encoded as %s", got)
	}
	var back Policy
	if err := back.UnmarshalBinary(b); err != nil || back != p {
		t.Errorf("decoded %+v, %v", back, err)
	}
	for n := range b {
		if err := back.UnmarshalBinary(b[:n]); !errors.Is(err, ErrPolicy) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	j, err := json.Marshal(p)
	if err != nil || !bytes.Contains(j, []byte(`"deadline":"4h0m0s"`)) {
		t.Errorf("JSON %s, %v", j, err)
	}
	back = Policy{}
	if err := json.Unmarshal(j, &back); err != nil || back != p {
		t.Errorf("from JSON %+v, %v", back, err)
	}
}

func TestRecordCodec(t *testing.T) {
	r := Record{
		State: Paused, Class: crypt.ClassDenied, Sequence: 3, UnavailableSince: time.Unix(1, 5).UTC(),
		DeniedFor: time.Second, FirstDenied: time.Unix(1, 5).UTC(), Message: "no", RequestID: "r", FirstDeniedID: "f",
	}
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	const vector = "010201" + "0000000000000003" + "000000003b9aca05" + "0000000000000000" + "000000003b9aca00" + "000000003b9aca05" + "00026e6f" + "000172" + "000166"
	if got := hex.EncodeToString(b); got != vector {
		t.Errorf("encoded as %s", got)
	}
	var back Record
	if err := back.UnmarshalBinary(b); err != nil || back != r {
		t.Errorf("decoded %+v, %v", back, err)
	}
	for n := range b {
		if err := back.UnmarshalBinary(b[:n]); !errors.Is(err, ErrRecord) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for i, v := range map[int]byte{0: 0, 1: 4, 2: 5, 27: 0x80} {
		bad := bytes.Clone(b)
		bad[i] = v
		if err := back.UnmarshalBinary(bad); !errors.Is(err, ErrRecord) {
			t.Errorf("byte %d = %d: %v", i, v, err)
		}
	}
	if err := back.UnmarshalBinary(append(bytes.Clone(b), 0)); !errors.Is(err, ErrRecord) {
		t.Errorf("a byte too many: %v", err)
	}
	if err := back.UnmarshalBinary([]byte{recordVersion + 1}); !errors.Is(err, crypt.ErrTooNew) {
		t.Errorf("a newer version: %v", err)
	}
}

func FuzzPolicy(f *testing.F) {
	seed, err := Policy{}.WithDefaults().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Policy
		if err := p.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrPolicy) && !errors.Is(err, crypt.ErrTooNew) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := p.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	seed, err := Record{State: Suspended, Message: "m"}.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if r.UnmarshalBinary(b) != nil {
			return
		}
		again, err := r.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
	})
}

func TestWords(t *testing.T) {
	for s := Active; s <= Erased; s++ {
		var back State
		text, _ := s.MarshalText() // never fails
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%v came back as %v, %v", s, back, err)
		}
	}
	for _, o := range []OnDeadline{Pause, Erase} {
		var back OnDeadline
		if err := back.UnmarshalText([]byte(o.String())); err != nil || back != o {
			t.Errorf("%v came back as %v, %v", o, back, err)
		}
	}
	if new(State).UnmarshalText([]byte("gone")) == nil || new(OnDeadline).UnmarshalText(nil) == nil {
		t.Error("unknown words are accepted")
	}
}
