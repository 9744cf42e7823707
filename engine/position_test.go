package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
)

func TestPositionText(t *testing.T) {
	p := Position{
		Database: crypt.ID{1, 2}, Generation: 3, Manifest: [16]byte{4}, Frame: 5, Tag: [16]byte{6}, Commit: 7,
	}
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Position
	if err := back.UnmarshalText(text); err != nil || back != p {
		t.Fatalf("%s: %+v, %v", text, back, err)
	}
	if strings.ContainsAny(string(text), " \t\n=+/'\"$") {
		t.Errorf("not one token: %q", text)
	}
	for i := range text {
		bad := []byte(string(text))
		if bad[i] ^= 1; bad[i] == text[i] {
			t.Fatal("not changed")
		}
		if err := back.UnmarshalText(bad); err == nil {
			t.Errorf("byte %d changed unnoticed", i)
		}
		if i > 0 {
			if err := back.UnmarshalText(text[:i]); err == nil {
				t.Errorf("cut at %d unnoticed", i)
			}
		}
	}
	if err := back.UnmarshalText(nil); err != nil || !back.IsZero() || back.String() != "" {
		t.Errorf("the zero position: %v, %q", err, back)
	}
}

// pastStates is a database at two moments, with what was recorded at each.
type pastStates struct {
	t        *testing.T
	key      *fakeKey
	old, new string // directories
	position Position
	options  Options
}

// makeHistory writes a database, copies it, goes on as more says, and records
// the position, all of it in one process unless more closes.
func makeHistory(t *testing.T, more func(db *DB)) pastStates {
	t.Helper()
	h := pastStates{t: t, key: newFakeKey("k"), options: Options{MemtableSize: 64 << 10}}
	dir := filepath.Join(t.TempDir(), "h.byok")
	db, err := Open(t.Context(), dir, h.key, &h.options)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		put(t, db, "c", fmt.Sprint(i), strings.Repeat("v", 3000))
	}
	quiet(t, db)
	h.old = crashCopy(t, db, dir)
	more(db)
	quiet(t, db)
	if h.position, err = db.Position(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h.new = dir
	return h
}

// quiet waits until nothing is flushed or compacted any more.
func quiet(t *testing.T, db *DB) {
	t.Helper()
	s := db.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.frozen) > 0 && s.failed == nil {
		s.changed.Wait()
	}
	if s.failed != nil {
		t.Fatal(s.failed)
	}
}

func few(t *testing.T) func(db *DB) {
	t.Helper()
	return func(db *DB) {
		for i := range 3 {
			put(t, db, "c", fmt.Sprint("few", i), "v")
		}
	}
}

func many(t *testing.T) func(db *DB) {
	t.Helper()
	return func(db *DB) {
		for i := range 120 {
			put(t, db, "c", fmt.Sprint("many", i), strings.Repeat("w", 3000))
		}
	}
}

func manyAndFew(t *testing.T) func(db *DB) {
	t.Helper()
	return func(db *DB) {
		many(t)(db)
		few(t)(db)
	}
}

// open opens a copy of a directory that a tampering changed.
func (h pastStates) open(dir string, p Position) error {
	h.t.Helper()
	copied := filepath.Join(h.t.TempDir(), "opened.byok")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		h.t.Fatal(err)
	}
	before := h.files(copied)
	o := h.options
	o.MinPosition = p
	db, err := Open(h.t.Context(), copied, h.key, &o)
	if errors.Is(err, ErrStale) && h.files(copied) != before {
		h.t.Errorf("an opening that was refused changed files: %s, before %s", h.files(copied), before)
	}
	if err != nil {
		return err
	}
	return errors.Join(db.Verify(h.t.Context()), db.Close())
}

// files lists the log and the runs.
func (h pastStates) files(dir string) string {
	h.t.Helper()
	var out []string
	for _, pattern := range []string{"wal/*", "runs/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, names...)
	}
	return strings.Join(out, " ")
}

