package torture

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// nWritten is how many commits a test makes: each of two writers is in its
// second epoch then.
const nWritten = 750

// written makes a database of several epochs and returns it, open, with what
// its writers reported.
func written(t *testing.T) (Config, *engine.DB, *Report) {
	t.Helper()
	base := t.TempDir()
	cfg := Config{
		Dir: filepath.Join(base, "t.byok"), Key: "local:" + filepath.Join(base, "dev.key"),
		Plan: Plan{Seed: 7, Writers: 2}, Sync: engine.SyncOff, Lives: 3, Commits: nWritten / 3,
	}
	var out bytes.Buffer
	if err := Write(t.Context(), cfg, NewReporter(&out)); err != nil {
		t.Fatal(err)
	}
	report := new(Report)
	if err := report.Read(&out); err != nil {
		t.Fatal(err)
	}
	if len(report.Opened) != 3 || report.Closed != 3 || len(report.Acked) != nWritten || len(report.Begun) != nWritten {
		t.Fatalf("the report is not of 3 lives with 250 commits: %d, %d, %d, %d",
			len(report.Opened), report.Closed, len(report.Acked), len(report.Begun))
	}
	return cfg, open(t, cfg), report
}

func TestCheckAcceptsWhatWasWritten(t *testing.T) {
	cfg, db, report := written(t)
	o, err := cfg.Plan.Check(t.Context(), db, report)
	if err != nil {
		t.Fatal(err)
	}
	if o.Head != nWritten || o.Acked != nWritten || o.Lost+o.Kept+o.Dropped != 0 || o.Records < 2*2*nSlots/2 {
		t.Errorf("%+v", o)
	}
}

// TestCheckFindsEachFault makes one change at a time that no plan makes, and
// takes it back.
func TestCheckFindsEachFault(t *testing.T) {
	cfg, db, report := written(t)
	epoch, _ := epochOf(cfg.Plan.seqsOf(t, db)[0])
	newest, older := collectionName(0, epoch), collectionName(0, epoch-1)
	record := func(c *engine.Collection) ([]byte, []byte) {
		cur := c.Cursor(nil, nil)
		if !cur.Next() {
			t.Fatal("the collection is empty")
		}
		return bytes.Clone(cur.Key()), bytes.Clone(cur.Value())
	}
	remove := func(c *engine.Collection) error {
		key, _ := record(c)
		return c.Delete(key)
	}
	in := func(name string, change func(c *engine.Collection) error) func(tx *engine.Tx) error {
		return func(tx *engine.Tx) error {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			return change(c)
		}
	}
	faults := map[string]func(tx *engine.Tx) error{
		"a record is missing":          in(newest, remove),
		"an older record is missing":   in(older, remove),
		"a bulk record is missing":     in(bulkName(0), remove),
		"the order begins too late":    in(orderName, remove),
		"a writer's number is missing": in(writerName, remove),
		"the last commit is missing": in(orderName, func(c *engine.Collection) error {
			return c.Delete(orderKey(nWritten))
		}),
		"a commit in the middle is missing": in(orderName, func(c *engine.Collection) error {
			return c.Delete(orderKey(300))
		}),
		"two commits changed places": in(orderName, func(c *engine.Collection) error {
			a, err := c.Get(orderKey(300))
			if err != nil {
				return err
			}
			for n := uint64(301); ; n++ {
				b, err := c.Get(orderKey(n))
				if err != nil {
					return err
				}
				if !bytes.Equal(a[4:5], b[4:5]) {
					continue
				}
				return errors.Join(c.Put(orderKey(300), b), c.Put(orderKey(n), a))
			}
		}),
		"a record is of an older transaction": in(newest, func(c *engine.Collection) error {
			key, value := record(c)
			return c.Put(key, fill(0, 1, 0, len(value)-valueHeader, 5))
		}),
		"a byte of a record is another": in(newest, func(c *engine.Collection) error {
			key, value := record(c)
			value[len(value)-1]++
			return c.Put(key, value)
		}),
		"a record too many": in(newest, func(c *engine.Collection) error {
			return c.Put([]byte("stranger"), []byte("x"))
		}),
		"a collection too many": func(tx *engine.Tx) error {
			_, err := tx.CreateCollection("stranger")
			return err
		},
		"a collection is missing": func(tx *engine.Tx) error { return tx.DropCollection(older) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			tx, err := db.Begin(true)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if err := fault(tx); err != nil {
				t.Fatal(err)
			}
			if _, err := cfg.Plan.checkTx(t.Context(), tx, &Outcome{}); !errors.Is(err, ErrWrong) {
				t.Errorf("the check returns %v", err)
			}
		})
	}
	if _, err := cfg.Plan.Check(t.Context(), db, report); err != nil { // every fault was taken back
		t.Error(err)
	}
}

