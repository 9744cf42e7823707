package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
)

var (
	modelTime = flag.Duration("model.time", 0, "how long the model test runs; 0: a few rounds")
	modelSeed = flag.Uint64("model.seed", 0, "seed of the model test's first round; 0 draws one")
)

// modelContents is what a snapshot must hold: collection → key → value. It is never
// changed once a snapshot or the database has it; a transaction clones what it
// writes to.
type modelContents map[string]map[string]string

// TestAgainstModel runs random operations against plain maps, one map for each
// snapshot, in a bubble whose hours pass at once: transactions with savepoints,
// snapshots that are held while everything moves under them, readers and
// committers beside each other, reopenings with other options, crashes, a key
// that is away for seconds or for hours.
func TestAgainstModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 48)
	}
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	nOps, nCompared, nRuns := 0, 0, 0
	for began, n := time.Now(), 0; n < rounds || time.Since(began) < *modelTime; n++ {
		at := seed + uint64(n)
		ok := t.Run(fmt.Sprintf("seed=%d", at), func(t *testing.T) {
			timebubble.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, at)
				m.live(80)
				nOps += m.nOps
				nCompared += m.nCompared
				nRuns += m.nRuns
			})
		})
		if !ok {
			break
		}
	}
	t.Logf("%d operations, %d records compared", nOps, nCompared)
	if !t.Failed() && (nOps == 0 || nCompared == 0 || nRuns == 0) {
		t.Errorf("%d runs: this checked too little", nRuns)
	}
}

// A modelRun is a database and what it must hold.
type modelRun struct {
	t    *testing.T
	rng  *rand.Rand
	key  *fakeKey
	dir  string
	opts Options
	db   *DB
	now  modelContents
	held []modelView
	tail []string // of the operations

	nOps      int
	nCompared int
	nRuns     int // at the end
}

// A modelView is a snapshot that is still open.
type modelView struct {
	tx   *Tx
	want modelContents
}

func newModel(t *testing.T, seed uint64) *modelRun {
	t.Helper()
	m := &modelRun{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), key: newFakeKey("k"), now: modelContents{},
		dir: filepath.Join(t.TempDir(), "m.byok"),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last operations:\n\t%s", strings.Join(m.tail, "\n\t"))
			t.Logf("repeat with: go test ./engine -run TestAgainstModel -model.seed %d", seed)
		}
	})
	m.open()
	return m
}

// say notes an operation for the report of a failure.
func (m *modelRun) say(format string, args ...any) {
	m.nOps++
	m.tail = append(m.tail, fmt.Sprintf(format, args...))
	if len(m.tail) > 60 {
		m.tail = m.tail[1:]
	}
}

func (m *modelRun) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// open opens the database with options drawn anew.
func (m *modelRun) open() {
	m.opts = Options{
		MemtableSize: []int64{16 << 10, 64 << 10, 256 << 10, 8 << 20}[m.rng.IntN(4)],
		PageSize:     []int{4 << 10, 8 << 10, 16 << 10, 64 << 10}[m.rng.IntN(4)],
		CacheSize:    []int64{1 << 20, 2 << 20, 32 << 20}[m.rng.IntN(3)],
		Sync:         SyncMode(m.rng.IntN(3)),
		clock:        clock.Process(),
	}
	m.say("open: memtable %d, page %d, cache %d, sync %d", m.opts.MemtableSize, m.opts.PageSize, m.opts.CacheSize, m.opts.Sync)
	m.db = openTest(m.t, m.dir, m.key, &m.opts)
}

