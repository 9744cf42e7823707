package awskms

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// This file holds the numbers of docs/kms.md to the guard's policy and to what
// a guard does.

// Times between the probes of a suspended database, as the page has them.
const (
	probeGapMin = 4 * time.Second
	probeGapMax = 5 * time.Second
)

const (
	month            = 30 * 24 * time.Hour
	usdPer10k        = 0.03 // requests with a symmetric key, most Regions
	requestsPerProbe = 1    // requests of a probe that succeeds
)

// pageDuration parses "1 min 10 s" and the like.
func pageDuration(t *testing.T, text string) time.Duration {
	t.Helper()
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "days": 24 * time.Hour,
	}
	fields := strings.Fields(text)
	var d time.Duration
	for i := 0; i+1 < len(fields); i += 2 {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		unit, ok := units[fields[i+1]]
		if err != nil || !ok {
			t.Fatalf("%q is no duration", text)
		}
		d += time.Duration(n) * unit
	}
	if len(fields)%2 != 0 || len(fields) == 0 && text != "" {
		t.Fatalf("%q is no duration", text)
	}
	return d
}

// pageNumber parses "43,200" and "1,296.00".
func pageNumber(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// thousands writes 1440 as "1,440".
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// The table of settings has the policy's defaults and limits.
func TestPageSettings(t *testing.T) {
	defaults := guard.Policy{}.WithDefaults()
	if _, err := defaults.Validate(); err != nil {
		t.Fatal(err)
	}
	type setting struct {
		value time.Duration
		set   func(p *guard.Policy, d time.Duration) // nil: not a setting of its own
	}
	settings := map[string]setting{
		"probe interval": {defaults.ProbeInterval, func(p *guard.Policy, d time.Duration) { p.ProbeInterval = d }},
		"probe time-out": {defaults.ProbeTimeout, func(p *guard.Policy, d time.Duration) { p.ProbeTimeout = d }},
		"bound":          {defaults.Bound(), nil},
		"deadline":       {defaults.Deadline, func(p *guard.Policy, d time.Duration) { p.Deadline = d }},
		"outage grace":   {defaults.UnreachableGrace, func(p *guard.Policy, d time.Duration) { p.UnreachableGrace = d }},
	}
	for _, row := range pageTable(t, "setting") {
		s, ok := settings[row[0]]
		if !ok {
			t.Errorf("unknown setting %q", row[0])
			continue
		}
		delete(settings, row[0])
		if got := pageDuration(t, row[1]); got != s.value {
			t.Errorf("%s is %v in the page, %v in the program", row[0], got, s.value)
		}
		low, high, ok := strings.Cut(row[2], " to ")
		if s.set == nil {
			continue
		}
		if !ok {
			t.Errorf("%s: no limits in %q", row[0], row[2])
			continue
		}
		for text, outside := range map[string]time.Duration{low: -1, high: 1} {
			p := defaults
			d := pageDuration(t, text)
			s.set(&p, d)
			if _, err := p.Validate(); err != nil {
				t.Errorf("%s: %v is refused: %v", row[0], d, err)
			}
			s.set(&p, d+outside)
			if _, err := p.Validate(); err == nil {
				t.Errorf("%s: %v is not refused", row[0], d+outside)
			}
		}
	}
	for name := range settings {
		t.Errorf("the page does not give the %s", name)
	}
	page := readPage(t)
	for _, want := range []string{
		fmt.Sprintf("at most %d s after your KMS begins to refuse", defaults.Bound()/time.Second),
		fmt.Sprintf("at the deadline, %d h after the key became unavailable", defaults.Deadline/time.Hour),
		fmt.Sprintf("one a minute: %s a day by default", thousands(int(24*time.Hour/defaults.ProbeInterval))),
		fmt.Sprintf("1,000 databases make %.0f requests a second, at most %d while all are suspended",
			1000/defaults.ProbeInterval.Seconds(), 1000*time.Second/probeGapMin),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if defaults.OnDeadline != guard.Pause {
		t.Errorf("the default at the deadline is %v, the page says that memory is wiped", defaults.OnDeadline)
	}
}

// The table of costs has one row for each interval and number of databases.
func TestPageCosts(t *testing.T) {
	withDefault := false
	for _, row := range pageTable(t, "interval") {
		text, isDefault := strings.CutSuffix(row[0], " (default)")
		p := guard.Policy{ProbeInterval: pageDuration(t, text)}.WithDefaults()
		if isDefault {
			withDefault = true
			if p.ProbeInterval != guard.DefaultProbeInterval {
				t.Errorf("%s is not the default, which is %v", text, guard.DefaultProbeInterval)
			}
		}
		if got := pageDuration(t, row[1]); got != p.Bound() {
			t.Errorf("%s: bound %v, want %v", text, got, p.Bound())
		}
		for i, n := range []float64{1, 100, 1000} {
			requests := n * requestsPerProbe * float64(month/p.ProbeInterval)
			usd := requests / 10_000 * usdPer10k
			gotRequests, gotUSD, ok := strings.Cut(row[2+i], "; ")
			if !ok {
				t.Fatalf("%s: %q is not requests; USD", text, row[2+i])
			}
			if got := pageNumber(t, gotRequests); got != requests {
				t.Errorf("%s, %v databases: %v requests in the page, %v by the settings", text, n, got, requests)
			}
			if got := pageNumber(t, gotUSD); math.Abs(got-usd) > 0.005+1e-9 {
				t.Errorf("%s, %v databases: %v USD in the page, %v by the settings", text, n, got, usd)
			}
		}
	}
	if !withDefault {
		t.Error("no row is marked as the default")
	}
}

// watched is what a test saw of a guard.
type watched struct {
	mu     sync.Mutex
	class  crypt.Class   // what the KMS answers
	delay  time.Duration // after which it gives its next answer
	probes []time.Time
	wiped  time.Time
	erased time.Time
	g      *guard.Guard
}

func (w *watched) answer(class crypt.Class) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.class = class
}

func (w *watched) probe(context.Context) (crypt.Receipt, error) {
	w.mu.Lock()
	w.probes = append(w.probes, time.Now())
	class, delay := w.class, w.delay
	w.delay = 0
	w.mu.Unlock()
	time.Sleep(delay)
	if class == crypt.ClassNone {
		return crypt.Receipt{}, nil
	}
	return crypt.Receipt{}, &crypt.ProviderError{Class: class}
}

// watchGuard starts a guard in the test's bubble, at a good probe.
func watchGuard(t *testing.T, p guard.Policy) *watched {
	t.Helper()
	w := &watched{}
	clk := clock.Process()
	var err error
	w.g, err = guard.Start(guard.Config{
		Policy: p.WithDefaults(), KeyID: testARN, Clock: clk,
		Probe:  w.probe,
		Pause:  func() { w.mu.Lock(); defer w.mu.Unlock(); w.wiped = time.Now() },
		Resume: func(context.Context) error { return nil },
		Erase:  func(guard.Record) error { w.mu.Lock(); defer w.mu.Unlock(); w.erased = time.Now(); return nil },
	}, guard.Record{}, clk.Monotonic())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.g.Close)
	return w
}

