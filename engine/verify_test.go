package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/pager"
)

// dirReport verifies an image in a directory of its own, and checks that this
// changes nothing in it.
func dirReport(t *testing.T, im image, key crypt.Provider) (VerifyReport, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "v.byok")
	im.put(t, dir)
	report, err := VerifyDir(t.Context(), dir, key, nil)
	if got := readImage(t, dir); len(got) != len(im) {
		t.Errorf("%d files, %d before", len(got), len(im))
	} else {
		for path, b := range im {
			if !bytes.Equal(got[path], b) {
				t.Errorf("%s was changed", path)
			}
		}
	}
	if (err == nil) != (len(report.Faults) == 0) {
		t.Errorf("%v with faults %v", err, report.Faults)
	}
	return report, err
}

// wantFaults checks that there is one fault for each text, and that it says so.
func wantFaults(t *testing.T, report VerifyReport, want ...string) {
	t.Helper()
	for i, text := range want {
		if i >= len(report.Faults) || !strings.Contains(report.Faults[i].Error(), text) {
			t.Errorf("fault %d is none of %q: %v", i, text, report.Faults)
			return
		}
		if !errors.Is(report.Faults[i], ErrCorrupt) {
			t.Errorf("%v is not ErrCorrupt", report.Faults[i])
		}
	}
	if len(report.Faults) != len(want) {
		t.Errorf("%d faults, want %d: %v", len(report.Faults), len(want), report.Faults)
	}
}

// with returns the image after a change.
func (im image) with(changes ...image) image {
	out := image{}
	for _, c := range append([]image{im}, changes...) {
		for path, b := range c {
			if out[path] = b; b == nil {
				delete(out, path)
			}
		}
	}
	return out
}

func TestVerifyDir(t *testing.T) {
	x := newExhibit(t)
	runs, segments := x.sound.paths(t, "runs/*"), x.sound.paths(t, "wal/*")
	last := segments[len(segments)-1]
	sound, err := dirReport(t, x.sound, x.key)
	if err != nil || sound.Runs != 2 || sound.Pages < 15 || sound.Frames < 6 || sound.Records != int64(120+1+41+12) ||
		sound.Collections != 3 || sound.Segments != int64(len(segments)) || sound.Generation == 0 || sound.Commit < 8 {
		t.Errorf("%+v, %v", sound, err)
	}
	leaf := x.pages[runs[1]][2]
	crashed := func(at int) image { return x.sound.flip(last, at) }
	for _, c := range []struct {
		name   string
		im     image
		faults []string
	}{
		{"everywhere at once", x.sound.with(
			x.sound.withRecord(t, "journal", "\x00\x00\x00\x00\x00\x00\x00\x01", make([]byte, 40)),
			x.sound.flip(runs[0], 200), x.sound.flip(runs[1], int(leaf.Offset)+9), crashed(4096+30),
		), []string{"journal entry 1 ", "journal entry 2 ", "journal entry 1:", "run: ", "run: ", "log: "}},
		{"a missing run and a swapped segment", x.sound.with(image{runs[0]: nil, last: x.sound[segments[0]]}), []string{"run is missing", "the segment is number"}},
		{"the manifest is lost", x.sound.with(x.sound.withRecord(t, "byokdb", "manifest", []byte("garbage"))), []string{"not a manifest"}},
		{"the manifest and a page are lost", x.sound.with(
			x.sound.withRecord(t, "byokdb", "manifest", []byte("garbage")), x.sound.flip(runs[0], 200),
		), []string{"not a manifest", "run: "}},
		{"the clear record is lost", x.sound.with(x.sound.withRecord(t, "byokdb", "clear", nil)), []string{"a record is missing"}},
		{"the catalog is lost", x.sound.with(image{"catalog.bolt": nil}), []string{"without a catalog"}},
		{"the catalog and a header are lost", x.sound.with(image{"catalog.bolt": nil, runs[1]: []byte("short")}), []string{"without a catalog", "not a run"}},
		{"runs and log are lost", x.sound.with(image{runs[0]: nil, runs[1]: nil}, func() image {
			change := image{}
			for _, s := range segments {
				change[s] = nil
			}
			return change
		}()), []string{"run is missing", "run is missing", "missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := dirReport(t, c.im, x.key)
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			wantFaults(t, report, c.faults...)
			if strings.HasPrefix(c.name, "the manifest is lost") && (report.Pages != sound.Pages || report.Frames != sound.Frames) {
				t.Errorf("%d pages and %d frames were read, want %d and %d", report.Pages, report.Frames, sound.Pages, sound.Frames)
			}
		})
	}
}