// live runs n steps and compares everything at the end.
func (m *modelRun) live(n int) {
	steps := []struct {
		weight int
		run    func()
	}{
		{40, m.update},
		{12, m.look},
		{12, m.hold},
		{10, m.beside},
		{6, m.committers},
		{4, m.reopen},
		{4, m.crash},
		{4, m.keyAway},
		{1, m.keyAwayForHours},
		{3, m.verify},
		{3, m.rotate},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	for range n {
		pick := m.rng.IntN(total)
		for _, s := range steps {
			if pick -= s.weight; pick < 0 {
				s.run()
				break
			}
		}
	}
	for len(m.held) > 0 {
		m.release(0)
	}
	m.reopen()
	m.verify()
	m.must(m.db.View(func(tx *Tx) error { return m.compareAll(tx, m.now) }))
	m.nRuns = m.db.Status().Runs
	m.must(m.db.Close())
}

// update makes one transaction, which is rolled back now and then.
func (m *modelRun) update() {
	tx, err := m.db.Begin(true)
	m.must(err)
	next := maps.Clone(m.now)
	m.operate(tx, next, 1+m.rng.IntN([]int{8, 60, 600}[m.rng.IntN(3)]))
	if m.rng.IntN(6) == 0 {
		m.say("rollback")
		m.must(tx.Rollback())
		return
	}
	m.say("commit")
	m.must(tx.Commit())
	m.now = next
}

// operate makes n operations in a transaction and keeps what it must hold in step.
func (m *modelRun) operate(tx *Tx, next modelContents, n int) {
	own := map[string]bool{} // collections that were cloned for this transaction
	edit := func(name string) map[string]string {
		if !own[name] {
			next[name], own[name] = maps.Clone(next[name]), true
		}
		return next[name]
	}
	for range n {
		name := m.name()
		_, exists := next[name]
		switch pick := m.rng.IntN(100); {
		case !exists && pick < 60:
			m.say("create %s", name)
			_, err := tx.CreateCollection(name)
			m.must(err)
			next[name], own[name] = map[string]string{}, true
		case !exists:
			if _, err := tx.Collection(name); !errors.Is(err, ErrNoCollection) {
				m.t.Fatalf("collection %s is not there: %v", name, err)
			}
			if err := tx.DropCollection(name); !errors.Is(err, ErrNoCollection) {
				m.t.Fatalf("drop of %s, which is not there: %v", name, err)
			}
		case pick == 0:
			m.say("drop %s", name)
			m.must(tx.DropCollection(name))
			delete(next, name)
			delete(own, name)
		case pick == 1:
			m.savepoint(tx, next)
		case pick == 2:
			m.say("walk %s beside own writes", name)
			m.walkBesideWrites(tx, name, edit(name))
		case pick == 3:
			if _, err := tx.CreateCollection(name); !errors.Is(err, ErrCollectionExists) {
				m.t.Fatalf("create %s again: %v", name, err)
			}
		case pick < 30:
			m.set(tx, name, edit(name), m.randomKey(), true)
		case pick < 40:
			m.must(m.compareGet(tx, name, next[name], m.randomKey()))
		default:
			m.set(tx, name, edit(name), m.randomKey(), false)
		}
	}
}

// set puts a record, or deletes it.
func (m *modelRun) set(tx *Tx, name string, into map[string]string, key string, remove bool) {
	c, err := tx.Collection(name)
	m.must(err)
	if remove {
		m.say("delete %s/%s", name, shortKey(key))
		m.must(c.Delete([]byte(key)))
		delete(into, key)
		return
	}
	value := m.randomValue()
	m.say("put %s/%s of %d bytes", name, shortKey(key), len(value))
	m.must(c.Put([]byte(key), []byte(value)))
	into[key] = value
}

// savepoint makes operations that are undone, twice from the same savepoint.
func (m *modelRun) savepoint(tx *Tx, next modelContents) {
	sp := tx.Savepoint()
	for range 1 + m.rng.IntN(2) {
		m.say("savepoint")
		m.operate(tx, maps.Clone(next), 1+m.rng.IntN(20))
		m.say("rollback to it")
		m.must(tx.RollbackTo(sp))
	}
	m.must(m.compareSome(tx, next))
}

// walkBesideWrites moves a cursor while its transaction writes: what it shows is
// from when it was made.
func (m *modelRun) walkBesideWrites(tx *Tx, name string, into map[string]string) {
	w, err := m.newWalk(tx, name, maps.Clone(into))
	m.must(err)
	for range 1 + m.rng.IntN(30) {
		if m.rng.IntN(3) == 0 {
			m.set(tx, name, into, m.randomKey(), m.rng.IntN(2) == 0)
		}
		m.must(w.move(m))
	}
	m.must(w.close())
}

// look compares parts of the newest snapshot.
func (m *modelRun) look() {
	m.say("look")
	m.must(m.db.View(func(tx *Tx) error { return m.compareSome(tx, m.now) }))
}

// hold opens a snapshot to be compared later, or compares an older one.
func (m *modelRun) hold() {
	if len(m.held) < 5 && m.rng.IntN(2) == 0 {
		m.say("hold a snapshot")
		tx, err := m.db.Begin(false)
		m.must(err)
		m.held = append(m.held, modelView{tx, m.now})
		return
	}
	if len(m.held) > 0 {
		m.release(m.rng.IntN(len(m.held)))
	}
}

// release compares a snapshot that was held with what was there then.
func (m *modelRun) release(i int) {
	m.say("compare and release a snapshot")
	h := m.held[i]
	m.held = slices.Delete(m.held, i, i+1)
	m.must(m.compareAll(h.tx, h.want))
	m.must(h.tx.Rollback())
}

// ended checks that the snapshots that were held have ended.
func (m *modelRun) ended() {
	for _, h := range m.held {
		if _, err := h.tx.Collections(); !errors.Is(err, ErrTxClosed) && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrKeyUnavailable) {
			m.t.Fatalf("a snapshot whose session has ended: %v", err)
		}
		_ = h.tx.Rollback() // says why it has ended
	}
	m.held = nil
}

