package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing/synctest"

	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// inflightOps are the operations of TestInFlight. A further one is one entry.
var inflightOps = []inflightOp{
	{name: "get", begin: flyGet, resumes: true},
	{name: "visit", begin: flyVisit, resumes: true},
	{name: "cursor forward", begin: func(x *inflightRig) flight { return flyCursor(x, true) }, resumes: true},
	{name: "cursor backward", begin: func(x *inflightRig) flight { return flyCursor(x, false) }, resumes: true},
	{name: "large value under a cursor", begin: flyLarge, resumes: true},
	{name: "value reader", begin: flyReader, resumes: true},
	{name: "view with work between", begin: flyView, ends: false},
	{name: "put", begin: flyPut, resumes: true},
	{name: "put from a reader", begin: flyPutReader},
	{name: "savepoint", begin: flySavepoint, resumes: true},
	{name: "collections", begin: flyCollections, resumes: true},
	{name: "commit begins", begin: flyCommit},
	{name: "commit is being synced", begin: flySync, keyless: true},
	{name: "begin waits for the writer", begin: flyBegin, ends: true},
	{name: "begin", begin: flyBeginFresh, resumes: true, fresh: true},
	{name: "commit waits for a flush", begin: flyFull, ends: true},
	{name: "flush", begin: flyFlush, ends: true},
	{name: "compact", begin: flyCompact},
	{name: "bulk add", begin: flyBulkAdd},
	{name: "bulk commit", begin: flyBulkCommit},
	{name: "bulk waits for the writer", begin: flyNewBulk, ends: true},
	{name: "backup stream", begin: flyBackup},
	{name: "backup set", begin: flyBackupTo},
	{name: "verify", begin: flyVerify, ends: true},
	{name: "position", begin: flyPosition, keyless: true},
	{name: "rewrap", begin: flyRewrap, ends: true},
	{name: "rotate", begin: flyRotate, ends: true},
	{name: "rotation awaited", begin: flyAwaitRotation, ends: true},
}

func flyGet(x *inflightRig) flight {
	tx := x.begin(false)
	c, i := x.collection(tx, "base"), 0
	step := func() error {
		v, err := c.Get(fmt.Appendf(nil, "%04d", i))
		if err == nil && string(v) != inflightValue(i) {
			x.t.Errorf("record %d is %q", i, v)
		}
		i = (i + 37) % inflightRows
		return err
	}
	x.must(step())
	return flight{step: step, over: func() { _ = tx.Rollback() }}
}

// flyVisit looks several keys up at once.
func flyVisit(x *inflightRig) flight {
	tx := x.begin(false)
	c, i := x.collection(tx, "base"), 0
	step := func() error {
		keys, n := [][]byte{fmt.Appendf(nil, "%04d", i), fmt.Appendf(nil, "%04d", inflightRows-1), []byte("none")}, 0
		err := c.Visit(keys, func(k int, v []byte) bool {
			if n++; k == 2 != (v == nil) || k < 2 && string(v) != inflightValue([]int{i, inflightRows - 1}[k]) {
				x.t.Errorf("record %q is %q", keys[k], v)
			}
			return true
		})
		if err == nil && n != len(keys) {
			x.t.Errorf("%d of %d records without an error", n, len(keys))
		}
		i = (i + 37) % inflightRows
		return err
	}
	x.must(step())
	return flight{step: step, over: func() { _ = tx.Rollback() }}
}

func flyCursor(x *inflightRig, forward bool) flight {
	tx := x.begin(false)
	cur := x.collection(tx, "base").Cursor(nil, []byte("large"))
	n := 0
	step := func() error {
		i, move := n, cur.Next
		if !forward {
			i, move = inflightRows-1-n, cur.Prev
		}
		if !move() {
			if k, v := cur.Key(), cur.Value(); k != nil && string(v) != inflightValue(max(0, n-1)) && forward {
				x.t.Errorf("a cursor that does not move holds %q = %q", k, v)
			}
			if cur.Err() == nil {
				x.t.Error("the cursor stops without an error")
			}
			return cur.Err()
		}
		n++
		if k, v := cur.Key(), cur.Value(); string(k) != fmt.Sprintf("%04d", i) || string(v) != inflightValue(i) {
			x.t.Errorf("step %d: %q = %q", n, k, v)
		}
		return nil
	}
	for range 20 {
		x.must(step())
	}
	return flight{step: step, over: func() { _ = cur.Close(); _ = tx.Rollback() }}
}