// refusedAfter returns how long the guard goes on allowing, to the second.
func (w *watched) refusedAfter(limit time.Duration) time.Duration {
	from := time.Now()
	for time.Since(from) < limit && w.g.Check() == nil {
		time.Sleep(time.Second)
	}
	return time.Since(from)
}

// A guard probes as often as the table of costs assumes, and as often as the
// page says while it is suspended.
func TestPageRates(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := watchGuard(t, guard.Policy{})
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got, want := len(w.probes)*requestsPerProbe, int(24*time.Hour/guard.DefaultProbeInterval); got < want-1 || got > want+1 {
			t.Errorf("%d requests in a day, the table assumes %d", got, want)
		}
	})
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := watchGuard(t, guard.Policy{})
		w.answer(crypt.ClassDenied)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		probes := w.probes[1:] // suspended from the first denial on
		fastest, slowest := time.Hour, time.Duration(0)
		for i := range probes[1:] {
			gap := probes[i+1].Sub(probes[i])
			fastest, slowest = min(fastest, gap), max(slowest, gap)
		}
		const low, high = probeGapMin, probeGapMax
		if fastest < low || slowest > high {
			t.Errorf("suspended, it probes every %v to %v; the page says every %v to %v", fastest, slowest, low, high)
		}
		if fastest > (low+high)/2 || slowest < (low+high)/2 {
			t.Errorf("suspended, it probes every %v to %v: the page could be more precise", fastest, slowest)
		}
		page := readPage(t)
		for _, want := range []string{
			fmt.Sprintf("every %d to %d s", low/time.Second, high/time.Second),
			fmt.Sprintf("%d to %d requests an hour", time.Hour/high, time.Hour/low),
		} {
			if !strings.Contains(page, want) {
				t.Errorf("the page does not say %q", want)
			}
		}
	})
}

