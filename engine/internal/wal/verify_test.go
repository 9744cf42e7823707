package wal

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

// history makes a log of three segments with frames 1 to 9, closed in order,
// and returns its files.
func history(tb testing.TB, cfg Config) image {
	tb.Helper()
	l, _ := mustOpen(tb, cfg, Floor{})
	for i := range 9 {
		if i == 3 || i == 6 {
			_, err := l.Rotate()
			mustDo(tb, err)
		}
		mustAppend(tb, l, payloadOf(i))
		mustDo(tb, l.Sync())
	}
	mustDo(tb, l.Close())
	return read(tb, cfg)
}

// frameAt returns the offset of a frame in a segment of an image.
func (im image) frameAt(tb testing.TB, cfg Config, name string, number uint64) int64 {
	tb.Helper()
	im.put(tb, cfg)
	info, err := InspectSegment(tb.Context(), vfs.OS(), cfg.Dir+"/"+name)
	mustDo(tb, err)
	for _, f := range info.Frames {
		if f.Number == number {
			return f.Offset
		}
	}
	tb.Fatalf("no frame %d in %s: %+v", number, name, info)
	return 0
}

// TestVerifyEach: a verification names every fault, and reads every frame that
// the faults leave.
func TestVerifyEach(t *testing.T) {
	cfg := testConfig(t)
	im := history(t, cfg)
	const first, second, third = "00000001.wal", "00000002.wal", "00000003.wal"
	flip := func(im image, name string, number uint64) image {
		b := slices.Clone(im[name])
		b[im.frameAt(t, cfg, name, number)+frameHeaderSize+30] ^= 1
		return im.with(name, b)
	}
	for _, c := range []struct {
		name   string
		im     image
		floor  Floor
		want   []uint64 // frames that open
		faults []string // a part of each
	}{
		{"sound", im, Floor{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}, nil},
		{
			"one frame", flip(im, first, 2),
			Floor{},
			[]uint64{1, 3, 4, 5, 6, 7, 8, 9},
			[]string{"frame 2 of"},
		},
		{
			"the last frame of a segment", flip(im, second, 6),
			Floor{},
			[]uint64{1, 2, 3, 4, 5, 7, 8, 9},
			[]string{"frame 6 of"},
		},
		{
			"frames in all segments", flip(flip(flip(im, first, 1), second, 5), third, 8),
			Floor{},
			[]uint64{2, 3, 4, 6, 7, 9},
			[]string{"frame 1 of", "frame 5 of", "frame 8 of"},
		},
		{
			"a segment is missing", im.with(second, nil),
			Floor{},
			[]uint64{1, 2, 3, 7, 8, 9},
			[]string{"missing"},
		},
		{
			"a header and a frame", flip(im.with(first, []byte("not a segment")), third, 7),
			Floor{},
			[]uint64{4, 5, 6, 8, 9},
			[]string{"header", "frame 7 of"},
		},
		{
			"swapped names", im.with(first, im[second]).with(second, im[first]),
			Floor{},
			[]uint64{7, 8, 9},
			[]string{"number 2", "number 1"},
		},
		{"all are missing", image{}, Floor{Segment: 2, Frame: 4, Tag: Tag{1}}, nil, []string{"missing"}},
		{
			"another floor", im,
			Floor{Segment: 2, Frame: 4, Tag: Tag{1}},
			[]uint64{4, 5, 6, 7, 8, 9},
			[]string{"another state"},
		},
		{"no floor", im, Floor{Segment: 2}, []uint64{4, 5, 6, 7, 8, 9}, []string{"floor", "another state"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.im.put(t, cfg)
			var frames []uint64
			var faults []error
			nGaps := 0
			st, err := VerifyEach(t.Context(), cfg, c.floor, Visitor{
				Frame: func(frame uint64, _ []byte) error {
					frames = append(frames, frame)
					return nil
				},
				Gap:   func() { nGaps++ },
				Fault: func(err error) { faults = append(faults, err) },
			})
			mustDo(t, err)
			if !slices.Equal(frames, c.want) || int(st.Frames) != len(c.want) {
				t.Errorf("frames %v, want %v", frames, c.want)
			}
			if len(faults) != len(c.faults) || len(c.faults) == 0 && nGaps > 0 {
				t.Fatalf("faults %v, gaps %d", faults, nGaps)
			}
			for i, err := range faults {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.faults[i]) {
					t.Errorf("fault %d: %v, want one of %q", i, err, c.faults[i])
				}
			}
			_, oneErr := Verify(t.Context(), cfg, c.floor)
			if (oneErr == nil) != (len(faults) == 0) {
				t.Errorf("Verify says %v, VerifyEach %v", oneErr, faults)
			}
		})
	}
}

