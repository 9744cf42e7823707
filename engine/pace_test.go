package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// indebted returns a session with so many runs in level 0 and nothing else.
func indebted(nRuns int) *session {
	s := &session{version: &version{}, mem: newTable(freeTable), db: &DB{opts: Options{MemtableSize: 1 << 20}}}
	for range nRuns {
		s.version.levels[0] = append(s.version.levels[0], &run{meta: catalog.RunMeta{Size: 1}})
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// TestPace checks that a byte costs nothing while the tree keeps up, more with
// every run that it falls behind, and never so much that one commit takes longer
// than a quarter of a second.
func TestPace(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		last := time.Duration(-1)
		for _, c := range []struct {
			runs int
			want time.Duration // for a million bytes in commits of a thousand
		}{
			{0, 0},
			{paceRunsMin, 0},
			{paceRunsMin + 1, 1e6 * paceByte / 29},
			{25, 1e6 * paceByte},
			{39, 1e6 * 29 * paceByte},
			{paceRunsMax, 1e6 * 99 * paceByte},
			{400, 1e6 * 99 * paceByte},
		} {
			s := indebted(c.runs)
			at := time.Now()
			for range 1000 {
				s.pace(1000)
			}
			got := time.Since(at)
			if got < c.want-c.want/20-paceSleep || got > c.want+c.want/20 {
				t.Errorf("%d runs: delayed for %s, want %s", c.runs, got, c.want)
			}
			if got < last {
				t.Errorf("%d runs: delayed for %s, for fewer runs %s", c.runs, got, last)
			}
			last = got
			if s.delayed != got {
				t.Errorf("%d runs: %s reported, was %s", c.runs, s.delayed, got)
			}
		}
		s, at := indebted(400), time.Now()
		if s.pace(64 << 20); time.Since(at) != paceOnce {
			t.Errorf("one commit was delayed for %s", time.Since(at))
		}
		s.cancel()
		if at = time.Now(); true {
			s.pace(64 << 20)
		}
		if time.Since(at) != 0 {
			t.Errorf("after the end of the session: %s", time.Since(at))
		}
	})
}