// The timelines of the page are what a guard does in the worst case: the KMS
// begins to refuse right after a good probe, and says so slowly.
func TestPageTimelines(t *testing.T) {
	times := map[string]map[string]time.Duration{}
	for _, row := range pageTable(t, "what happens") {
		for column, name := range []string{"denied", "unreachable", "unreachable, grace 30 min"} {
			if times[name] == nil {
				times[name] = map[string]time.Duration{}
			}
			if row[1+column] != "never" {
				times[name][row[0]] = pageDuration(t, strings.TrimPrefix(row[1+column], "≤ "))
			}
		}
	}
	for name, class := range map[string]crypt.Class{
		"denied": crypt.ClassDenied, "unreachable": crypt.ClassUnreachable, "unreachable, grace 30 min": crypt.ClassUnreachable,
	} {
		t.Run(name, func(t *testing.T) {
			timebubble.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				p := guard.Policy{OnDeadline: guard.Erase}
				if strings.Contains(name, "grace") {
					p.UnreachableGrace = 30 * time.Minute
				}
				w := watchGuard(t, p)
				begin := time.Now()
				w.answer(class)
				w.mu.Lock()
				w.delay = guard.DefaultProbeTimeout - time.Millisecond // the slowest answer that counts
				w.mu.Unlock()
				// A second is how closely refusedAfter looks.
				within(t, "refused", w.refusedAfter(2*time.Hour), times[name]["the database refuses"], 15*time.Second)
				time.Sleep(10 * time.Hour)
				synctest.Wait()
				within(t, "wiped", w.wiped.Sub(begin), times[name]["memory is wiped"], 15*time.Second)
				erased, ok := times[name]["with `erase`: data destroyed"]
				switch {
				case ok:
					within(t, "erased", w.erased.Sub(begin), erased, 30*time.Second)
				case !w.erased.IsZero():
					t.Error("the data were destroyed")
				}
			})
		})
	}
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := watchGuard(t, guard.Policy{})
		w.answer(crypt.ClassDenied)
		time.Sleep(time.Hour)
		if err := w.g.Check(); !errors.Is(err, guard.ErrKeyUnavailable) {
			t.Fatalf("not suspended: %v", err)
		}
		w.answer(crypt.ClassNone)
		from := time.Now()
		for time.Since(from) < time.Minute && w.g.Check() != nil {
			time.Sleep(100 * time.Millisecond)
		}
		within(t, "back", time.Since(from), times["denied"]["it serves again, once the key does"], 15*time.Second)
	})
}

// within checks that what was measured is not above what the page says, nor so
// far below that the page says something else.
func within(t *testing.T, what string, got, page, slack time.Duration) {
	t.Helper()
	if page == 0 {
		t.Fatalf("%s: the page has no time for it", what)
	}
	if got > page || got < page-slack {
		t.Errorf("%s after %v, the page says at most %v", what, got, page)
	}
}