// flyLarge stands on a record whose value is read only when it is asked for.
func flyLarge(x *inflightRig) flight {
	tx := x.begin(false)
	cur := x.collection(tx, "base").Cursor([]byte("large"), nil)
	if !cur.Next() {
		x.t.Fatal(cur.Err())
	}
	return flight{
		step: func() error {
			if v := cur.Value(); v != nil && !bytes.Equal(v, inflightBig()) {
				x.t.Error("the value is another one")
			} else if v != nil {
				return nil
			}
			if r, err := cur.ValueReader(); err == nil || r != nil {
				x.t.Error("a reader is given for what cannot be read")
			}
			if cur.UnsafeValue() != nil {
				x.t.Error("an unsafe value is given for what cannot be read")
			}
			return cur.Err()
		},
		over: func() { _ = tx.Rollback() },
	}
}

func flyReader(x *inflightRig) flight {
	tx := x.begin(false)
	r, err := x.collection(tx, "base").GetReader([]byte("large"))
	x.must(err)
	want, at := inflightBig(), 0
	step := func() error {
		p := make([]byte, 70_000)
		n, err := r.Read(p)
		if !bytes.Equal(p[:n], want[at:at+n]) {
			x.t.Errorf("bytes %d to %d are others", at, at+n)
		}
		at += n
		return err
	}
	for range 3 {
		x.must(step())
	}
	return flight{step: step, over: func() { _ = r.Close(); _ = tx.Rollback() }}
}

func flyView(x *inflightRig) flight {
	work := make(chan struct{})
	land := closeOnce(work)
	return x.blocked(land, func() error {
		return x.db.View(func(tx *Tx) error {
			c, err := tx.Collection("base")
			if err != nil {
				return err
			}
			if _, err := c.Get([]byte("0001")); err != nil {
				return err
			}
			<-work
			v, err := c.Get([]byte("0002"))
			if err == nil && string(v) != inflightValue(2) {
				x.t.Errorf("it reads %q", v)
			}
			return err
		})
	}).unheld()
}

// unheld is the flight of which nothing has to land before a wipe.
func (f flight) unheld() flight {
	f.land = nil
	return f
}

func closeOnce(c chan struct{}) func() {
	done := false
	return func() {
		if !done {
			done = true
			close(c)
		}
	}
}

func flyPut(x *inflightRig) flight {
	tx := x.begin(true)
	c, n := x.collection(tx, "op"), 0
	var keys []string
	step := func() error {
		k := fmt.Sprintf("put-%d", n)
		err := c.Put([]byte(k), []byte("of "+k))
		if err == nil {
			keys = append(keys, k)
			n++
		}
		return err
	}
	x.must(step())
	x.must(step())
	return flight{step: step, over: func() {
		x.note(tx.Commit(), keys...) // what was put while the key was there, if nothing was wiped
	}}
}

// flyPutReader is a value of which half is there.
func flyPutReader(x *inflightRig) flight {
	tx := x.begin(true)
	c := x.collection(tx, "op")
	r, w := io.Pipe()
	f := x.blocked(nil, func() error {
		err := c.PutReader([]byte("piped"), 600_000, r)
		_ = r.CloseWithError(errors.New("not read any more"))
		if err == nil {
			_, err = c.Get([]byte("0000"))
			if errors.Is(err, ErrNotFound) {
				err = tx.Rollback() // it was all there; nothing of it is to stay
			}
		}
		return err
	})
	_, err := w.Write(make([]byte, 300_000))
	x.must(err)
	synctest.Wait()
	wait := f.step
	sent := false
	f.step = func() error {
		if !sent {
			sent = true
			_, _ = w.Write(make([]byte, 300_000))
			_ = w.Close()
		}
		return wait()
	}
	f.over = func() {
		_ = f.step()
		_ = tx.Commit() // the half is not in it
	}
	return f
}

