package report

import (
	"fmt"

	"github.com/byokdb/byokdb/bench/peers/work"
)

const ours = "byokdb"

// A goal is a row of what the engine is to reach.
type goal struct {
	what  string
	text  string // the goal in words
	judge func(r *Results) (measured string, v Verdict)
}

// faster is reached when the peer takes at least times as long.
func faster(name, peer string, times float64) func(r *Results) (string, Verdict) {
	return func(r *Results) (string, Verdict) {
		a, b, ratio, ok := r.against(peer, ours, name)
		if !ok {
			return "–", Unknown
		}
		return ratioText(ratio, "as fast", unitOf(name), b, peer, a), ratio.AtLeast(times)
	}
}

// smaller is reached when ours is at most 0.7 of bbolt's.
func smaller(name string) func(r *Results) (string, Verdict) {
	const peer, times = "bbolt", 0.7
	return func(r *Results) (string, Verdict) {
		a, b := r.sample(ours, name), r.sample(peer, name)
		ratio, ok := Compare(a, b)
		if !ok {
			return "–", Unknown
		}
		return ratioText(ratio, "of it", unitOf(name), a, peer, b), ratio.AtMost(times)
	}
}

// atMostBeside is reached when ours is at most times of what was measured beside it
// in the same turns.
func atMostBeside(name, beside string, times float64) func(r *Results) (string, Verdict) {
	return func(r *Results) (string, Verdict) {
		a, b := r.pairs(ours, name, ours, beside)
		ratio, ok := ComparePairs(a, b)
		if !ok {
			return "–", Unknown
		}
		return ratioText(ratio, "of it", unitOf(name), a, beside, b), ratio.AtMost(times)
	}
}

// ratioText refuses to print a ratio that the spread does not allow.
func ratioText(r Ratio, what string, u unit, mine Sample, other string, theirs Sample) string {
	if !r.Decided {
		return fmt.Sprintf("≈ (%s: %s; %s: %s)", ours, u.formatRange(mine), other, u.formatRange(theirs))
	}
	s := fmt.Sprintf("%s× %s", digits(r.Median), what)
	if len(mine) > 1 {
		s += fmt.Sprintf(" (%s – %s)", digits(r.Lo), digits(r.Hi))
	}
	return s + fmt.Sprintf(": %s, %s %s", u.format(mine.Median()), other, u.format(theirs.Median()))
}

// limit is reached when ours, less what is beside it and an allowance, is at
// most so much. beside may be empty.
func limit(name, beside string, allowance, most float64) func(r *Results) (string, Verdict) {
	return func(r *Results) (string, Verdict) {
		a, b := r.sample(ours, name), Sample(nil)
		if beside != "" { // in the same turns
			a, b = r.pairs(ours, name, ours, beside)
		}
		if len(a) == 0 || beside != "" && len(b) == 0 {
			return "–", Unknown
		}
		u := unitOf(name)
		text := u.format(a.Median())
		if len(a) > 1 {
			text += " (" + u.formatRange(a) + ")"
		}
		lo, hi := a.Range()
		if beside != "" {
			d := make(Sample, len(a))
			for i := range a {
				d[i] = a[i] - b[i]
			}
			lo, hi = d.Range()
			text += fmt.Sprintf("; beside it %s (%s)", u.format(b.Median()), u.formatRange(b))
			if len(d) > 1 && (lo > 0 || hi < 0) {
				text += fmt.Sprintf("; difference %s (%s – %s)", signed(u, d.Median()), signed(u, lo), signed(u, hi))
			} else {
				text += "; difference ≈"
			}
		}
		many := len(a) > 1
		return text, judge(many && hi-allowance <= most, many && lo-allowance > most)
	}
}

func signed(u unit, v float64) string {
	if v < 0 {
		return "−" + u.format(-v)
	}
	return u.format(v)
}

// tables is what memtables may take: three of the default size.
const memtables = 3 * 64 << 20

var goals = []goal{
	{"random point read, in cache, in one transaction", "at least bbolt", faster(work.Get, "bbolt", 1)},
	{"", "3× Badger-AES", faster(work.Get, "Badger-AES", 3)},
	{"the same, a transaction each", "at least bbolt", faster(work.GetTx, "bbolt", 1)},
	{"", "3× Badger-AES", faster(work.GetTx, "Badger-AES", 3)},
	{"full scan, per row", "at least bbolt", faster(work.Scan, "bbolt", 1)},
	{"random-order load, durable batches of 1000", "at least Pebble, plain", faster(work.Load, "Pebble", 1)},
	{"random updates, steady state", "at least Pebble, plain", faster(work.Update, "Pebble", 1)},
	{"", "5× bbolt", faster(work.Update, "bbolt", 5)},
	{"one durable commit, one writer", "at most 1.25 of an fdatasync of the same bytes, preallocated file", atMostBeside(work.Commit, work.SyncPlain, 1.25)},
	{"", "(the same over bytes written before)", atMostBeside(work.Commit, work.SyncWritten, 1.25)},
	{"16 durable writers", "at least Pebble, plain", faster(work.CommitsOf16, "Pebble", 1)},
	{"point read, cold", "one page read + 10 µs", limit(work.Cold, work.ColdPread, 0, 10e3)},
	{"file size, random values", "at most 0.7 of bbolt", smaller(work.SizeRandom)},
	{"", "(after full compaction)", smaller(work.SizeLess)},
	{"file size, JSON records", "at most 0.7 of bbolt", smaller(work.SizeJSON)},
	{"", "(after full compaction)", smaller(work.LessJSON)},
	{"SQL point lookup, prepared", "faster than mattn in memory", faster(work.SQLGet, "SQLite-memory", 1)},
	{"", "2× mattn on a file", faster(work.SQLGet, "SQLite", 2)},
	{"", "5× SQLite adiantum", faster(work.SQLGet, "SQLite-adiantum", 5)},
	{"", "5× SQLCipher", faster(work.SQLGet, "SQLCipher", 5)},
	{"SQL point lookup, ad-hoc text", "3× mattn on a file", faster(work.SQLText, "SQLite", 3)},
	{"SQL scan with aggregate", "at least mattn on a file", faster(work.SQLScan, "SQLite", 1)},
	{"open an existing database", "5 ms (local key)", limit(work.Open, "", 0, 5e6)},
	{"memory while reading and writing", "64 MiB cache + 192 MiB memtables + 16 MiB", limit(work.MemoryPeak, "", 64<<20+memtables, 16<<20)},
	{"memory of an idle open database", "1 MiB", limit(work.MemoryIdle, "", 0, 1<<20)},
	{"", "(each further one in the process)", limit(work.MemoryMore, "", 0, 1<<20)},
}