// TestVerifyDirNotes: what is no fault and may surprise.
func TestVerifyDirNotes(t *testing.T) {
	x := newExhibit(t)
	im := x.crashed.with(image{
		"runs/00000099.run": []byte("half"), "wal/00000099.wal.tmp": {}, "catalog.tmp": {}, "notes": []byte("n"), "runs/notes": {},
		"wal/00000001.wal": []byte("old"),
	}, x.crashed.withRecord(t, "journal", "\x00\x00\x00\x00\x00\x00\x00\x02", nil))
	report, err := dirReport(t, im, x.key)
	if !errors.Is(err, ErrCorrupt) || len(report.Faults) != 1 || !strings.Contains(err.Error(), "its end was removed") || len(report.Notes) != 6 {
		t.Errorf("%q, %v", report.Notes, err)
	}
	if !slices.Contains(report.NotChecked, notEnd) {
		t.Errorf("of a log that was not closed: %q", report.NotChecked)
	}
	report, err = dirReport(t, im, nil)
	if err == nil || len(report.Faults) != 3 { // the journal's end, the half run, and a segment that is none
		t.Errorf("without a key: %v", report.Faults)
	}
	if report, err = dirReport(t, x.sound, nil); err != nil || report.Pages != 0 || len(report.NotChecked) != 3 {
		t.Errorf("without a key: %+v, %v", report, err)
	}
}

// TestVerifyDirErrors: what is nothing to verify is no fault.
func TestVerifyDirErrors(t *testing.T) {
	dir, key := sound(t)
	verify := func(key crypt.Provider) error {
		report, err := VerifyDir(t.Context(), dir, key, nil)
		if len(report.Faults) > 0 {
			t.Errorf("faults %v", report.Faults)
		}
		return err
	}
	if err := verify(newFakeKey("other")); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	key.set(crypt.ClassDenied)
	var ke *KeyError
	if err := verify(key); !errors.As(err, &ke) || ke.Class != crypt.ClassDenied {
		t.Errorf("a denied key: %v", err)
	}
	key.set(crypt.ClassNone)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if report, err := VerifyDir(ctx, dir, key, nil); !errors.Is(err, context.Canceled) || len(report.Faults) > 0 {
		t.Errorf("canceled: %v, %v", err, report.Faults)
	}
	db := openTest(t, dir, key, nil)
	if err := verify(key); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	im := readImage(t, dir)
	im.withRecord(t, "byokdb", "tombstone", make([]byte, 36)).put(t, dir)
	if err := verify(key); !errors.Is(err, ErrErased) {
		t.Errorf("a tombstone: %v", err)
	}
	for want, files := range map[error]image{
		ErrNotDatabase: {"catalog.bolt": []byte("something else"), "file": {}}, ErrNotExist: {"file": {}},
	} {
		dir = t.TempDir()
		files.put(t, dir)
		if err := verify(key); !errors.Is(err, want) {
			t.Errorf("files of something else: %v, want %v", err, want)
		}
	}
}

