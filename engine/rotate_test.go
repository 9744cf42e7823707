package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// rotationOptions make a tree of several levels of little data.
func rotationOptions() *Options {
	return &Options{MemtableSize: 16 << 10, CacheSize: 1 << 20, PageSize: 4 << 10, segmentSize: 64 << 10, scrub: func() error { return nil }}
}

// fillLevels writes rows, large values and deletions into runs of several levels.
func fillLevels(tb testing.TB, db *DB) map[string]string {
	tb.Helper()
	want := map[string]string{}
	for i := range 60 {
		err := db.Update(func(tx *Tx) error {
			c, err := tx.CreateCollectionIfNotExists("rows")
			for j := 0; j < 20 && err == nil; j++ {
				key, value := fmt.Sprintf("key-%04d", (i*37+j*11)%900), strings.Repeat(fmt.Sprintf("%d.", i), 60)
				if i == 30 && j == 0 {
					value = strings.Repeat("large", 30_000)
				}
				want[key] = value
				err = c.Put([]byte(key), []byte(value))
			}
			gone := fmt.Sprintf("key-%04d", i)
			delete(want, gone)
			return errors.Join(err, c.Delete([]byte(gone)))
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return want
}

func mustHold(tb testing.TB, db *DB, want map[string]string) {
	tb.Helper()
	got, err := dump(db)
	if err != nil {
		tb.Fatal(err)
	}
	if err := (contents{"rows": want}).differs(got); err != nil {
		tb.Fatal(err)
	}
}

// epochsOf returns the epochs that the files in a directory state, and fails when
// there is no run or no segment.
func epochsOf(tb testing.TB, dir string) map[crypt.Epoch]int {
	tb.Helper()
	in, err := Inspect(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	out, kinds := map[crypt.Epoch]int{in.Catalog.ManifestEpoch: 1}, map[FileKind]int{}
	for _, f := range in.Files {
		if f.Kind == FileRun || f.Kind == FileSegment {
			out[crypt.Epoch(f.Epoch)]++
			kinds[f.Kind]++
		}
	}
	if kinds[FileRun] == 0 || kinds[FileSegment] == 0 {
		tb.Fatalf("files: %v", kinds)
	}
	return out
}

// awaitRotation waits for the end of a rotation, as long as a slow machine takes.
func awaitRotation(tb testing.TB, db *DB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := db.AwaitRotation(ctx); err != nil {
		tb.Fatalf("await the rotation: %v; %+v", err, db.Status().Rotation)
	}
}

// TestRotateKey: after a rotation no file is sealed under the older DEK, its
// envelope is in no byte of the catalog, and everything is there, opened again
// too (C22).
func TestRotateKey(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "r.byok"), newFakeKey("k")
	db := openTest(t, dir, key, rotationOptions())
	want := fillLevels(t, db)
	old := db.newestEnvelope().Wrapped.Bytes
	for epoch := crypt.Epoch(2); epoch <= 3; epoch++ {
		if err := db.RotateKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, db, "rows", "after", epoch.String())
		want["after"] = epoch.String()
		awaitRotation(t, db)
		mustHold(t, db, want)
		if st := db.Status().Rotation; st.Epoch != epoch || st.Underway || st.Older != 0 || st.Files != 0 || st.Bytes != 0 {
			t.Errorf("rotation ended, status says %+v", st)
		}
		if got := epochsOf(t, dir); len(got) != 1 || got[epoch] == 0 {
			t.Errorf("epochs of the files: %v, want %d alone", got, epoch)
		}
		b, err := os.ReadFile(filepath.Join(dir, "catalog.bolt"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, old) {
			t.Errorf("epoch %d: the older envelope is still in the catalog's file", epoch)
		}
		if old = db.newestEnvelope().Wrapped.Bytes; !bytes.Contains(b, old) {
			t.Error("the present envelope is not in the catalog's file: the search finds nothing")
		}
	}
	if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir, key, rotationOptions())
	mustHold(t, db, want)
	if n := key.count(); n == 0 {
		t.Error("no call was counted")
	}
	kinds := journalKinds(t, db)
	if kinds[guard.RotationBegan] != 2 || kinds[guard.RotationEnded] != 2 {
		t.Errorf("the journal has %v", kinds)
	}
}

// journalKinds counts the journal's events of each kind, once those that are
// under way are written.
func journalKinds(t *testing.T, db *DB) map[guard.EventKind]int {
	t.Helper()
	events, err := db.Journal()
	if err != nil {
		t.Fatal(err)
	}
	out := map[guard.EventKind]int{}
	for _, e := range events {
		out[e.Kind]++
	}
	return out
}

// count returns how often the key was called.
func (k *fakeKey) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

// TestRotationUsesTheNewKeyAtOnce: what is committed after RotateKey is under the
// new DEK, while older files wait.
func TestRotationUsesTheNewKeyAtOnce(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "r.byok"), newFakeKey("k")
	db := openTest(t, dir, key, rotationOptions())
	want := fillLevels(t, db)
	db.PauseRotation()
	if err := db.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err := Inspect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var last FileInfo
	for _, f := range in.Files {
		if f.Kind == FileSegment && f.Number > last.Number {
			last = f
		}
	}
	if last.Epoch != 2 {
		t.Errorf("the log goes on under data key %d", last.Epoch)
	}
	if st := db.Status().Rotation; !st.Underway || !st.Paused || st.Files == 0 || st.Bytes == 0 || st.Epoch != 2 {
		t.Errorf("%+v", st)
	}
	mustHold(t, db, want)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.AwaitRotation(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a paused rotation ended: %v", err)
	}
	// A crash now: the next opening goes on.
	to := crashCopy(t, db, dir)
	again := openTest(t, to, key, rotationOptions())
	awaitRotation(t, again)
	mustHold(t, again, want)
	if got := epochsOf(t, to); len(got) != 1 || got[2] == 0 {
		t.Errorf("epochs of the files after a crash: %v", got)
	}
	db.ResumeRotation()
	awaitRotation(t, db)
	mustHold(t, db, want)
}

// TestRotationWaitsForSnapshots: files that a snapshot or a backup reads stay,
// and with them the older envelope.
func TestRotationWaitsForSnapshots(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "r.byok"), newFakeKey("k")
	db := openTest(t, dir, key, rotationOptions())
	want := fillLevels(t, db)
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	src, err := db.pinBackup()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { // everything is written anew, and nothing let go
		st := db.Status().Rotation
		n, _, _ := db.session.log.Before(2)
		return st.Pinned > 0 && st.Files == st.Pinned+n
	})
	c, err := tx.Collection("rows")
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range want {
		if got, err := c.Get([]byte(k)); err != nil || string(got) != v {
			t.Fatalf("%s: %v", k, err)
		}
	}
	if st := db.Status().Rotation; !st.Underway || st.Files == 0 {
		t.Errorf("ended under a snapshot: %+v", st)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if st := db.Status().Rotation; !st.Underway {
		t.Errorf("ended under a backup: %+v", st)
	}
	src.release()
	awaitRotation(t, db)
}

