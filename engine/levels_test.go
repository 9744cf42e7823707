package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// tree makes a version whose levels have so many bytes, in one run each.
func tree(sizes [nLevels]int64) *version {
	v := &version{}
	for l, n := range sizes {
		if n > 0 {
			v.levels[l] = []*run{{meta: catalog.RunMeta{ID: uint64(l + 1), Size: n}}}
		}
	}
	return v
}

func TestShape(t *testing.T) {
	for _, c := range []struct {
		sizes [nLevels]int64
		base  int
		below [nLevels]int // where runs of each level go
	}{
		{[nLevels]int64{}, 6, [nLevels]int{6, 6, 6, 6, 6, 6, 6}},
		{[nLevels]int64{6: 100}, 6, [nLevels]int{6, 6, 6, 6, 6, 6, 6}},
		{[nLevels]int64{6: 101}, 5, [nLevels]int{5, 5, 5, 5, 5, 6, 6}},
		{[nLevels]int64{6: 100_000}, 3, [nLevels]int{3, 3, 3, 4, 5, 6, 6}},
		{[nLevels]int64{6: 1 << 60}, 1, [nLevels]int{1, 2, 3, 4, 5, 6, 6}},
		{[nLevels]int64{2: 50, 6: 60}, 6, [nLevels]int{2, 2, 6, 6, 6, 6, 6}},   // it was larger once
		{[nLevels]int64{1: 5000, 6: 10}, 4, [nLevels]int{1, 4, 4, 4, 5, 6, 6}}, // of fixed levels
	} {
		v := tree(c.sizes)
		sh := v.shape(100)
		if sh.base != c.base {
			t.Errorf("%v: base level %d, want %d", c.sizes, sh.base, c.base)
		}
		for l := range nLevels {
			if got := v.below(l, &sh); got != c.below[l] {
				t.Errorf("%v: runs of level %d go to %d, want %d", c.sizes, l, got, c.below[l])
			}
			if l < sh.base && l > 0 && c.sizes[l] > 0 && v.score(l, &sh) < 1 {
				t.Errorf("%v: what is on level %d, above the base, stays", c.sizes, l)
			}
		}
		if v.score(lastLevel, &sh) != 0 {
			t.Errorf("%v: the last level wants to go further", c.sizes)
		}
	}
}

// TestGaps compares the ranges of dropped collections with a look at every id.
func TestGaps(t *testing.T) {
	for _, ids := range [][]uint32{nil, {1}, {1, 2, 3}, {2}, {2, 5}, {1, 3, 4, 9}, {9}} {
		for next := range uint32(12) {
			m := &catalog.Manifest{NextCollection: next}
			for _, id := range ids {
				if id < next {
					m.Collections = append(m.Collections, catalog.CollectionMeta{ID: id, Name: fmt.Sprint(id)})
				}
			}
			l := newLive(m)
			for first := uint32(1); first <= 11; first++ {
				for last := first; last <= 11; last++ {
					var want, got []uint32
					for id := first; id <= last; id++ {
						if l.dead(id) {
							want = append(want, id)
						}
					}
					if err := l.gaps(first, last, func(from, to uint32) error {
						for id := from; id <= to; id++ {
							got = append(got, id)
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("ids %v, next %d, [%d, %d]: %v, want %v", ids, next, first, last, got, want)
					}
				}
			}
		}
	}
}

func TestSpans(t *testing.T) {
	at := func(from, to int, first, last string) *span {
		return &span{from: from, to: to, first: []byte(first), last: []byte(last)}
	}
	base := at(2, 4, "d", "m")
	for _, c := range []struct {
		other *span
		want  bool
	}{
		{at(2, 4, "d", "m"), true},
		{at(4, 5, "m", "z"), true},
		{at(0, 2, "a", "d"), true},
		{at(5, 6, "d", "m"), false},
		{at(0, 1, "d", "m"), false},
		{at(2, 4, "n", "z"), false},
		{at(2, 4, "a", "c"), false},
		{at(0, 6, "e", "f"), true},
	} {
		if got := base.overlaps(c.other); got != c.want {
			t.Errorf("%v overlaps %v: %t", base, c.other, got)
		}
		if got := c.other.overlaps(base); got != c.want {
			t.Errorf("%v overlaps %v: %t", c.other, base, got)
		}
	}
}
