package main

import (
	"bytes"
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
	bsql "github.com/byokdb/byokdb/sql"
	"github.com/byokdb/byokdb/sql/ingest"
	"github.com/byokdb/byokdb/testdata"
)

// demoPolicy has the shape of a real policy with short times.
var demoPolicy = engine.Policy{
	ProbeInterval: 2 * time.Second,
	ProbeTimeout:  time.Second,
	Deadline:      8 * time.Second,
}

const (
	demoPoll     = 10 * time.Millisecond // between two looks at the database
	demoRecovery = 15 * time.Second      // more than this to recover is a failure
	demoWipe     = 15 * time.Second      // more than this to wipe is a failure
	demoSlack    = 250 * time.Millisecond
	demoWidth    = 90        // columns of a wrapped sentence
	demoMemtable = 256 << 10 // bytes; small, so that the little data goes to runs and through the cache
)

// demoQuestion is asked again after every turn of the story.
const demoQuestion = `SELECT a.city, a.state, count(*) AS destinations, sum(r.flights) AS flights
FROM routes r JOIN airports a ON a.iata = r.origin
GROUP BY a.city, a.state ORDER BY flights DESC LIMIT 5`

const demoLongRoutes = `SELECT o.city AS "from", d.city AS "to", r.flights,
       round(abs(o.longitude - d.longitude), 1) AS "degrees of longitude"
FROM routes r JOIN airports o ON o.iata = r.origin JOIN airports d ON d.iata = r.destination
WHERE r.flights > 1000 ORDER BY abs(o.longitude - d.longitude) DESC LIMIT 3`

// demoMarker is in the data and must not be in any file of the database.
const demoMarker = "Hartsfield"

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story in about a minute",
		Long: `Show the whole story with short deadlines, in a temporary directory and against a
KMS for development in this process: fill a database, take its key away, give it
back, take it away for long. Every number is measured and every claim checked; the
exit code is 1 if one does not hold.`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

// story is a demo under way.
type story struct {
	out      io.Writer
	began    time.Time
	dir      string
	endpoint string
	arn      string
	key      crypt.Provider
	eng      *engine.DB
	db       *stdsql.DB
	answer   string // to demoQuestion, as first given

	mu     sync.Mutex
	events []engine.Event
}

func runDemo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "byokdb-demo-")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	s := &story{out: out, began: time.Now(), dir: filepath.Join(dir, "airports.byok")}
	served, err := s.serve(ctx)
	if err == nil {
		err = s.tell(ctx)
	}
	err = errors.Join(err, s.close())
	stop()
	if served != nil {
		err = errors.Join(err, <-served)
	}
	err = errors.Join(err, os.RemoveAll(dir))
	if err == nil {
		fmt.Fprintf(out, "\nThe story held, in %.0f s. Nothing of it is left on this machine.\n", time.Since(s.began).Seconds())
	}
	return err
}

// tell tells the chapters in order.
func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		s.create, s.fill, s.ask, s.takeAway, s.giveBack, s.takeAwayForLong, s.giveBackForGood, s.look,
	} {
		if err := chapter(ctx); err != nil {
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return fmt.Errorf("the demo was interrupted: %w", err)
			}
			return fmt.Errorf("the story does not hold: %w", err)
		}
	}
	return nil
}

// serve starts the KMS. What it returns yields once, when the KMS has ended.
func (s *story) serve(ctx context.Context) (<-chan error, error) {
	server, err := devkms.New("")
	if err != nil {
		return nil, err
	}
	if s.arn, err = server.CreateKey(); err != nil {
		return nil, err
	}
	l, err := devkms.Listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.endpoint = devkms.Endpoint(l)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	return served, nil
}

func (s *story) close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.eng != nil {
		err = errors.Join(err, s.eng.Close())
	}
	if s.key != nil {
		err = errors.Join(err, s.key.Close())
	}
	s.db, s.eng, s.key = nil, nil, nil
	return err
}

// say prints a line of the story; title begins a chapter.
func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, "   "+format+"\n", args...) }

func (s *story) title(n int, text string) {
	fmt.Fprintf(s.out, "\n%d. %s  [%.1f s]\n", n, text, time.Since(s.began).Seconds())
}