// until waits for a condition that other goroutines bring about.
func until(tb testing.TB, holds func() bool) {
	tb.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatal("nothing came of it in a minute")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestRotationBesideWork: rotations one after the other beside writers, readers,
// backups, bulk loads and compactions.
func TestRotationBesideWork(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "r.byok"), newFakeKey("k")
	db := openTest(t, dir, key, rotationOptions())
	h, stop := newHistory(), make(chan struct{})
	var wg sync.WaitGroup
	work := func(fn func(rng *rand.Rand) error) {
		rng := rand.New(rand.NewPCG(testSeed(t, 0), 0))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := fn(rng); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work(func(rng *rand.Rand) error { return h.commit(db, rng) })
	work(func(rng *rand.Rand) error { return h.commit(db, rng) })
	work(func(*rand.Rand) error { return db.Backup(t.Context(), io.Discard) })
	work(func(*rand.Rand) error { return db.Compact(t.Context()) })
	work(func(*rand.Rand) error { return db.Verify(t.Context()) })
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		err := db.RotateKey(t.Context())
		for errors.Is(err, ErrRotating) {
			awaitRotation(t, db)
			err = db.RotateKey(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	awaitRotation(t, db)
	h.check(t, db, h.acked, h.last())
}

// TestTooManyRotations: the number of DEKs is bounded.
func TestTooManyRotations(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "r.byok"), newFakeKey("k"), rotationOptions())
	put(t, db, "rows", "k", "v")
	db.PauseRotation()
	for range epochsMax - 1 {
		if err := db.RotateKey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.RotateKey(t.Context()); !errors.Is(err, ErrRotating) {
		t.Errorf("rotation %d: %v", epochsMax, err)
	}
	db.ResumeRotation()
	awaitRotation(t, db)
	mustGet(t, db, "rows", "k", "v")
}

// lyingKey returns another DEK than the one that it has wrapped.
type lyingKey struct{ *fakeKey }

func (k lyingKey) Generate(ctx context.Context, c crypt.Context) (*crypt.Secret, crypt.Wrapped, crypt.Receipt, error) {
	dek, w, r, err := k.fakeKey.Generate(ctx, c)
	if err != nil || c.Epoch == 1 {
		return dek, w, r, err
	}
	dek.Wipe()
	other, err := crypt.RandomSecret()
	return other, w, r, err
}

// TestRotationFails: a key that is denied or lies leaves everything as it was (C21).
func TestRotationFails(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "r.byok"), newFakeKey("k")
	db := openTest(t, dir, lyingKey{key}, rotationOptions())
	put(t, db, "rows", "k", "v")
	err := db.RotateKey(t.Context())
	if ke, ok := errors.AsType[*KeyError](err); !ok || ke.Class != crypt.ClassTampered || ke.State != Active {
		t.Errorf("a KMS that lies: %v", err)
	}
	key.set(crypt.ClassDenied)
	err = db.RotateKey(t.Context())
	if ke, ok := errors.AsType[*KeyError](err); !ok || ke.Class != crypt.ClassDenied || ke.State != Active {
		t.Errorf("denied: %v", err)
	}
	key.set(crypt.ClassNone)
	if n := len(db.currentEnvelopes()); n != 1 {
		t.Errorf("%d envelopes", n)
	}
	put(t, db, "rows", "k", "w")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.RotateKey(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	mustGet(t, openTest(t, dir, key, nil), "rows", "k", "w")
}

// TestRotationThroughPause: a key that goes in the middle of a rotation stops it,
// for seconds or for hours; with the key it goes on by itself.
func TestRotationThroughPause(t *testing.T) {
	for _, away := range []time.Duration{5 * time.Minute, 5 * time.Hour} {
		timebubble.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			key := newFakeKey("k")
			db := bubble(t, key, Policy{}, *rotationOptions())
			want := fillLevels(t, db)
			db.PauseRotation()
			if err := db.RotateKey(t.Context()); err != nil {
				t.Fatal(err)
			}
			key.set(crypt.ClassDenied)
			time.Sleep(away)
			if err := db.RotateKey(t.Context()); !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("without the key: %v", err)
			}
			if err := db.AwaitRotation(t.Context()); !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("await without the key: %v", err)
			}
			db.ResumeRotation()
			synctest.Wait()
			if n := len(db.currentEnvelopes()); n != 2 {
				t.Errorf("%d envelopes without the key", n)
			}
			key.set(crypt.ClassNone)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			awaitRotation(t, db)
			mustHold(t, db, want)
			if n := len(db.currentEnvelopes()); n != 1 {
				t.Errorf("%d envelopes", n)
			}
		})
	}
}