// forged returns a copy of a database whose manifest was sealed anew after an
// edit, as only a fault of ours can do it.
func forged(t *testing.T, edit func(db *DB, m *catalog.Manifest), batches ...[]byte) (image, *fakeKey) {
	t.Helper()
	x := &exhibit{tb: t, key: newFakeKey("k"), model: model{}, past: map[digest]bool{}, rand: newRand()}
	dir := filepath.Join(t.TempDir(), "f.byok")
	x.live(dir)
	db := x.open(dir)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	m := *db.session.manifest
	m.Runs, m.Collections = slices.Clone(m.Runs), slices.Clone(m.Collections)
	m.Generation++
	edit(db, &m)
	sealed, err := m.Seal(db.session.ring, db.clear.Database)
	if err == nil {
		err = db.cat.PutManifest(sealed)
	}
	for _, b := range batches {
		if err == nil {
			_, err = db.session.log.Append(b)
		}
	}
	if err == nil {
		err = db.session.log.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	return readImage(t, crashCopy(t, db, dir)), x.key
}

// TestVerifyFindsForgery: what is genuine and cannot be all the same is found:
// C16 to C18, W15 to W17.
func TestVerifyFindsForgery(t *testing.T) {
	addRun := func(id uint32) func(db *DB, m *catalog.Manifest) {
		return func(db *DB, m *catalog.Manifest) {
			b, err := pager.NewBuilder(pager.BuilderConfig{
				FS: db.opts.fs, Path: runPath(db.dir, m.NextRun), Ring: db.session.ring, Database: db.clear.Database, RunID: m.NextRun,
			})
			if err == nil {
				err = b.Add(append(collectionPrefix(id), 'k'), pager.Put, []byte("v"))
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			m.Runs = append(m.Runs, metaOf(info, 0))
			m.NextRun++
		}
	}
	for _, c := range []struct {
		name string
		edit func(db *DB, m *catalog.Manifest)
		want string
	}{
		{"nothing", func(*DB, *catalog.Manifest) {}, ""},
		{"records of no collection", addRun(99), "never made"},
		{"records of collection 0", addRun(0), "never made"},
		{"a level that is not", func(_ *DB, m *catalog.Manifest) { m.Runs[0].Level = nLevels }, "on level 7"},
		{"runs that overlap", func(_ *DB, m *catalog.Manifest) {
			m.Runs[0].Level, m.Runs[1].Level = 2, 2
			m.Runs[0].First = m.Runs[1].First // the newer one is first, and behind the other
		}, "overlap"},
		{"counts that cannot be", func(_ *DB, m *catalog.Manifest) { m.Runs[0].Tombstones = m.Runs[0].Entries + 1 }, "cannot be"},
		{"another size", func(_ *DB, m *catalog.Manifest) { m.Runs[1].Size++ }, "not the run that was expected"},
		{"another root tag", func(_ *DB, m *catalog.Manifest) { m.Runs[1].RootTag[3]++ }, "not the run that was expected"},
		{"another last key", func(_ *DB, m *catalog.Manifest) { m.Runs[1].Last = append(m.Runs[1].Last, 0) }, "first or last key"},
		{"another policy", func(_ *DB, m *catalog.Manifest) { m.Policy = []byte{1} }, "edited the policy"},
		{"commits that are missing", func(_ *DB, m *catalog.Manifest) { m.Commit -= 2 }, "commit "},
		{"another floor", func(_ *DB, m *catalog.Manifest) { m.Floor.Tag[0]++ }, "another state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, key := forged(t, c.edit)
			report, err := dirReport(t, im, key)
			if c.want == "" {
				wantFaults(t, report)
				return
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestVerifyFindsForgedBatches is the same for the log.
func TestVerifyFindsForgedBatches(t *testing.T) {
	for name, c := range map[string]struct {
		batch func(next uint64) []byte
		want  string
	}{
		"nothing":      {func(next uint64) []byte { return batchOf(next, opPut, 1) }, ""},
		"a gap":        {func(next uint64) []byte { return batchOf(next+1, opPut, 1) }, "follows"},
		"a repetition": {func(next uint64) []byte { return batchOf(next-1, opPut, 1) }, "follows"},
		"garbage":      {func(uint64) []byte { return []byte("garbage") }, "does not parse"},
		"an unknown operation": {func(next uint64) []byte {
			b := batchOf(next, opPut, 1)
			b[batchHeaderSize] = 9
			return b
		}, "operation 9"},
		"a record of no collection":   {func(next uint64) []byte { return batchOf(next, opPut, 99) }, "does not exist"},
		"a collection of a given id":  {func(next uint64) []byte { return batchOf(next, opCreate, 1) }, "given before"},
		"a drop of no collection":     {func(next uint64) []byte { return batchOf(next, opDrop, 99) }, "does not exist"},
		"a deletion in no collection": {func(next uint64) []byte { return batchOf(next, opDelete, 99) }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			const next = 11 // see exhibit.live: two commits, two and six
			im, key := forged(t, func(db *DB, _ *catalog.Manifest) {
				if db.session.applied != next-1 {
					t.Fatalf("%d commits", db.session.applied)
				}
			}, c.batch(next))
			report, err := dirReport(t, im, key)
			if c.want == "" {
				wantFaults(t, report)
			} else if wantFaults(t, report, c.want); err == nil || report.Faults[0].Part != "log" {
				t.Errorf("%v", report.Faults)
			}
		})
	}
}

func batchOf(commit uint64, code byte, collection uint32) []byte {
	e := beginBatch(nil, commit)
	switch code {
	case opPut:
		e.op(code, collection, []byte("name"))
		e.value([]byte("value"))
	case opDrop:
		e.op(code, collection, nil)
	default:
		e.op(code, collection, []byte("name"))
	}
	e.endBatch()
	return e.buf
}

// sliceCursor walks a slice, and in the other direction another one.
type sliceCursor struct {
	forth, back []string
	i           int
}

func (c *sliceCursor) Next() bool          { c.i++; return c.i <= len(c.forth) }
func (c *sliceCursor) Prev() bool          { c.i--; return -c.i <= len(c.back) }
func (c *sliceCursor) UnsafeValue() []byte { return []byte("v") }
func (c *sliceCursor) Err() error          { return nil }
func (c *sliceCursor) Close() error        { return nil }

func (c *sliceCursor) UnsafeKey() []byte {
	if c.i > 0 {
		return []byte(c.forth[c.i-1])
	}
	return []byte(c.back[len(c.back)+c.i])
}

// TestRecordWalk: a walk notices records that come in one direction only, out of
// order, or not by their keys.
func TestRecordWalk(t *testing.T) {
	sound := strings.Fields("a b c d e f")
	for name, c := range map[string]struct {
		forth, back []string
		get         string
		getErr      error
		want        string
	}{
		"sound":              {sound, sound, "v", nil, ""},
		"one less back":      {sound, sound[1:], "v", nil, "backwards"},
		"another back":       {sound, strings.Fields("a b c d e g"), "v", nil, "backwards"},
		"out of order":       {strings.Fields("a c b"), strings.Fields("a b c"), "v", nil, "order"},
		"twice":              {strings.Fields("a a b"), strings.Fields("a b"), "v", nil, "order"},
		"another value":      {sound, sound, "w", nil, "another value"},
		"not by its key":     {sound, sound, "", ErrNotFound, "not found"},
		"not to be read":     {sound, sound, "", os.ErrPermission, "permission"},
		"nothing either way": {nil, nil, "v", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &recordWalk{
				v:      &verification{ctx: t.Context(), lease: func() error { return nil }},
				cursor: func() recordCursor { return &sliceCursor{forth: c.forth, back: c.back} },
				get:    func([]byte) ([]byte, error) { return []byte(c.get), c.getErr },
				check:  func() error { return nil },
			}
			n, err := w.run()
			if c.want == "" && (err != nil || n != int64(len(c.forth))) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%d records, %v", n, err)
			}
		})
	}
}

// TestVerifyGarbage: what a dropped collection left is counted, and no fault.
func TestVerifyGarbage(t *testing.T) {
	x := newExhibit(t)
	dir := filepath.Join(t.TempDir(), "g.byok")
	x.sound.put(t, dir)
	db := x.open(dir)
	if err := db.Update(func(tx *Tx) error { return tx.DropCollection(collFirst) }); err != nil {
		t.Fatal(err)
	}
	report, err := db.VerifyReport(t.Context())
	if err != nil || report.Collections != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	x.flush(db)
	report, err = db.VerifyReport(t.Context())
	if err != nil || report.Garbage < 121 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestInspectDirectory: what shows without the key, and damage that does.
func TestInspectDirectory(t *testing.T) {
	x := newExhibit(t)
	dir := filepath.Join(t.TempDir(), "i.byok")
	x.sound.put(t, dir)
	in, err := Inspect(t.Context(), dir)
	if err != nil || len(in.Faults()) != 0 || len(in.Files) != len(x.sound) {
		t.Fatalf("%+v, %v", in, err)
	}
	c := in.Catalog
	if c == nil || c.Info == nil || c.Info.KeyID != "k" || len(c.Envelopes) != 1 || c.Journal < 2 || c.Generation == 0 || c.ManifestSize == 0 {
		t.Errorf("%+v", c)
	}
	segments := x.sound.paths(t, "wal/*")
	in, err = Inspect(t.Context(), filepath.Join(dir, segments[len(segments)-1]))
	if err != nil || len(in.Files) != 1 || len(in.Files[0].Frames) < 3 {
		t.Errorf("%+v, %v", in, err)
	}
	runs := x.sound.paths(t, "runs/*")
	for what, change := range map[string]image{
		"a header":          x.sound.flip(runs[0], 50),
		"another database":  {runs[0]: x.twin[runs[0]]},
		"a wrong name":      {runs[0]: x.sound[runs[1]]},
		"a missing segment": {segments[1]: nil},
		"the catalog":       {"catalog.bolt": nil},
		"a catalog's byte":  x.sound.flip("catalog.bolt", 30),
	} {
		change.put(t, dir)
		if in, err := Inspect(t.Context(), dir); err != nil || len(in.Faults()) == 0 {
			t.Errorf("%s: no fault, %v", what, err)
		}
		x.sound.put(t, dir)
	}
	if _, err := Inspect(t.Context(), filepath.Join(dir, "nothing")); !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
	if _, err := Inspect(t.Context(), t.TempDir()); !errors.Is(err, ErrNotDatabase) {
		t.Error(err)
	}
}

// TestVerifyWithoutTheKey: that the key goes away in the middle of a
// verification is its error, and no fault of the database.
func TestVerifyWithoutTheKey(t *testing.T) {
	x := newExhibit(t)
	dir := filepath.Join(t.TempDir(), "w.byok")
	x.sound.put(t, dir)
	db := x.open(dir)
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	n, away := 0, false
	v := &verification{ctx: t.Context(), db: db, lease: db.check, visit: func(string, []byte, []byte) {
		if n++; n != 10 {
			return
		}
		x.key.set(crypt.ClassDenied)
		away = db.ProbeKey(t.Context()) != nil
	}}
	report, err := v.done(v.collectionsOf(tx))
	if !away || !errors.Is(err, ErrKeyUnavailable) || len(report.Faults) > 0 {
		t.Errorf("away %t: %v, faults %v", away, err, report.Faults)
	}
	x.key.set(crypt.ClassNone)
	if err := db.ProbeKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	x.close(db)
}

// TestVerifyDirMinPosition: a verification refuses what an opening refuses.
func TestVerifyDirMinPosition(t *testing.T) {
	x := newExhibit(t)
	for name, c := range map[string]struct {
		im    image
		stale bool
	}{
		"the newest": {x.sound, false}, "not closed": {x.crashed, false},
		"older": {x.older, true}, "a fork": {x.fork, true}, "another database": {x.twin, true},
	} {
		dir := filepath.Join(t.TempDir(), "p.byok")
		c.im.put(t, dir)
		report, err := VerifyDir(t.Context(), dir, x.key, &Options{MinPosition: x.position})
		if errors.Is(err, ErrStale) != c.stale || (len(report.Faults) > 0) != c.stale || !slices.Contains(report.NotChecked, notNewer) {
			t.Errorf("%s: %v", name, err)
		}
		if report, err = VerifyDir(t.Context(), dir, x.key, nil); err != nil || !slices.Contains(report.NotChecked, notNewest) {
			t.Errorf("%s, without a position: %v", name, err)
		}
	}
}
