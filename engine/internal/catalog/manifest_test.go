package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/wal"
)

func testRing(tb testing.TB, seed byte) *crypt.KeyRing {
	tb.Helper()
	ring := crypt.NewKeyRing()
	ring.Add(1, testDEK(tb, seed))
	tb.Cleanup(ring.Wipe)
	return ring
}

func fullManifest() *Manifest {
	return &Manifest{
		Generation: 7, Commit: 99, Floor: wal.Floor{Segment: 3, Frame: 12, Tag: wal.Tag{5}}, NextRun: 9, NextCollection: 4,
		KeyID: "key", Policy: []byte("policy"),
		Runs: []RunMeta{
			{
				ID: 2, Level: 1, Epoch: 1, Size: 4096, Entries: 10, Tombstones: 2, KeyBytes: 100, ValueBytes: 200,
				First: []byte("\x00\x00\x00\x01a"), Last: []byte("\x00\x00\x00\x01b"), RootTag: [16]byte{1},
			},
			{ID: 8, Level: 0, Epoch: 1, Size: 1 << 40, Entries: 1, First: []byte("\x00\x00\x00\x02"), Last: []byte("\x00\x00\x00\x02")},
		},
		Collections: []CollectionMeta{{ID: 1, Name: "orders"}, {ID: 3, Name: "MARKER"}},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	ring := testRing(t, 1)
	for _, m := range []*Manifest{fullManifest(), {NextRun: 1, NextCollection: 1, Runs: []RunMeta{}, Collections: []CollectionMeta{}}} {
		a, err := m.Seal(ring, crypt.ID{1})
		mustDo(t, err)
		b, err := m.Seal(ring, crypt.ID{1})
		mustDo(t, err)
		if bytes.Equal(a, b) || bytes.Contains(a, []byte("MARKER")) {
			t.Error("two sealings are equal, or plaintext shows")
		}
		got, err := OpenManifest(ring, crypt.ID{1}, a)
		mustDo(t, err)
		if !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, want %+v", got, m)
		}
	}
}

// TestManifestFlips: C14.
func TestManifestFlips(t *testing.T) {
	ring := testRing(t, 1)
	sealed, err := fullManifest().Seal(ring, crypt.ID{1})
	mustDo(t, err)
	for at := range sealed {
		b := bytes.Clone(sealed)
		b[at] ^= 0x10
		if _, err := OpenManifest(ring, crypt.ID{1}, b); !errors.Is(err, ErrCorrupt) || errors.Is(err, crypt.ErrWrongKey) {
			t.Fatalf("flip at %d: %v", at, err)
		}
		if _, err := OpenManifest(ring, crypt.ID{1}, sealed[:at]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", at, err)
		}
	}
}

// TestManifestHeaderVectors have one defect each and a right checksum: C14.
func TestManifestHeaderVectors(t *testing.T) {
	ring := testRing(t, 1)
	sealed, err := fullManifest().Seal(ring, crypt.ID{1})
	mustDo(t, err)
	for _, c := range []struct {
		what string
		at   int
		want error
	}{
		{"magic", 0, ErrCorrupt},
		{"version", 8, ErrTooNew},
		{"database", 10, ErrCorrupt},
		{"epoch", 29, crypt.ErrNoEpoch},
		{"generation", 37, crypt.ErrWrongKey},
		{"salt", 38, crypt.ErrWrongKey},
		{"commitment", 70, crypt.ErrWrongKey},
	} {
		b := bytes.Clone(sealed)
		b[c.at] ^= 2
		binary.BigEndian.PutUint32(b[102:], crc32.Checksum(b[:102], castagnoli))
		if _, err := OpenManifest(ring, crypt.ID{1}, b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if _, err := OpenManifest(testRing(t, 2), crypt.ID{1}, sealed); !errors.Is(err, crypt.ErrWrongKey) || errors.Is(err, ErrCorrupt) {
		t.Errorf("another DEK: %v", err)
	}
	if _, err := OpenManifest(ring, crypt.ID{2}, sealed); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another database: %v", err)
	}
}

// TestManifestContents are genuine manifests that no writer writes: C16.
func TestManifestContents(t *testing.T) {
	ring := testRing(t, 1)
	for what, edit := range map[string]func(m *Manifest){
		"run 0":                  func(m *Manifest) { m.Runs[0].ID = 0 },
		"run from the future":    func(m *Manifest) { m.Runs[1].ID = m.NextRun },
		"run twice":              func(m *Manifest) { m.Runs[1].ID = m.Runs[0].ID },
		"run of epoch 0":         func(m *Manifest) { m.Runs[0].Epoch = 0 },
		"run without size":       func(m *Manifest) { m.Runs[0].Size = 0 },
		"run of negative size":   func(m *Manifest) { m.Runs[0].Size = -1 },
		"first key short":        func(m *Manifest) { m.Runs[0].First = []byte("abc") },
		"keys exchanged":         func(m *Manifest) { m.Runs[0].First, m.Runs[0].Last = m.Runs[0].Last, m.Runs[0].First },
		"collection 0":           func(m *Manifest) { m.Collections[0].ID = 0 },
		"collection from future": func(m *Manifest) { m.Collections[0].ID = m.NextCollection },
		"collection twice":       func(m *Manifest) { m.Collections[1].ID = m.Collections[0].ID },
		"name twice":             func(m *Manifest) { m.Collections[1].Name = m.Collections[0].Name },
		"no name":                func(m *Manifest) { m.Collections[0].Name = "" },
		"floor without a frame":  func(m *Manifest) { m.Floor.Frame = 0 },
		"floor's tag at frame 1": func(m *Manifest) { m.Floor.Frame = 1 },
	} {
		m := fullManifest()
		edit(m)
		sealed, err := m.Seal(ring, crypt.ID{1})
		mustDo(t, err)
		if _, err := OpenManifest(ring, crypt.ID{1}, sealed); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(fullManifest().marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Manifest
		if err := m.unmarshal(b); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("not a typed error: %v", err)
			}
			return
		}
		if !bytes.Equal(m.marshal(), b) {
			t.Error("a manifest that is read is written differently")
		}
	})
}

func FuzzRecords(f *testing.F) {
	c := testClear()
	f.Add(c.marshal())
	f.Add((&Tombstone{Reason: "r"}).marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Clear
		if err := c.unmarshal(b); err != nil && !isTyped(err) {
			t.Errorf("clear: not a typed error: %v", err)
		}
		var tomb Tombstone
		if err := tomb.unmarshal(b); err == nil && !bytes.Equal(tomb.marshal(), b) {
			t.Error("a tombstone that is read is written differently")
		}
		var e Entry
		if err := e.unmarshal("12345678", b); err != nil && !isTyped(err) {
			t.Errorf("entry: not a typed error: %v", err)
		}
	})
}