// mix returns a copy of the new state with parts of the old one.
func (h pastStates) mix(parts ...string) string {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), "mix.byok")
	if err := os.CopyFS(dir, os.DirFS(h.new)); err != nil {
		h.t.Fatal(err)
	}
	for _, part := range parts {
		to := filepath.Join(dir, part)
		if err := os.RemoveAll(to); err != nil {
			h.t.Fatal(err)
		}
		from := filepath.Join(h.old, part)
		info, err := os.Stat(from)
		switch {
		case err != nil:
			h.t.Fatal(err)
		case info.IsDir():
			err = os.CopyFS(to, os.DirFS(from))
		default:
			var b []byte
			if b, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// newest returns the newest segment of a directory.
func newest(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names[len(names)-1]
}

// TestMinPosition (P2, P3) is the table of what is found out with a position: way of
// going on × tampering → error.
func TestMinPosition(t *testing.T) {
	tampers := []struct {
		name string
		do   func(h pastStates) string
		want map[string]error // by way of going on
	}{
		{"nothing", func(h pastStates) string { return h.new }, nil},
		{"the whole directory put back", func(h pastStates) string { return h.old }, always(ErrStale)},
		// Few commits are in the log alone: the old catalog is the newest one.
		{"the catalog put back", func(h pastStates) string { return h.mix("catalog.bolt") }, map[string]error{"many": ErrStale}},
		{
			"the log put back", func(h pastStates) string { return h.mix("wal") },
			map[string]error{"few": ErrStale, "many": ErrCorrupt, "reopened": ErrStale},
		},
		{"catalog and log put back", func(h pastStates) string { return h.mix("wal", "catalog.bolt") }, always(ErrStale)},
		{"the newest segment without frames", func(h pastStates) string {
			dir := h.mix()
			if err := os.Truncate(newest(h.t, dir), 4096); err != nil {
				h.t.Fatal(err)
			}
			return dir
		}, always(ErrStale)},
		{"the newest segment removed", func(h pastStates) string {
			dir := h.mix()
			if err := os.Remove(newest(h.t, dir)); err != nil {
				h.t.Fatal(err)
			}
			return dir
		}, map[string]error{"few": ErrCorrupt, "many": ErrCorrupt, "reopened": ErrStale}},
		{"the last commit cut off", func(h pastStates) string {
			dir := h.mix()
			// An end frame and a commit of less than 512 B, in 512 B each.
			info, err := os.Stat(newest(h.t, dir))
			if err == nil {
				err = os.Truncate(newest(h.t, dir), info.Size()-1024)
			}
			if err != nil {
				h.t.Fatal(err)
			}
			return dir
		}, always(ErrStale)},
		{"the directory removed", func(h pastStates) string { return h.t.TempDir() }, always(ErrStale)},
	}
	for _, way := range []struct {
		name string
		more func(t *testing.T) func(db *DB)
	}{
		{"few", few}, {"many", manyAndFew},
	} {
		h := makeHistory(t, way.more(t))
		for _, c := range tampers {
			t.Run(way.name+"/"+c.name, func(t *testing.T) {
				h.t = t
				checkStale(t, h.open(c.do(h), h.position), c.want[way.name])
			})
		}
	}
	h := makeHistory(t, few(t))
	h.old = h.new
	h.new, h.position = h.goOn(h.new, few(t)) // in a segment of its own
	for _, c := range tampers {
		t.Run("reopened/"+c.name, func(t *testing.T) {
			h.t = t
			checkStale(t, h.open(c.do(h), h.position), c.want["reopened"])
		})
	}
}

func always(err error) map[string]error {
	return map[string]error{"few": err, "many": err, "reopened": err}
}

func checkStale(t *testing.T, err, want error) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// goOn opens a copy of a directory, writes to it, closes it and returns where
// it is and the position before it was closed.
func (h pastStates) goOn(dir string, more func(db *DB)) (string, Position) {
	h.t.Helper()
	copied := filepath.Join(h.t.TempDir(), "on.byok")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		h.t.Fatal(err)
	}
	db, err := Open(h.t.Context(), copied, h.key, &h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	more(db)
	quiet(h.t, db)
	p, err := db.Position()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		h.t.Fatal(err)
	}
	return copied, p
}

// TestForkIsStale lets two copies go on and offers each the other's position.
func TestForkIsStale(t *testing.T) {
	h := makeHistory(t, func(*DB) {})
	for name, more := range map[string]func(db *DB){"few": few(t), "many": many(t)} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			a, atA := h.goOn(h.new, more)
			b, atB := h.goOn(h.new, more)
			checkStale(t, h.open(a, atA), nil)
			checkStale(t, h.open(b, atB), nil)
			checkStale(t, h.open(a, atB), ErrStale)
			checkStale(t, h.open(b, atA), ErrStale)
		})
	}
}