func (p Plan) seqsOf(t *testing.T, db *engine.DB) []uint64 {
	t.Helper()
	seqs := make([]uint64, p.Writers)
	err := db.View(func(tx *engine.Tx) (err error) {
		for w := range seqs {
			if seqs[w], err = p.seqOf(tx, w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

func TestCheckComparesReports(t *testing.T) {
	cfg, db, report := written(t)
	last := report.Acked[len(report.Acked)-1]
	for _, c := range []struct {
		name   string
		change func(r *Report)
		want   error
		o      Outcome
	}{
		{"acknowledged behind the end", func(r *Report) {
			r.Acked = append(r.Acked, Commit{N: nWritten + 1, Writer: 0, Seq: last.Seq + 1})
		}, ErrLost, Outcome{Acked: nWritten + 1, Lost: 1}},
		{"acknowledged and another is in its place", func(r *Report) {
			r.Acked[5].Writer ^= 1
		}, ErrLost, Outcome{Acked: nWritten, Lost: 1, Kept: 1}},
		{"there and never begun", func(r *Report) {
			last := func(c Commit) bool { return c.N == nWritten } // acknowledgements may change places
			r.Begun, r.Acked = slices.DeleteFunc(r.Begun, last), slices.DeleteFunc(r.Acked, last)
		}, ErrWrong, Outcome{Acked: nWritten - 1}},
		{"there, begun and not acknowledged", func(r *Report) {
			r.Acked = r.Acked[:nWritten-2]
		}, nil, Outcome{Acked: nWritten - 2, Kept: 2}},
		{"begun and not there", func(r *Report) {
			r.Begun = append(r.Begun, Commit{N: nWritten + 1, Writer: 1, Seq: 1}, Commit{N: nWritten + 2, Writer: 1, Seq: 2})
		}, nil, Outcome{Acked: nWritten, Dropped: 2}},
		{"lost at the cut, in one group", func(r *Report) {
			r.Late = append(r.Late, Commit{N: nWritten + 1, Writer: 1, Seq: last.Seq + 1}, Commit{N: nWritten + 2, Writer: 0, Seq: last.Seq + 1})
		}, nil, Outcome{Acked: nWritten, LostLate: 2}},
		{"lost at the cut, more than a group", func(r *Report) {
			for n := range uint64(3) {
				r.Late = append(r.Late, Commit{N: nWritten + 1 + n, Writer: 1, Seq: last.Seq + 1 + n})
			}
		}, ErrLost, Outcome{Acked: nWritten, LostLate: 3}},
		{"nothing since the last check", func(r *Report) { *r = Report{} }, nil, Outcome{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Report{Begun: append([]Commit(nil), report.Begun...), Acked: append([]Commit(nil), report.Acked...)}
			c.change(&r)
			o, err := cfg.Plan.Check(t.Context(), db, &r)
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("the check returns %v, want %v", err, c.want)
			}
			if o.Records = 0; o.Acked != c.o.Acked || o.Lost != c.o.Lost || o.LostLate != c.o.LostLate || !errors.Is(c.want, ErrWrong) && (o.Kept != c.o.Kept || o.Dropped != c.o.Dropped) {
				t.Errorf("outcome %+v, want %+v", o, c.o)
			}
		})
	}
}

// TestLastTurn compares the closed form with a replay.
func TestLastTurn(t *testing.T) {
	checked := 0
	last := map[[2]uint64]uint64{} // epoch and slot → transaction
	for s := uint64(1); s <= 3*txPerEpoch+7; s++ {
		epoch, i := epochOf(s)
		for j := range newestTurn {
			last[[2]uint64{epoch, uint64(turn(i, newestTurn) + j)}] = s
		}
		for j := range olderTurn {
			if epoch > 0 {
				last[[2]uint64{epoch - 1, uint64(turn(i, olderTurn) + j)}] = s
			}
		}
		for e := epoch; e <= epoch && e+1 >= epoch; e-- {
			for slot := range nSlots {
				checked++
				if want := last[[2]uint64{e, uint64(slot)}]; lastWriter(s, e, slot) != want {
					t.Fatalf("after %d: slot %d of epoch %d was written by %d, want %d", s, slot, e, lastWriter(s, e, slot), want)
				}
			}
		}
	}
	if checked < 1000*nSlots {
		t.Errorf("%d slots checked", checked)
	}
}

func TestReportIgnoresWhatWasCutOff(t *testing.T) {
	var r Report
	if err := r.Read(bytes.NewReader([]byte("o 5\nb 1 0 1\na 1 0 1\nb 2 0"))); err != nil {
		t.Fatal(err)
	}
	if len(r.Opened) != 1 || len(r.Begun) != 1 || len(r.Acked) != 1 || r.Acked[0] != (Commit{N: 1, Seq: 1}) {
		t.Errorf("%+v", r)
	}
	if err := r.Read(bytes.NewReader([]byte("y 1\n"))); err == nil {
		t.Error("an unknown step is accepted")
	}
}

func TestWriteStopsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	base := t.TempDir()
	cfg := Config{
		Dir: filepath.Join(base, "t.byok"), Key: "local:" + filepath.Join(base, "dev.key"), Plan: Plan{Writers: 1}, Lives: 1,
	}
	if err := Write(ctx, cfg, NewReporter(new(bytes.Buffer))); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}