// TestRotateEvery: a data key that is old enough is rotated by itself, once.
func TestRotateEvery(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir(), newFakeKey("k"), &Options{RotateEvery: time.Minute}); err == nil {
		t.Error("a rotation each minute is taken")
	}
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		o := *rotationOptions()
		o.RotateEvery = 24 * time.Hour
		db := bubble(t, newFakeKey("k"), Policy{}, o)
		want := fillLevels(t, db)
		for day := range 3 {
			time.Sleep(23 * time.Hour)
			if e := db.Status().Rotation.Epoch; int(e) != day+1 {
				t.Errorf("day %d: epoch %d before it is due", day, e)
			}
			time.Sleep(time.Hour + 2*time.Minute)
			synctest.Wait()
			if st := db.Status().Rotation; int(st.Epoch) != day+2 || st.Underway {
				t.Errorf("day %d: %+v", day, st)
			}
		}
		mustHold(t, db, want)
	})
}

// TestRewrap: the envelopes are wrapped anew, by themselves when the KMS has new
// material, while a rotation is under way too.
func TestRewrap(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		key.material, key.canRewrap = "m1", true
		db := bubble(t, key, Policy{}, *rotationOptions())
		put(t, db, "rows", "k", "v")
		db.PauseRotation()
		if err := db.RotateKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := journalKinds(t, db)[guard.Rewrapped]; n != 0 {
			t.Errorf("rewrapped %d times without new material", n)
		}
		key.mu.Lock()
		key.material = "m2"
		key.mu.Unlock()
		time.Sleep(materialInterval + time.Minute)
		synctest.Wait()
		for _, env := range db.currentEnvelopes() {
			if env.Wrapped.MaterialID != "m2" {
				t.Errorf("epoch %s is wrapped by %s", env.Epoch, env.Wrapped.MaterialID)
			}
		}
		time.Sleep(3 * materialInterval)
		synctest.Wait()
		if n := journalKinds(t, db)[guard.Rewrapped]; n != 1 {
			t.Errorf("rewrapped %d times", n)
		}
		if err := db.Rewrap(t.Context()); err != nil {
			t.Error(err)
		}
		db.ResumeRotation()
		awaitRotation(t, db)
		dir := db.dir
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		mustGet(t, openTest(t, dir, key, rotationOptions()), "rows", "k", "v")
	})
}