func (s *story) create(ctx context.Context) error {
	fmt.Fprintln(s.out, "byokdb: a database that obeys its owner's key")
	s.title(1, "A customer's key, and a database bound to it")
	var err error
	if s.key, err = keyuri.Open(ctx, devKeyURI(s.endpoint, s.arn)); err != nil {
		return err
	}
	s.eng, err = engine.Open(ctx, s.dir, s.key, &engine.Options{
		MustCreate:   true,
		Policy:       demoPolicy,
		MemtableSize: demoMemtable,
		OnEvent: func(e engine.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	})
	if err != nil {
		return err
	}
	s.db = stdsql.OpenDB(bsql.NewConnector(s.eng))
	st := s.eng.Status()
	if st.Key.State != engine.Active || st.Key.Bound != demoPolicy.ProbeInterval+demoPolicy.ProbeTimeout {
		return fmt.Errorf("a new database is %v with a bound of %v", st.Key.State, st.Key.Bound)
	}
	s.say("KMS       %s (for development, in this process, over HTTP)", s.endpoint)
	s.say("key       %s", s.arn)
	s.say("database  %s", st.Database)
	s.say("policy    probe every %v for %v at most: refusal within %v; memory wiped after %v",
		st.Key.Policy.ProbeInterval, st.Key.Policy.ProbeTimeout, st.Key.Bound, st.Key.Policy.Deadline)
	s.say("          (by default: 1m0s, 10s, 1m10s and 4h0m0s)")
	return nil
}

func (s *story) fill(ctx context.Context) error {
	s.title(2, "Data in: airports of the United States, and the flights of 2008 between them")
	for _, set := range []struct {
		table, text string
		rows        int64
	}{{"airports", testdata.Airports, testdata.AirportRows}, {"routes", testdata.Routes, testdata.RouteRows}} {
		begin := time.Now()
		res, err := ingest.Ingest(ctx, s.db, set.table, strings.NewReader(set.text), ingest.Options{})
		if err != nil {
			return err
		}
		if res.Rows != set.rows {
			return fmt.Errorf("%d rows of %s were ingested, not %d", res.Rows, set.table, set.rows)
		}
		s.say("%-9s %d rows in %v, %d durable batches", set.table, res.Rows, time.Since(begin).Round(time.Millisecond), res.Batches)
	}
	return nil
}

func (s *story) ask(ctx context.Context) error {
	s.title(3, "Answers out: where do people fly from, and how far?")
	var err error
	if s.answer, err = s.query(ctx, demoQuestion); err != nil {
		return err
	}
	if !strings.Contains(s.answer, "Atlanta") {
		return errors.New("the busiest airports do not include Atlanta")
	}
	far, err := s.query(ctx, demoLongRoutes)
	if err != nil {
		return err
	}
	s.show(demoQuestion, s.answer)
	s.show(demoLongRoutes, far)
	return nil
}

// query returns a statement's table.
func (s *story) query(ctx context.Context, text string) (string, error) {
	var b bytes.Buffer
	one := session{db: s.db, out: &b, format: "table"}
	_, err := one.run(ctx, text)
	return b.String(), errors.Join(err, one.drop())
}

func (s *story) show(question, answer string) {
	for l := range strings.SplitSeq(question, "\n") {
		s.say("> %s", l)
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(answer, "\n"), "\n") {
		s.say("  %s", l)
	}
	s.say("")
}

// disable takes the key away, waits until the database refuses, and returns
// when the KMS began to.
func (s *story) disable(ctx context.Context) (time.Time, error) {
	if err := admin.Disable(ctx, s.endpoint, s.arn); err != nil {
		return time.Time{}, err
	}
	off := time.Now()
	bound := s.eng.Status().Key.Bound
	var refusal error
	answered := 0
	err := poll(ctx, bound+demoSlack, func() bool {
		_, refusal = s.query(ctx, demoQuestion)
		if refusal == nil {
			answered++
		}
		return refusal != nil
	})
	took := time.Since(off)
	if err != nil {
		return off, fmt.Errorf("queries are still answered %v after the key was disabled: %w", took, err)
	}
	ke, ok := errors.AsType[*engine.KeyError](refusal)
	if !ok || !errors.Is(refusal, engine.ErrKeyUnavailable) {
		return off, fmt.Errorf("the refusal does not name the key: %w", refusal)
	}
	if ke.Class != crypt.ClassDenied {
		return off, fmt.Errorf("the refusal is of class %v, not denied", ke.Class)
	}
	if took > bound+demoSlack {
		return off, fmt.Errorf("refused after %v, later than %v", took, bound)
	}
	s.say("the KMS refuses the key; %d more queries were answered under the lease, then", answered)
	s.say("refused after %.2f s (at most %v was promised):", took.Seconds(), bound)
	for _, l := range wrap(printable(ke.Error()), demoWidth) {
		s.say("  %s", l)
	}
	return off, nil
}

// enable gives the key back and waits until the question is answered as at
// first.
func (s *story) enable(ctx context.Context) error {
	if err := admin.Enable(ctx, s.endpoint, s.arn); err != nil {
		return err
	}
	on := time.Now()
	var got string
	err := poll(ctx, demoRecovery, func() bool {
		var err error
		got, err = s.query(ctx, demoQuestion)
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("the key is back, the database is not: %w", err)
	}
	if got != s.answer {
		return errors.New("the answer is another one than before")
	}
	s.say("answered again after %.2f s, by itself, with the same answer as before", time.Since(on).Seconds())
	return nil
}

func (s *story) takeAway(ctx context.Context) error {
	s.title(4, "The customer disables the key")
	_, err := s.disable(ctx)
	return err
}

func (s *story) giveBack(ctx context.Context) error {
	s.title(5, "The customer enables it again")
	return s.enable(ctx)
}

func (s *story) takeAwayForLong(ctx context.Context) error {
	s.title(6, "The customer disables it, and it stays away")
	policy, bound := s.eng.Status().Key.Policy, s.eng.Status().Key.Bound
	off, err := s.disable(ctx)
	if err != nil {
		return err
	}
	limit := policy.Deadline + bound + demoSlack
	err = poll(ctx, limit, func() bool { return s.eng.Status().Key.State == engine.Paused })
	if err != nil {
		return fmt.Errorf("not paused %v after the key was disabled: %w", limit, err)
	}
	err = poll(ctx, demoWipe, func() bool {
		w := s.eng.Status().LastWipe
		return w != nil && !w.At.Before(off)
	})
	if err != nil {
		return fmt.Errorf("paused, and %v later memory is not wiped: %w", demoWipe, err)
	}
	took := time.Since(off)
	after := s.eng.Status()
	if _, err := s.query(ctx, demoQuestion); !errors.Is(err, engine.ErrKeyUnavailable) {
		return fmt.Errorf("a paused database answers: %w", err)
	}
	w := after.LastWipe
	if w.MemtableBytes+w.CacheBytes == 0 || after.MemtableBytes+after.CacheBytes != 0 {
		return fmt.Errorf("the wipe found %d bytes and left %d", w.MemtableBytes+w.CacheBytes, after.MemtableBytes+after.CacheBytes)
	}
	s.say("paused and wiped %.2f s after the key was disabled. What was in memory and is not any more:", took.Seconds())
	s.say("  memtables    %9s → %s", sizeText(w.MemtableBytes), sizeText(after.MemtableBytes))
	s.say("  page cache   %9s → %s", sizeText(w.CacheBytes), sizeText(after.CacheBytes))
	s.say("  data keys, the keys of the log and of %s, log buffers and plans", counted(int64(w.Runs), "run", "runs"))
	if w.HeapScrubbed {
		s.say("  dead objects of the Go heap, scrubbed and given back to the operating system")
	}
	return nil
}

func (s *story) giveBackForGood(ctx context.Context) error {
	s.title(7, "The customer enables it again")
	if err := s.enable(ctx); err != nil {
		return err
	}
	if st := s.eng.Status(); st.Key.State != engine.Active {
		return fmt.Errorf("the database answers and is %v", st.Key.State)
	}
	s.say("what the guard recorded:")
	s.mu.Lock()
	defer s.mu.Unlock()
	paused := false
	for _, e := range s.events {
		paused = paused || e.To == engine.Paused
		s.say("  %s  %v → %v (%v) request %s", e.Time.Local().Format("15:04:05.0"), e.From, e.To, e.Class, requestText(e.RequestID))
	}
	if !paused {
		return errors.New("the guard recorded no pause")
	}
	return nil
}

// requestText shows a provider's request id.
func requestText(id string) string {
	if id == "" {
		return "-"
	}
	return printable(id)
}

func (s *story) look(ctx context.Context) error {
	s.title(8, "What is on disk")
	v, err := s.eng.VerifyReport(ctx)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if v.Records < testdata.AirportRows+testdata.RouteRows {
		return fmt.Errorf("verify found %d records", v.Records)
	}
	files, size, err := s.search(demoMarker)
	if err != nil {
		return err
	}
	s.say("verify opened %s and %s, with %d records: no faults",
		counted(v.Pages, "page", "pages"), counted(v.Frames, "log frame", "log frames"), v.Records)
	s.say("%q is in the data and in none of the %d files (%s)", demoMarker, files, sizeText(size))
	return s.close()
}

// search reads every file of the database and fails when one holds marker.
func (s *story) search(marker string) (files int, size int64, err error) {
	err = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path) //nolint:gosec // a file of the demo's own
		if err != nil {
			return err
		}
		files++
		size += int64(len(b))
		if bytes.Contains(b, []byte(marker)) {
			return fmt.Errorf("%s holds %q in the clear", filepath.Base(path), marker)
		}
		return nil
	})
	if err == nil && size == 0 {
		err = errors.New("the database has no files")
	}
	return files, size, err
}

// poll calls done until it is true, ctx ends or limit has passed.
func poll(ctx context.Context, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		if done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