// TestVerifyEachTorn: what a crash leaves is no fault for one verification if it
// is none for the other, wherever the log is cut.
func TestVerifyEachTorn(t *testing.T) {
	cfg := testConfig(t)
	l, ends := small(t, cfg, 4)
	l.Wipe()
	im := read(t, cfg)
	name, n := im.newest(), 0
	for cut := ends[1]; cut <= ends[4]; cut += 97 {
		b := slices.Clone(im[name])
		clear(b[cut:])
		im.with(name, b).put(t, cfg)
		faults := 0
		st, err := VerifyEach(t.Context(), cfg, Floor{}, Visitor{Fault: func(error) { faults++ }})
		mustDo(t, err)
		want, err := Verify(t.Context(), cfg, Floor{})
		if (err == nil) != (faults == 0) || st != want {
			t.Errorf("cut at %d: %+v with %d faults, want %+v, %v", cut, st, faults, want, err)
		}
		n++
	}
	if n < 10 {
		t.Fatal("nothing was cut")
	}
}

func TestInspectSegment(t *testing.T) {
	cfg := testConfig(t)
	im := history(t, cfg)
	im.put(t, cfg)
	path := cfg.Dir + "/00000003.wal"
	info, err := InspectSegment(t.Context(), vfs.OS(), path)
	mustDo(t, err)
	if len(info.Frames) != 4 || info.FirstFrame != 7 || info.Segment != 3 || info.Stray != 0 || len(info.Faults) != 0 {
		t.Fatalf("%+v", info)
	}
	if last := info.Frames[3]; last.Kind != "end" || last.Number != 10 || info.End > info.FileSize+frameAlign {
		t.Errorf("%+v", info)
	}
	for what, c := range map[string]struct {
		edit          func(b []byte) []byte
		nFrames       int
		nStray, fault int
	}{
		"a hole":         {func(b []byte) []byte { b[info.Frames[1].Offset] ^= 1; return b }, 1, 2, 0},
		"the end is cut": {func(b []byte) []byte { return b[:info.Frames[3].Offset+30] }, 3, 0, 0},
		"a frame is cut": {func(b []byte) []byte { return b[:info.Frames[2].Offset+frameOverhead] }, 2, 0, 1},
		"frames swapped": {func(b []byte) []byte {
			copy(b[info.Frames[0].Offset:], im["00000003.wal"][info.Frames[1].Offset:info.Frames[2].Offset])
			return b
		}, 0, 3, 1},
	} {
		t.Run(what, func(t *testing.T) {
			mustDo(t, os.WriteFile(path, c.edit(slices.Clone(im["00000003.wal"])), 0o600))
			got, err := InspectSegment(t.Context(), vfs.OS(), path)
			if err != nil || len(got.Frames) != c.nFrames || got.Stray != c.nStray || len(got.Faults) != c.fault {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	mustDo(t, os.WriteFile(path, []byte("short"), 0o600))
	if _, err := InspectSegment(t.Context(), vfs.OS(), path); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if floor, ok, err := OldestFloor(cfg); err != nil || !ok || floor != (Floor{Segment: 1, Frame: 1}) {
		t.Error(floor, ok, err)
	}
}
