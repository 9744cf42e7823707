// Package report makes tables, verdicts and charts of figures. It measures
// nothing: a file of results can be rendered again.
package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
)

// Results are what a run leaves.
type Results struct {
	Date     time.Time         `json:"date"`
	Command  string            `json:"command"`
	Machine  string            `json:"machine"`
	Disk     string            `json:"disk"`
	Go       string            `json:"go"`
	Versions map[string]string `json:"versions"` // of modules
	Rows     int               `json:"rows"`
	Rounds   int               `json:"rounds"`
	CacheMiB int64             `json:"cache_mib"`
	Seconds  float64           `json:"seconds"` // for work without an end of its own
	Figures  []work.Figure     `json:"figures"`
	Cipher   *Cipher           `json:"-"`                 // what encryption costs, if that was measured
	Sliced   bool              `json:"sliced,omitempty"`  // the engines' turns of a round were taken slice by slice, as work.Sliced says
	Missing  map[string]string `json:"missing,omitempty"` // "engine, part" that could not be built or did not finish, and why
}

// A Sample is one figure of an engine in each round.
type Sample []float64

// sample returns the values of a work of an engine, one for each round.
func (r *Results) sample(engine, name string) Sample {
	return r.pick(engine, name, 0, func(f *work.Figure) float64 { return f.Value })
}

// pick returns a part of the figures of some number of rows; 0 means any.
func (r *Results) pick(engine, name string, rows int, part func(f *work.Figure) float64) Sample {
	var s Sample
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Engine == engine && f.Work == name && (rows == 0 || f.Rows == rows) {
			s = append(s, part(f))
		}
	}
	return s
}

// Median is NaN for no values.
func (s Sample) Median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	t := slices.Clone(s)
	slices.Sort(t)
	if n := len(t); n%2 == 0 {
		return (t[n/2-1] + t[n/2]) / 2
	}
	return t[len(t)/2]
}

// Range returns the least and the greatest value.
func (s Sample) Range() (lo, hi float64) {
	if len(s) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(s), slices.Max(s)
}

func (s Sample) spread() float64 {
	lo, hi := s.Range()
	return hi - lo
}

// A Ratio is how many times a is of b.
type Ratio struct {
	Median  float64 // of a by the median of b
	Lo, Hi  float64 // the least that a can be of b, and the most
	Decided bool    // the medians differ by more than either sample does
	Single  bool    // of one round: how much it would differ in another is not known
}

// Compare divides. A ratio that is not decided must not be printed.
func Compare(a, b Sample) (r Ratio, ok bool) {
	if len(a) == 0 || len(b) == 0 {
		return Ratio{}, false
	}
	aLo, aHi := a.Range()
	bLo, bHi := b.Range()
	if bLo <= 0 {
		return Ratio{}, false
	}
	return Ratio{
		Median: a.Median() / b.Median(), Lo: aLo / bHi, Hi: aHi / bLo,
		Decided: min(len(a), len(b)) > 1 && math.Abs(a.Median()-b.Median()) > max(a.spread(), b.spread()),
		Single:  min(len(a), len(b)) < 2,
	}, true
}

// ComparePairs divides what was measured in the same turns, in slices that took
// turns: a busy machine slowed both, so each pair is compared for itself.
func ComparePairs(a, b Sample) (r Ratio, ok bool) {
	if len(a) == 0 || len(a) != len(b) || slices.Min(b) <= 0 {
		return Ratio{}, false
	}
	ratios := make(Sample, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	lo, hi := ratios.Range()
	return Ratio{Median: ratios.Median(), Lo: lo, Hi: hi, Decided: len(a) > 1 && (lo > 1 || hi < 1), Single: len(a) < 2}, true
}

// pairs returns the values of a work of an engine, and of another or of another
// engine's, in the rounds that have both.
func (r *Results) pairs(engine, name, otherEngine, other string) (a, b Sample) {
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Engine != engine || f.Work != name {
			continue
		}
		at := slices.IndexFunc(r.Figures, func(g work.Figure) bool { return g.Engine == otherEngine && g.Work == other && g.Round == f.Round })
		if at >= 0 {
			a, b = append(a, f.Value), append(b, r.Figures[at].Value)
		}
	}
	return a, b
}

// against compares a work of two engines: round by round if the rounds were so that
// this is fair, else everything with everything.
func (r *Results) against(engine, other, name string) (a, b Sample, ratio Ratio, ok bool) {
	if r.Sliced && work.Sliced(name) {
		a, b = r.pairs(engine, name, other, name)
		ratio, ok = ComparePairs(a, b)
		return a, b, ratio, ok
	}
	a, b = r.sample(engine, name), r.sample(other, name)
	ratio, ok = Compare(a, b)
	return a, b, ratio, ok
}

// A Verdict says whether a goal is reached.
type Verdict string

// The verdicts.
const (
	Met       Verdict = "met"
	NotMet    Verdict = "not met"
	Undecided Verdict = "undecided" // the goal lies within the spread
	Unknown   Verdict = "not measured"
)

// AtLeast judges a ratio whose goal is a lower limit.
func (r Ratio) AtLeast(goal float64) Verdict {
	return judge(!r.Single && r.Lo >= goal, !r.Single && r.Hi < goal)
}

// AtMost judges a ratio whose goal is an upper limit.
func (r Ratio) AtMost(goal float64) Verdict {
	return judge(!r.Single && r.Hi <= goal, !r.Single && r.Lo > goal)
}

func judge(all, none bool) Verdict {
	switch {
	case all:
		return Met
	case none:
		return NotMet
	}
	return Undecided
}

// unit is how the values of a work are written.
type unit uint8

const (
	nanoseconds unit = iota
	bytesPerRow
	sizeBytes
)

func unitOf(name string) unit {
	switch name {
	case work.SizeRandom, work.SizeLess, work.SizeJSON, work.LessJSON, work.GrowthSize:
		return bytesPerRow
	case work.MemoryIdle, work.MemoryMore, work.MemoryPeak, work.GrowthHeap:
		return sizeBytes
	}
	return nanoseconds
}

func (u unit) format(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case u == bytesPerRow:
		return fmt.Sprintf("%.0f B", v)
	case u == sizeBytes:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case v < 999.5:
		return fmt.Sprintf("%s ns", digits(v))
	case v < 999.5e3:
		return fmt.Sprintf("%s µs", digits(v/1e3))
	default:
		return fmt.Sprintf("%s ms", digits(v/1e6))
	}
}

// digits keeps three significant ones.
func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func (u unit) formatRange(s Sample) string {
	lo, hi := s.Range()
	if len(s) < 2 {
		return u.format(lo)
	}
	return u.format(lo) + " – " + u.format(hi)
}

// ReplaceGrowth puts figures of growth in the place of those that are there.
func (r *Results) ReplaceGrowth(figures []work.Figure) {
	r.Figures = append(slices.DeleteFunc(r.Figures, isGrowth), figures...)
}

// KeepGrowth takes over the figures of growth of an earlier run.
func (r *Results) KeepGrowth(before *Results) {
	for _, f := range before.Figures {
		if isGrowth(f) {
			r.Figures = append(r.Figures, f)
		}
	}
}

func isGrowth(f work.Figure) bool {
	return slices.ContainsFunc(growthWorks, func(c column) bool { return c.name == f.Work })
}
