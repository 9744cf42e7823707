package report

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
)

func TestSample(t *testing.T) {
	for _, c := range []struct {
		s              Sample
		median, lo, hi float64
	}{
		{Sample{3}, 3, 3, 3}, {Sample{4, 2}, 3, 2, 4}, {Sample{9, 1, 2}, 2, 1, 9}, {Sample{4, 1, 2, 3}, 2.5, 1, 4},
	} {
		if lo, hi := c.s.Range(); c.s.Median() != c.median || lo != c.lo || hi != c.hi {
			t.Errorf("%v: %v, %v, %v", c.s, c.s.Median(), lo, hi)
		}
	}
	if !math.IsNaN(Sample(nil).Median()) {
		t.Error("the median of nothing is a number")
	}
}

// TestCompare refuses a ratio when either spread is larger than the difference.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name    string
		a, b    Sample
		decided bool
		atLeast Verdict // 2
		atMost  Verdict // 2
	}{
		{"far apart", Sample{100, 110, 105}, Sample{10, 11, 10}, true, Met, NotMet},
		{"equal", Sample{10, 10, 10}, Sample{10, 10, 10}, false, NotMet, Met},
		{"overlapping", Sample{10, 14, 12}, Sample{9, 13, 11}, false, NotMet, Met},
		{"one wild round of theirs", Sample{100, 30, 300}, Sample{10, 11, 12}, false, Met, NotMet},
		{"one wild round of ours", Sample{30, 31, 32}, Sample{10, 11, 40}, false, Undecided, Undecided},
		{"the spread is the difference", Sample{20, 20, 20}, Sample{10, 10, 20}, false, Undecided, Met},
		{"just apart", Sample{20, 20, 20}, Sample{10, 10, 19}, true, Undecided, Met},
		{"one round", Sample{200}, Sample{10}, false, Undecided, Undecided},
		{"slower", Sample{10, 10, 11}, Sample{100, 101, 99}, true, NotMet, Met},
	} {
		r, ok := Compare(c.a, c.b)
		if !ok || r.Decided != c.decided || r.AtLeast(2) != c.atLeast || r.AtMost(2) != c.atMost {
			t.Errorf("%s: %+v, at least 2: %s, at most 2: %s", c.name, r, r.AtLeast(2), r.AtMost(2))
		}
		if r.Lo > r.Median || r.Median > r.Hi {
			t.Errorf("%s: %v is not within %v and %v", c.name, r.Median, r.Lo, r.Hi)
		}
		text := ratioText(r, "as fast", nanoseconds, c.b, "peer", c.a)
		if strings.Contains(text, "×") != c.decided || strings.Contains(text, "≈") == c.decided {
			t.Errorf("%s: %q", c.name, text)
		}
	}
	for _, c := range [][2]Sample{{nil, {1}}, {{1}, nil}, {{1}, {0}}} {
		if _, ok := Compare(c[0], c[1]); ok {
			t.Errorf("%v was compared with %v", c[0], c[1])
		}
	}
}

// figures has three rounds of every work of two engines; the peer takes twice
// as long.
func figures() []work.Figure {
	var all []work.Figure
	for round := 1; round <= 3; round++ {
		for i, engine := range []string{ours, "bbolt"} {
			for _, name := range append(work.StoreWorks(), work.SQLWorks()...) {
				v := float64(1000*(i+1)) + float64(round)
				all = append(all, work.Figure{Engine: engine, Work: name, Round: round, Rows: 10, Value: v, P50: v, P99: 2 * v, P999: 3 * v})
			}
		}
	}
	return all
}

func results() *Results {
	return &Results{
		Date: time.Unix(0, 0), Command: "go run .", Machine: "a machine", Rows: 10, Rounds: 3, Figures: figures(),
		Versions: map[string]string{"example.com/peer": "v1"}, Missing: map[string]string{"SQLCipher, kv": "no\ncompiler"},
	}
}

