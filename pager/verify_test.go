package pager

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

// R8, R9, R10: what authenticates and is wrong all the same, as a faulty writer
// would leave it, is found by Verify, and reading it does not panic.
func TestVerifyFinds(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(b *Builder){
		"a page that nobody names": func(b *Builder) {
			_, err := b.writePage(kindValue, []byte("stray"))
			must(err)
		},
		"a page that nobody names or counts": func(b *Builder) {
			_, err := b.writePage(kindValue, []byte("stray"))
			must(err)
			b.t.nPages--
		},
		"a key that the filter denies": func(b *Builder) { b.hashes.last[5] ^= ^uint64(0) },
		"keys that do not ascend":      func(b *Builder) { must(b.add([]byte("key 0"), Put, nil)) },
		"a key twice":                  func(b *Builder) { must(b.add(b.last.bytes(), Put, nil)) },
		"a wrong separator":            func(b *Builder) { must(b.sep.set([]byte("kez"))) },
		"a wrong separator above": func(b *Builder) {
			b.levels[1].entries.bytes()[entryHeaderSize] = 'z'
		},
		"a count of tombstones": func(b *Builder) { b.t.tombstones++ },
		"a count of entries":    func(b *Builder) { b.t.entries++ },
		"a sum of keys":         func(b *Builder) { b.t.keyBytes++ },
		"a sum of values":       func(b *Builder) { b.t.valueBytes-- },
		"a last key":            func(b *Builder) { must(b.last.set([]byte("zzz"))) },
		"a large value that is cut": func(b *Builder) {
			at, err := b.writePage(kindValue, []byte("short"))
			must(err)
			value := []byte{0, 0, 0x20, 0}
			value = append(value, make([]byte, refSize)...)
			at.put(value[largeRefsAt:])
			must(b.levels[0].add(byte(Put)|entryLarge, []byte("large"), value))
			must(b.last.set([]byte("large")))
			must(b.hashes.add(filterHash([]byte("large"))))
			b.t.entries++
		},
		"a leaf where an inner node is named": func(b *Builder) {
			e := b.levels[1].entries.bytes()
			at := b.levels[1].child(0)
			at.off += 5
			at.put(e[len(e)-refSize:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, CacheBudgetMin)
			cfg := f.config(PageSizeMin, S2)
			b, err := NewBuilder(cfg)
			must(err)
			for i := range 500 {
				must(b.Add(fmt.Appendf(nil, "key %03d", i), Put, make([]byte, 100)))
			}
			spoil(b)
			info, err := b.Finish()
			must(err)
			r, err := OpenRun(f.runConfig(cfg.Path, info))
			must(err)
			if _, err := r.Verify(t.Context(), nil); !errors.Is(err, ErrCorrupt) ||
				errors.Is(err, crypt.ErrAuth) != (name == "a leaf where an inner node is named") {
				t.Errorf("verify: %v", err)
			}
			it := r.NewIter()
			for ok := it.First(); ok; ok = it.Next() {
				if _, err := it.Value(); err != nil && !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
			}
			for ok := it.Last(); ok; ok = it.Prev() {
				it.Key()
			}
			_ = it.Close() // an error or not: some of this only Verify sees
			for i := range 500 {
				if _, _, _, err := r.Get(nil, fmt.Appendf(nil, "key %03d", i)); err != nil && !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
			}
			must(r.Close())
		})
	}
}

// Verify goes on past pages that do not open, names each of them once, says how
// much it did not read because of them, and reads everything else.
func TestVerifyGoesOn(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	cfg := f.config(PageSizeMin, None)
	entries := []entry{{[]byte("a large value"), Put, make([]byte, 3*chunkSize)}}
	for i := range 8000 {
		entries = append(entries, entry{fmt.Appendf(nil, "key %05d", i), Put, make([]byte, 100)})
	}
	info := f.build(t, cfg, entries)
	whole, err := OpenRun(f.runConfig(cfg.Path, info)) // past the fixture, which wants runs whole
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := whole.Close(); err != nil {
			t.Error(err)
		}
	}()
	var places []PageInfo
	nSeen := uint64(0)
	st, err := whole.VerifyEach(t.Context(), Visitor{
		Page:  func(p PageInfo) { places = append(places, p) },
		Entry: func([]byte, EntryKind, int64) { nSeen++ },
		Fault: func(err error) { t.Error(err) },
	})
	if err != nil || nSeen != info.Entries || int64(len(places)) != st.Pages || st.Unread != 0 || st.Bytes != info.Size {
		t.Fatal(st, err, nSeen)
	}
	file, err := os.OpenFile(cfg.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	damaged, unread, n := map[int64]bool{}, int64(0), map[string]int{}
	for _, p := range places {
		n[p.Kind]++
		if p.Kind == "inner node" || p.Kind == "trailer" || n[p.Kind]%3 != 2 && p.Kind != "properties" {
			continue
		}
		if _, err := file.WriteAt(make([]byte, 9), p.Offset+3); err != nil {
			t.Fatal(err)
		}
		damaged[p.Offset], unread = true, unread+p.Size
	}
	if len(damaged) < 12 || n["filter"] < 2 || n["value"] != 3 {
		t.Fatalf("%d damaged pages of %v", len(damaged), n)
	}
	var faults []error
	st, err = whole.VerifyEach(t.Context(), Visitor{Fault: func(err error) { faults = append(faults, err) }})
	if err != nil || st.Unread != unread || st.Faults != int64(len(damaged)) || st.Bytes+st.Unread != info.Size {
		t.Errorf("%+v, %v; %d damaged pages of %d bytes", st, err, len(damaged), unread)
	}
	for _, fault := range faults {
		var pe *PageError
		if !errors.As(fault, &pe) || !errors.Is(fault, crypt.ErrAuth) || !damaged[pe.Offset] {
			t.Errorf("%v", fault)
			continue
		}
		delete(damaged, pe.Offset)
	}
	if len(damaged) != 0 {
		t.Errorf("%d pages were not named", len(damaged))
	}
}