// beside lets readers compare a snapshot while the writer goes on.
func (m *modelRun) beside() {
	m.say("readers beside a writer")
	want := m.now
	var wg sync.WaitGroup
	errs := make([]error, 3)
	compared := make([]int, len(errs))
	for i := range errs {
		tx, err := m.db.Begin(false)
		m.must(err)
		reader := &modelRun{rng: rand.New(rand.NewPCG(m.rng.Uint64(), 1))}
		wg.Go(func() {
			errs[i] = errors.Join(reader.compareSome(tx, want), reader.compareAll(tx, want), tx.Rollback())
			compared[i] = reader.nCompared
		})
	}
	for range 1 + m.rng.IntN(4) {
		m.update()
	}
	wg.Wait()
	m.must(errors.Join(errs...))
	for _, n := range compared {
		m.nCompared += n
	}
}

// committers commit at the same time, each to a collection of its own.
func (m *modelRun) committers() {
	m.say("concurrent committers")
	next := maps.Clone(m.now)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	parts := make([]map[string]string, len(errs))
	for i := range errs {
		name := fmt.Sprintf("own-%d", i)
		parts[i] = maps.Clone(m.now[name])
		if parts[i] == nil {
			parts[i] = map[string]string{}
		}
		next[name] = parts[i]
		one := &modelRun{rng: rand.New(rand.NewPCG(m.rng.Uint64(), 2))}
		wg.Go(func() {
			for range 5 {
				errs[i] = errors.Join(errs[i], m.db.Update(func(tx *Tx) error {
					c, err := tx.CreateCollectionIfNotExists(name)
					if err != nil {
						return err
					}
					for range 1 + one.rng.IntN(10) {
						key, value := one.randomKey(), one.randomValue()
						parts[i][key] = value
						err = errors.Join(err, c.Put([]byte(key), []byte(value)))
					}
					return err
				}))
			}
		})
	}
	wg.Wait()
	m.must(errors.Join(errs...))
	m.now = next
}

// reopen closes the database and opens it with other options.
func (m *modelRun) reopen() {
	m.say("close")
	m.must(m.db.Close())
	m.ended()
	m.open()
}

// crash goes on with a copy of the files, as the end of the process leaves them.
func (m *modelRun) crash() {
	m.say("crash")
	dir := m.copyFiles()
	m.must(m.db.Close())
	m.ended()
	m.dir = dir
	m.open()
}

// copyFiles copies the open database's directory as the end of the process leaves
// it. Nothing commits meanwhile, and no manifest is switched, but segments are
// made and recycled and runs go away: what was copied beside that is copied anew.
func (m *modelRun) copyFiles() string {
	m.db.session.manifestMu.Lock()
	defer m.db.session.manifestMu.Unlock()
	for {
		to := filepath.Join(m.t.TempDir(), "m.byok")
		m.must(errors.Join(os.MkdirAll(filepath.Join(to, walDir), 0o700), os.MkdirAll(filepath.Join(to, runDir), 0o700)))
		before := m.fileNames()
		copied := true
		for _, name := range before {
			b, err := os.ReadFile(filepath.Join(m.dir, name))
			if copied = !errors.Is(err, fs.ErrNotExist); !copied {
				break
			}
			m.must(err)
			m.must(os.WriteFile(filepath.Join(to, name), b, 0o600))
		}
		if copied && slices.Equal(before, m.fileNames()) {
			return to
		}
	}
}