func flySavepoint(x *inflightRig) flight {
	tx := x.begin(true)
	c := x.collection(tx, "op")
	x.must(c.Put([]byte("kept"), []byte("of kept")))
	sp := tx.Savepoint()
	x.must(c.Put([]byte("undone"), nil))
	return flight{
		step: func() error { return c.Put([]byte("undone too"), nil) },
		over: func() {
			err := tx.RollbackTo(sp)
			if err == nil {
				err = tx.Commit()
			} else {
				_ = tx.Rollback()
			}
			x.note(err, "kept")
		},
	}
}

func flyCollections(x *inflightRig) flight {
	tx := x.begin(true)
	n := 0
	return flight{
		step: func() error {
			names, err := tx.Collections()
			if err == nil && strings.Join(names, " ") != "base op" {
				x.t.Errorf("collections %q", names)
			}
			_, err2 := tx.Collection("base")
			n++
			_, err3 := tx.CreateCollection(fmt.Sprintf("new-%d", n))
			if err3 == nil {
				err3 = tx.DropCollection(fmt.Sprintf("new-%d", n))
			}
			if (err == nil) != (err2 == nil) || (err == nil) != (err3 == nil) {
				x.t.Errorf("collections %v, collection %v, create and drop %v", err, err2, err3)
			}
			return err
		},
		over: func() { _ = tx.Rollback() },
	}
}

// flyCommit is a transaction that is ready to be committed.
func flyCommit(x *inflightRig) flight {
	tx := x.begin(true)
	x.must(x.collection(tx, "op").Put([]byte("ready"), []byte("of ready")))
	first := true
	var err error
	return flight{step: func() error {
		if first {
			first = false
			err = tx.Commit()
			x.note(err, "ready")
		}
		return err
	}}
}

// logSync matches the sync of a log segment.
func logSync(c memfs.Call) bool {
	return (c.Op == memfs.OpSyncData || c.Op == memfs.OpSync) && strings.HasSuffix(c.Path, ".wal")
}

// flySync is a commit whose frame is written and not yet durable: it ends as if
// the key were there.
func flySync(x *inflightRig) flight {
	_, release := x.block(logSync)
	return x.blocked(release, func() error { return x.write("synced", "synced too") })
}

func flyBegin(x *inflightRig) flight {
	holder := x.begin(true)
	f := x.blocked(nil, func() error {
		tx, err := x.db.BeginContext(context.Background(), true)
		if err == nil {
			err = tx.Rollback()
		}
		return err
	})
	f.over = func() { _ = holder.Rollback() }
	return f
}

func flyBeginFresh(x *inflightRig) flight {
	return flight{step: func() error {
		for _, writable := range []bool{false, true} {
			tx, err := x.db.Begin(writable)
			if err != nil {
				return err
			}
			x.must(tx.Rollback())
		}
		return x.db.View(func(*Tx) error { return nil })
	}}
}

// newRun matches the making of a run.
func newRun(c memfs.Call) bool { return c.Op == memfs.OpCreate && strings.HasSuffix(c.Path, ".run") }

// flyFull is a commit that waits because memory is full and a flush hangs.
func flyFull(x *inflightRig) flight {
	_, release := x.block(newRun)
	fill := func() error {
		return x.db.Update(func(tx *Tx) error {
			c, err := tx.CreateCollectionIfNotExists("ballast")
			for i := range 10 {
				if err == nil {
					err = c.Put(fmt.Appendf(nil, "%d", i), make([]byte, 10<<10))
				}
			}
			return err
		})
	}
	return x.blocked(release, func() error {
		for {
			if err := fill(); err != nil {
				return err
			}
		}
	}).unlessFree(x)
}

// unlessFree lets the flight's blocked call go in its step only after the step
// has ended: the waiting itself must end.
func (f flight) unlessFree(x *inflightRig) flight {
	land, step := f.land, f.step
	return flight{land: land, step: func() error {
		synctest.Wait()
		land()
		return step()
	}}
}

func flyFlush(x *inflightRig) flight {
	x.must(x.write("flushed"))
	_, release := x.block(newRun)
	return x.blocked(release, func() error {
		_, err := x.db.flushAll(context.Background())
		return err
	}).unlessFree(x)
}