func TestMarkdown(t *testing.T) {
	text := results().Markdown(nil)
	for _, want := range []string{
		"| random point read, in cache, in one transaction | at least bbolt | 2.00× as fast (2.00 – 2.00): 1.00 µs, bbolt 2.00 µs | met |",
		"| full scan, per row | at least bbolt | 2.00× as fast",
		"| file size, random values | at most 0.7 of bbolt | 0.50× of it",
		"|  | 3× Badger-AES | – | not measured |",
		"Not measured: SQLCipher, kv: no compiler",
		"example.com/peer v1",
		"1.00 µs / 2.00 µs / 3.01 µs",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "NaN") {
		t.Error("NaN is printed")
	}
	for _, g := range goals { // each reads works that turns have
		if g.text == "" {
			t.Errorf("%q has no goal", g.what)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestWrite writes into a page with prose around, and renders again what was
// written: nothing changes.
func TestWrite(t *testing.T) {
	docs := t.TempDir()
	page := filepath.Join(docs, pageName)
	if err := os.WriteFile(page, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := results()
	if err := r.Write(docs); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(first); !strings.HasPrefix(s, "before\n") || !strings.HasSuffix(s, "\nafter\n") || strings.Contains(s, "\nold\n") {
		t.Fatalf("the page is\n%s", s)
	}
	again, err := Load(docs)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Write(docs); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(page)
	if err != nil || string(first) != string(second) {
		t.Fatalf("rendered again it is another page: %v", err)
	}
	charts, err := filepath.Glob(filepath.Join(docs, chartsDir, "*.svg"))
	if err != nil || len(charts) < 20 {
		t.Fatalf("%d charts, %v", len(charts), err)
	}
	for _, c := range charts {
		if !strings.Contains(string(first), "("+chartsDir+"/"+filepath.Base(c)+")") {
			t.Errorf("%s is not on the page", c)
		}
		if b, err := os.ReadFile(c); err != nil || !strings.Contains(string(b), "<svg") {
			t.Errorf("%s: %v", c, err)
		}
	}
	if err := os.WriteFile(page, []byte("no markers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(docs); err == nil {
		t.Error("a page without markers was overwritten")
	}
}

// TestCipher takes up what bench/run-cipher has left.
func TestCipher(t *testing.T) {
	docs := t.TempDir()
	if err := os.Mkdir(filepath.Join(docs, chartsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	const figures = `{"rounds": 9, "command": "go run", "costs": [{"name": "Get", "median": 0.5, "q1": -1, "q3": 2}, {"name": "Load", "median": 8, "q1": 7, "q3": 9}, {"name": "Scan", "median": 4, "q1": 3, "q3": 6}]}`
	if err := os.WriteFile(filepath.Join(docs, chartsDir, cipherName), []byte(figures), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := results().Write(docs); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, pageName))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| Get | ≈ | -1.0 % – +2.0 % | met |", "| Load | +8.0 % | +7.0 % – +9.0 % | not met |", "| Scan | +4.0 % | +3.0 % – +6.0 % | undecided |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestGrowth keeps the other figures, and draws curves that may end early.
func TestGrowth(t *testing.T) {
	r := results()
	n := len(r.Figures)
	r.ReplaceGrowth([]work.Figure{{Engine: ours, Work: work.GrowthGet, Round: 1, Rows: 1, Value: 5}})
	var grown []work.Figure
	for _, c := range growthWorks {
		for _, rows := range []int{1000, 10_000, 100_000} {
			grown = append(grown, work.Figure{Engine: ours, Work: c.name, Round: 1, Rows: rows, Value: float64(rows)})
			if rows < 100_000 {
				grown = append(grown, work.Figure{Engine: "bbolt", Work: c.name, Round: 1, Rows: rows, Value: float64(rows)})
			}
		}
	}
	r.ReplaceGrowth(grown)
	if len(r.Figures) != n+len(grown) {
		t.Fatalf("%d figures, not %d", len(r.Figures), n+len(grown))
	}
	next := results()
	if next.KeepGrowth(r); len(next.Figures) != n+len(grown) {
		t.Errorf("a run keeps %d figures of growth, not %d", len(next.Figures)-n, len(grown))
	}
	charts, err := r.charts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if last := charts[len(charts)-1]; last.File != work.GrowthHeap+".svg" {
		t.Errorf("the last chart is %v", last)
	}
	if text := r.Markdown(charts); !strings.Contains(text, "| 100000 |") || strings.Contains(text, "NaN") {
		t.Error("the table of growth is not whole")
	}
}

// TestComparePairs: where both took twice as long in one round, the pairs agree.
func TestComparePairs(t *testing.T) {
	r := &Results{}
	for round, slow := range []float64{1, 2, 1.5} {
		for name, v := range map[string]float64{work.Commit: 110, work.SyncPlain: 100} {
			r.Figures = append(r.Figures, work.Figure{Engine: ours, Work: name, Round: round + 1, Value: v * slow})
		}
	}
	r.Figures = append(r.Figures, work.Figure{Engine: ours, Work: work.Commit, Round: 4, Value: 900}) // without a partner
	a, b := r.pairs(ours, work.Commit, ours, work.SyncPlain)
	ratio, ok := ComparePairs(a, b)
	if !ok || len(a) != 3 || !ratio.Decided || math.Abs(ratio.Lo-1.1) > 1e-9 || math.Abs(ratio.Hi-1.1) > 1e-9 || ratio.AtMost(1.25) != Met {
		t.Errorf("%v beside %v: %+v, %v", a, b, ratio, ok)
	}
	if r, ok := ComparePairs(Sample{1, 3}, Sample{2, 2}); !ok || r.Decided || r.AtMost(1) != Undecided {
		t.Errorf("pairs that disagree: %+v, %v", r, ok)
	}
	for _, c := range [][2]Sample{{nil, nil}, {{1}, {1, 2}}, {{1, 1}, {0, 1}}} {
		if _, ok := ComparePairs(c[0], c[1]); ok {
			t.Errorf("%v was compared with %v", c[0], c[1])
		}
	}
}