// fileNames lists the database's files by their paths in its directory.
func (m *modelRun) fileNames() []string {
	var names []string
	for _, dir := range []string{"", walDir, runDir} {
		entries, err := os.ReadDir(filepath.Join(m.dir, dir))
		m.must(err)
		for _, e := range entries {
			if !e.IsDir() {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	return names
}

// keyAway takes the key away for as long as it takes to see everything refused;
// transactions that are open go on afterwards.
func (m *modelRun) keyAway() {
	class := []crypt.Class{crypt.ClassDenied, crypt.ClassUnreachable, crypt.ClassCredentials}[m.rng.IntN(3)]
	m.say("key away: %v", class)
	tx, err := m.db.Begin(true)
	m.must(err)
	next := maps.Clone(m.now)
	m.operate(tx, next, 10)
	m.key.set(class)
	if err := m.db.ProbeKey(m.t.Context()); !errors.Is(err, ErrKeyUnavailable) {
		m.t.Fatalf("probe of a key that is away: %v", err)
	}
	m.refused(tx)
	m.key.set(crypt.ClassNone)
	m.must(m.db.ProbeKey(m.t.Context()))
	m.say("key back")
	m.operate(tx, next, 10)
	m.must(tx.Commit())
	m.now = next
}

// keyAwayForHours takes the key away until memory is wiped, and gives it back.
func (m *modelRun) keyAwayForHours() {
	m.say("key away for hours")
	tx, err := m.db.Begin(true)
	m.must(err)
	m.operate(tx, maps.Clone(m.now), 10)
	m.key.set(crypt.ClassDenied)
	time.Sleep(5 * time.Hour)
	if st := m.db.Status(); st.Key.State != Paused || st.LastWipe == nil {
		m.t.Fatalf("after five hours without the key: %+v", st.Key)
	}
	m.refused(tx)
	m.key.set(crypt.ClassNone)
	m.must(m.db.ProbeKey(m.t.Context()))
	synctest.Wait()
	m.say("key back")
	if err := tx.Commit(); err == nil {
		m.t.Fatal("a transaction from before the wipe commits")
	}
	m.ended()
	m.must(m.db.View(func(tx *Tx) error { return m.compareAll(tx, m.now) }))
}

// refused checks that nothing can be read or written.
func (m *modelRun) refused(tx *Tx) {
	m.t.Helper()
	_, err := tx.CreateCollection("refused")
	errs := []error{
		err, m.db.View(func(*Tx) error { return nil }), m.db.Update(func(*Tx) error { return nil }), m.db.Verify(context.Background()),
	}
	for _, h := range m.held {
		_, err := h.tx.Collections()
		errs = append(errs, err)
	}
	for i, err := range errs {
		if !errors.Is(err, ErrKeyUnavailable) {
			m.t.Fatalf("operation %d without the key: %v", i, err)
		}
	}
}

func (m *modelRun) rotate() {
	m.say("rotate")
	if err := m.db.RotateKey(m.t.Context()); !errors.Is(err, ErrRotating) {
		m.must(err)
	}
	if len(m.held) == 0 && m.rng.IntN(2) == 0 { // snapshots keep files, and so the older key
		awaitRotation(m.t, m.db)
	}
}

func (m *modelRun) verify() {
	m.say("verify")
	report, err := m.db.VerifyReport(m.t.Context())
	m.must(err)
	want := 0
	for _, c := range m.now {
		want += len(c)
	}
	if report.Records != int64(want) || report.Collections != int64(len(m.now)) {
		m.t.Fatalf("verified %d records in %d collections, want %d in %d", report.Records, report.Collections, want, len(m.now))
	}
}

func (m *modelRun) name() string { return string(rune('a' + m.rng.IntN(4))) }

// randomKey draws a key from a few thousand: mostly alike, some of them empty,
// binary, or of the largest size.
func (m *modelRun) randomKey() string {
	n := m.rng.IntN(2000)
	switch m.rng.IntN(40) {
	case 0:
		return strings.Repeat("\x00", n%4)
	case 1:
		return strings.Repeat("\xff", n%4)
	case 2:
		return fmt.Sprintf("long-%d-%s", n%4, strings.Repeat("k", KeySizeMax-7))
	case 3:
		return fmt.Sprintf("key-%05d\x00", n)
	default:
		return fmt.Sprintf("key-%05d", n)
	}
}

// randomValue draws a value: mostly small, some larger than any page, now and
// then some MiB.
func (m *modelRun) randomValue() string {
	n := m.rng.IntN(60)
	switch m.rng.IntN(1500) {
	case 0:
		n = 1<<20 + m.rng.IntN(2<<20)
	case 1, 2, 3:
		n = 64<<10 + m.rng.IntN(128<<10)
	case 4, 5, 6, 7, 8, 9, 10, 11:
		n = m.rng.IntN(20 << 10)
	}
	b := make([]byte, n)
	for i := range b { // half of it compresses
		b[i] = byte(i)
		if i&1 == 1 {
			b[i] = byte(m.rng.Uint32())
		}
	}
	return string(b)
}

func shortKey(key string) string {
	if len(key) > 20 {
		return fmt.Sprintf("%q…%d", key[:10], len(key))
	}
	return fmt.Sprintf("%q", key)
}
