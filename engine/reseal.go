package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// This file seals under the newest DEK what is sealed under older ones: the log
// by a flush, runs by writing them anew one at a time, the manifest by a switch.
// Every step is one that the tree takes anyway, and as safe.

// epochCount counts the run files that are there or in the making, by the epoch
// of their DEK. It has a lock of its own: files go while session.mu is held.
type epochCount struct {
	mu       sync.Mutex
	files    map[crypt.Epoch]int
	bytes    map[crypt.Epoch]int64
	stranded []stranded
}

// stranded is a file that nothing needs and that could not be removed. It counts
// until it is: an opening removes it, or a rotation that waits for it.
type stranded struct {
	path  string
	epoch crypt.Epoch
	size  int64 // as it was counted, in bytes
}

// strandedEvery is the time between two attempts to remove such files.
const strandedEvery = 5 * time.Second

func (c *epochCount) strand(f stranded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stranded = append(c.stranded, f)
}

// retry removes what was stranded. It returns how many files it has removed, and
// why others are left.
func (c *epochCount) retry(files vfs.FS) (nRemoved int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stranded = slices.DeleteFunc(c.stranded, func(f stranded) bool {
		if rerr := files.Remove(f.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = fmt.Errorf("remove a replaced run: %w", rerr)
			return false
		}
		c.addLocked(f.epoch, -1, -f.size)
		nRemoved++
		return true
	})
	return nRemoved, err
}

func (c *epochCount) add(e crypt.Epoch, nFiles int, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(e, nFiles, size)
}

func (c *epochCount) addLocked(e crypt.Epoch, nFiles int, size int64) {
	if c.files == nil {
		c.files, c.bytes = make(map[crypt.Epoch]int), make(map[crypt.Epoch]int64)
	}
	c.files[e] += nFiles
	c.bytes[e] += size
}

// begin counts a file that is about to be written, and returns the epoch of its
// DEK: the ring's current one. Whoever asks before about older epochs once a
// newer DEK was added to the ring sees every file that will have an older one.
func (c *epochCount) begin(ring *crypt.KeyRing) crypt.Epoch {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := ring.Current()
	c.addLocked(e, 1, 0)
	return e
}

func (c *epochCount) before(epoch crypt.Epoch) (nFiles int, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e, n := range c.files {
		if e < epoch {
			nFiles += n
			size += c.bytes[e]
		}
	}
	return nFiles, size
}

// sealedBefore returns what is still sealed under DEKs before an epoch: files of
// runs and log, their bytes, and how many of them only snapshots hold.
func (s *session) sealedBefore(epoch crypt.Epoch) (nFiles int, size int64, nPinned int) {
	nFiles, size = s.epochs.before(epoch)
	nPinned = nFiles
	s.mu.Lock()
	if s.version != nil {
		for _, r := range s.version.all() {
			if r.meta.Epoch < epoch {
				nPinned--
			}
		}
	}
	s.mu.Unlock()
	nSegments, logSize, _ := s.log.Before(epoch)
	return nFiles + nSegments, size + logSize, max(0, nPinned)
}

// startReseal runs the resealer unless it does run.
func (s *session) startReseal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	kick(s.reseals)
	if s.resealing || s.ctx.Err() != nil { // interrupt takes s.mu after the context has ended
		return
	}
	s.resealing = true
	s.workers.Go(s.resealer)
}

// resealer works until nothing is sealed under older DEKs. Where it has to wait
// (for the key, a snapshot, another compaction), whatever ends that wakes it.
func (s *session) resealer() {
	for s.ctx.Err() == nil {
		more, err := s.reseal()
		full := noRoom("re-seal under the new data key", err)
		if err != nil && full == nil && s.backgroundFault("re-seal under the new data key", err) {
			return
		}
		if err == nil {
			s.setStuck(nil)
		}
		if err == nil && s.resealed() {
			return
		}
		if err == nil && more {
			continue
		}
		s.awaitReseal(full)
	}
}

// awaitReseal returns when the resealer may be able to go on, which found the disk
// full if that is not nil.
func (s *session) awaitReseal(full error) {
	var retry <-chan time.Time
	nRemoved, err := s.epochs.retry(s.fs)
	if err == nil {
		err = full
	}
	s.setStuck(err)
	switch {
	case nRemoved > 0:
		return
	case err != nil:
		t := time.NewTimer(strandedEvery)
		defer t.Stop()
		retry = t.C
	}
	select {
	case <-s.ctx.Done():
	case <-s.reseals:
	case <-retry:
	}
}

// setStuck notes why the rotation cannot go on, and tells those who wait for its end.
func (s *session) setStuck(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = why
	s.changed.Broadcast()
}

// resealed reports whether the rotation has ended, and if so notes it.
func (s *session) resealed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.db.currentEnvelopes()) > 1 {
		return false
	}
	s.resealing = false
	s.changed.Broadcast()
	return true
}

// reseal takes one step, and reports whether there may be another at once.
func (s *session) reseal() (more bool, err error) {
	epoch := s.ring.Current()
	if s.db.rotationHeld.Load() {
		return false, nil
	}
	if err := s.db.guard.Check(); err != nil {
		return false, err
	}
	if err := s.resealLog(epoch); err != nil {
		return false, err
	}
	if c := s.pickReseal(epoch); c != nil {
		return true, s.compact(s.ctx, c)
	}
	sealed, err := catalog.InspectManifest(s.db.cat.Manifest())
	if err != nil {
		return false, err
	}
	if sealed.Epoch < epoch {
		return true, s.install(nil, nil, func(*catalog.Manifest) {}, func() {})
	}
	if n, _, _ := s.sealedBefore(epoch); n > 0 { // claimed by others, in the making, or held by snapshots
		return false, nil
	}
	return true, s.db.endRotation(s, epoch)
}

// resealLog flushes what is in segments of older epochs and releases them. Those
// that a backup holds are left; its end wakes the resealer.
func (s *session) resealLog(epoch crypt.Epoch) error {
	n, _, last := s.log.Before(epoch)
	if n == 0 {
		return nil
	}
	s.manifestMu.Lock()
	flushed := s.manifest.Floor.Segment > last
	s.manifestMu.Unlock()
	if !flushed {
		if err := s.db.acquireWriter(s.ctx); err != nil {
			return err
		}
		t, err := s.freezeMem()
		s.db.releaseWriter()
		if err == nil {
			err = s.await(s.ctx, func() bool { return !slices.Contains(s.frozen, t) })
		}
		if err != nil {
			return err
		}
	}
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	return s.log.Release(s.manifest.Floor)
}

// pickReseal returns a compaction that writes a run of an older epoch anew in
// its level, or level 0 into the next: claimed, and with a reference to its
// version. Nil when there is none, or others are at work where there is.
func (s *session) pickReseal(epoch crypt.Epoch) *compaction {
	s.mu.Lock()
	v := s.version.ref()
	s.mu.Unlock()
	s.manifestMu.Lock()
	l := newLive(s.manifest)
	s.manifestMu.Unlock()
	p := picker{s: s, v: v, sh: v.shape(s.db.opts.baseSize()), live: l}
	for level := range v.levels {
		for _, r := range v.levels[level] {
			if r.meta.Epoch >= epoch {
				continue
			}
			if level == 0 {
				if c := p.level(0); c != nil {
					return c
				}
				break // all of level 0 goes at once
			}
			if c := p.job(level, level, []*run{r}); p.claim(c) {
				return c
			}
		}
	}
	v.unref()
	return nil
}
