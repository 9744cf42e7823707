package work

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// diskUsage returns the space that files below dir take, preallocated logs
// included.
func diskUsage(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}

// dropCache has the system forget what it has of every file below dir. What a
// process has mapped stays: the engine is to be closed.
func dropCache(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) { // an open database removes files
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // nothing is written to it
		if err := f.Sync(); err != nil { // dirty pages would stay
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// opens measures the opening of a database that was closed in order, in the
// system's cache.
func (t *turn) opens() error {
	o := Options{Cache: t.Cache, Quiet: true}
	var l latencies
	for i := range 6 {
		began := time.Now()
		s, err := t.open(o)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		took := time.Since(began)
		if i > 0 { // the first may have something to settle
			l = append(l, float64(took))
		}
		if err := s.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	t.add(Open, l.quantile(0.5))
	return nil
}

// Rows are read cold in rounds: before each the database is closed, the system
// forgets its files, and it is opened again. Many more reads in one round would
// find what the system has read ahead.
const (
	coldRounds = 16
	coldReads  = 120
	coldFirst  = 100 // of each round, which bring in inner pages and do not count
)

// cold reads random rows of a database that was just opened with a small cache,
// and pages of a plain file as large.
func (t *turn) cold() error {
	path := filepath.Join(t.Dir, "plain")
	if err := writePlain(path, int64(t.Rows)*(KeySize+ValueSize)); err != nil {
		return err
	}
	rng := newRand(5)
	var l latencies
	for range coldRounds {
		if err := dropCache(t.Dir); err != nil {
			return err
		}
		err := t.with(Options{Cache: 8 << 20, Quiet: true}, func(s Store) error {
			if err := dropCache(t.Dir); err != nil { // what opening has read
				return err
			}
			return t.coldRound(s, rng, &l)
		})
		if err != nil {
			return err
		}
	}
	t.addLatencies(Cold, l.quantile(0.5), l)
	return errors.Join(t.coldPread(path), os.Remove(path))
}

func (t *turn) coldRound(s Store, rng *rand.Rand, l *latencies) error {
	for n := range coldReads {
		i := rng.IntN(t.Rows)
		key := AppendKey(nil, i)
		began := time.Now()
		v, found, err := s.Get(key, nil)
		took := time.Since(began)
		if err != nil || !found || binary.BigEndian.Uint64(v) != Mark(i) {
			return fmt.Errorf("cold: row %d: found %v, %w", i, found, err)
		}
		if n >= coldFirst {
			*l = append(*l, float64(took))
		}
	}
	return nil
}

const pageSize = 16 << 10

func (t *turn) coldPread(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing is written to it
	info, err := f.Stat()
	if err != nil {
		return err
	}
	rng, p := newRand(6), make([]byte, pageSize)
	var l latencies
	for n := range coldRounds * coldReads {
		if n%coldReads == 0 {
			if err := dropCache(t.Dir); err != nil {
				return err
			}
		}
		off := rng.Int64N(info.Size()/pageSize) * pageSize
		began := time.Now()
		if _, err := f.ReadAt(p, off); err != nil {
			return err
		}
		l = append(l, float64(time.Since(began)))
	}
	t.addLatencies(ColdPread, l.quantile(0.5), l)
	return nil
}

// writePlain makes a file of at least a page that does not compress.
func writePlain(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	p, rng := make([]byte, 64*pageSize), rand.NewChaCha8([32]byte{1})
	for n := int64(0); n <= size; n += int64(len(p)) {
		if _, err := rng.Read(p); err != nil {
			return err
		}
		if _, err := f.Write(p); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncer does nothing but make bytes durable.
type syncer struct {
	files [2]*os.File // preallocated; written before
	p     []byte
	size  int64
}

// syncSize is what byokdb writes for a commit of one row: a frame of 512 bytes.
const syncSize = 512

func newSyncer(dir string) (*syncer, error) {
	s := &syncer{p: make([]byte, syncSize), size: 32 << 20}
	for i := range s.files {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("sync-%d", i)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		s.files[i] = f
		if err := unix.Fallocate(int(f.Fd()), 0, 0, s.size); err != nil {
			return nil, fmt.Errorf("preallocate: %w", err)
		}
	}
	zero := make([]byte, 1<<20)
	for off := int64(0); off < s.size; off += int64(len(zero)) {
		if _, err := s.files[1].WriteAt(zero, off); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(s.files[0].Sync(), s.files[1].Sync())
}

func (s *syncer) sync(f *os.File, i int) error {
	s.p[i%syncSize]++
	if _, err := f.WriteAt(s.p, int64(i)*syncSize%s.size); err != nil {
		return err
	}
	return unix.Fdatasync(int(f.Fd()))
}

func (s *syncer) plain(i int) error   { return s.sync(s.files[0], i) }
func (s *syncer) written(i int) error { return s.sync(s.files[1], i) }

func (s *syncer) close() {
	for _, f := range s.files {
		_, _ = f.Close(), os.Remove(f.Name()) // nobody misses them
	}
}