// TestOtherDatabaseIsStale: a directory of another database of the same key.
func TestOtherDatabaseIsStale(t *testing.T) {
	h, other := makeHistory(t, few(t)), makeHistory(t, few(t))
	h.key = other.key
	checkStale(t, h.open(other.new, h.position), ErrStale)
	if err := h.open(filepath.Join(t.TempDir()), h.position); !errors.Is(err, ErrNotExist) || !errors.Is(err, ErrStale) {
		t.Errorf("no database: %v", err)
	}
}

// TestPositionsStayGood (P1) takes positions all along a life of flushes,
// compactions, closings and crashes, and opens with each at the end.
func TestPositionsStayGood(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "g.byok")
	o := &Options{MemtableSize: 64 << 10}
	var positions []Position
	for range longer(10, 100) {
		db, err := Open(t.Context(), dir, key, o)
		if err != nil {
			t.Fatal(err)
		}
		last := uint64(0)
		for i := range 1 + random.IntN(30) {
			put(t, db, "c", fmt.Sprint(random.IntN(40)), strings.Repeat("x", 1+random.IntN(9000)))
			p, err := db.Position()
			if err != nil || p.Commit <= last {
				t.Fatalf("commit %d: %+v, %v", i, p, err)
			}
			last = p.Commit
			positions = append(positions, p)
		}
		if random.IntN(2) == 0 {
			dir = crashCopy(t, db, dir)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Position(); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
	if len(positions) < 12 {
		t.Fatal("no positions")
	}
	for i := range positions {
		if i%10 != 0 && i != len(positions)-1 {
			continue
		}
		db, err := Open(t.Context(), dir, key, &Options{MinPosition: positions[i]})
		if err != nil {
			t.Fatalf("position %d of %d: %v", i, len(positions), err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRolledBackWhilePaused puts an older directory in place while the database
// is paused: it must not come back with it, and says so.
func TestRolledBackWhilePaused(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts []string
	}{{"nothing", nil}, {"log", []string{"wal"}}, {"all", []string{"catalog.bolt", "wal", "runs"}}} {
		t.Run(c.name, func(t *testing.T) {
			timebubble.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				key := newFakeKey("k")
				db := bubble(t, key, Policy{}, Options{MemtableSize: 64 << 10})
				put(t, db, "c", "a", "1")
				h := pastStates{t: t, key: key, old: crashCopy(t, db, db.dir), new: db.dir}
				put(t, db, "c", "a", "2")
				if len(c.parts) == 3 {
					many(t)(db)
					quiet(t, db)
				}
				before, err := db.Position()
				if err != nil {
					t.Fatal(err)
				}
				key.set(crypt.ClassDenied)
				time.Sleep(5 * time.Hour)
				synctest.Wait()
				if st := db.Status(); st.Key.State != Paused {
					t.Fatalf("not paused: %+v", st.Key)
				}
				if p, err := db.Position(); err != nil || p.Frame != before.Frame || p.Tag != before.Tag || p.Commit != before.Commit {
					t.Errorf("paused: %+v, %v, before %+v", p, err, before)
				}
				for _, part := range c.parts {
					h.replace(part)
				}
				key.set(crypt.ClassNone)
				err = db.ProbeKey(t.Context())
				if c.parts == nil {
					if err != nil {
						t.Fatal(err)
					}
					mustGet(t, db, "c", "a", "2")
					return
				}
				checkStale(t, err, ErrStale)
				err = db.View(func(*Tx) error { return nil })
				if !errors.Is(err, ErrKeyUnavailable) || !errors.Is(err, ErrStale) {
					t.Errorf("View: %v", err)
				}
			})
		})
	}
}

// replace puts an old part over the new one, in place.
func (h pastStates) replace(part string) {
	h.t.Helper()
	err := filepath.WalkDir(filepath.Join(h.new, part), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(h.old, part), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(h.old, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(h.new, rel), b, 0o600)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}