func flyCompact(x *inflightRig) flight {
	x.must(x.write("compacted"))
	x.must(x.db.flushed(x.t.Context()))
	_, release := x.block(newRun)
	return x.blocked(release, func() error { return x.db.Compact(context.Background()) })
}

func (db *DB) flushed(ctx context.Context) error {
	_, err := db.flushAll(ctx)
	return err
}

func flyBulkAdd(x *inflightRig) flight {
	b, err := x.db.NewBulk(context.Background(), "op")
	x.must(err)
	n := 0
	step := func() error {
		n++
		return b.Add(fmt.Appendf(nil, "bulk-%06d", n), make([]byte, 1000))
	}
	for range 50 {
		x.must(step())
	}
	return flight{step: step, over: b.Abort}
}

func flyBulkCommit(x *inflightRig) flight {
	b, err := x.db.NewBulk(context.Background(), "op")
	x.must(err)
	var keys []string
	for i := range 50 {
		k := fmt.Sprintf("bulk-%06d", i)
		keys = append(keys, k)
		x.must(b.Add([]byte(k), []byte("of "+k)))
	}
	_, release := x.block(func(c memfs.Call) bool { return c.Op.Syncs() && strings.HasSuffix(c.Path, ".run") })
	return x.blocked(release, func() error {
		_, err := b.Commit()
		x.note(err, keys...)
		return err
	})
}

func flyNewBulk(x *inflightRig) flight {
	holder := x.begin(true)
	f := x.blocked(nil, func() error {
		b, err := x.db.NewBulk(context.Background(), "another")
		if err == nil {
			b.Abort()
		}
		return err
	})
	f.over = func() { _ = holder.Rollback() }
	return f
}

// slowWriter takes some bytes and then waits.
type slowWriter struct {
	n    int
	gate chan struct{}
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.n += len(p); w.n > 64<<10 {
		<-w.gate
	}
	return len(p), nil
}

func flyBackup(x *inflightRig) flight {
	w := &slowWriter{gate: make(chan struct{})}
	return x.blocked(closeOnce(w.gate), func() error { return x.db.Backup(context.Background(), w) }).unheld()
}

func flyBackupTo(x *inflightRig) flight {
	gate := make(chan struct{})
	dest := filepath.Join(x.t.TempDir(), "backups")
	return x.blocked(closeOnce(gate), func() error {
		_, err := x.db.BackupTo(context.Background(), dest, &BackupOptions{Progress: func(int64, int64) { <-gate }})
		if sets, lerr := ListBackups(dest); lerr != nil || (len(sets) == 1) != (err == nil) {
			x.t.Errorf("%d sets after %v; %v", len(sets), err, lerr)
		}
		return err
	}).unheld()
}

// flyVerify is a verification that has read the runs and waits for the writer.
func flyVerify(x *inflightRig) flight {
	holder := x.begin(true)
	f := x.blocked(nil, func() error { return x.db.Verify(context.Background()) })
	f.over = func() { _ = holder.Rollback() }
	return f
}

func flyPosition(x *inflightRig) flight {
	before, err := x.db.Position()
	x.must(err)
	return flight{step: func() error {
		p, err := x.db.Position()
		if err == nil && p.Commit < before.Commit {
			x.t.Errorf("the position goes back: %v", p)
		}
		return err
	}}
}

// flyRewrap is a rewrap that the KMS does not answer.
func flyRewrap(x *inflightRig) flight {
	x.key.hung.Store(true)
	f := x.blocked(nil, func() error { return x.db.Rewrap(context.Background()) })
	x.key.hung.Store(false)
	return f
}

// flyRotate is a rotation that the KMS does not answer.
func flyRotate(x *inflightRig) flight {
	x.key.hung.Store(true)
	f := x.blocked(nil, func() error { return x.db.RotateKey(context.Background()) })
	x.key.hung.Store(false)
	return f
}

// flyAwaitRotation waits for a rotation that a snapshot holds up.
func flyAwaitRotation(x *inflightRig) flight {
	x.db.PauseRotation()
	x.must(x.db.RotateKey(context.Background()))
	return x.blocked(nil, func() error { return x.db.AwaitRotation(context.Background()) })
}
