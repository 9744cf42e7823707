package difftest

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reduceFor is how long one difference is made smaller.
const reduceFor = 20 * time.Second

// reduction looks for the fewest statements, and the shortest last one, that
// show a difference of the same kind.
type reduction struct {
	b      *both
	sorted bool
	kind   kindOfDifference
	log    []string // in: what came before, out: what of it is needed
	text   string
	what   string
	note   string // what was done
	end    time.Time
	broken map[string]bool // statements that name something that is not there, before anything was left out
}

func (r *reduction) run() {
	r.end = time.Now().Add(reduceFor)
	r.note = "does not show again after"
	if !r.try(r.log, r.text) {
		return
	}
	r.note = "reduced from " + strconv.Itoa(len(r.log)) + " statements and:\n" + r.what + "\n" + r.text + "\n"
	r.fewer()
	for r.shorter() && time.Now().Before(r.end) {
		r.fewer()
	}
}

// fewer leaves statements out, halves first.
func (r *reduction) fewer() {
	for n := (len(r.log) + 1) / 2; n > 0; n /= 2 {
		for i := 0; i+n <= len(r.log); {
			if !r.try(slices.Delete(slices.Clone(r.log), i, i+n), r.text) {
				i += n
			}
		}
	}
}

// shorter puts simpler things in the place of what is in parentheses, in the
// last statement, and reports whether any did.
func (r *reduction) shorter() (any bool) {
	for i := 0; i < len(r.text); i++ {
		end := closing(r.text, i)
		if end < 0 {
			continue
		}
		inner := r.text[i+1 : end]
		for _, simple := range append([]string{"NULL", "1", "'a'"}, operands(inner)...) {
			if len(simple) < end-i && r.try(r.log, r.text[:i]+simple+r.text[end+1:]) {
				any = true
				break
			}
		}
	}
	for _, word := range []string{" AND ", " OR ", " WHERE ", " HAVING ", " ORDER BY ", " LIMIT ", " RETURNING "} {
		if i := strings.LastIndex(r.text, word); i > 0 && r.try(r.log, r.text[:i]) {
			any = true
		}
	}
	return any
}

// closing returns where the parenthesis at i is closed, -1 if there is none.
func closing(text string, i int) int {
	if text[i] != '(' {
		return -1
	}
	for depth, j := 0, i; j < len(text); j++ {
		switch text[j] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return j
			}
		}
	}
	return -1
}

// operands are the parts of an expression that stand in parentheses of their own,
// and what is before and behind its first blank.
func operands(inner string) []string {
	var out []string
	for i := 0; i < len(inner); i++ {
		if end := closing(inner, i); end > 0 {
			out = append(out, inner[i:end+1])
			i = end
		}
	}
	if before, _, ok := strings.Cut(inner, " "); ok {
		out = append(out, before, inner[strings.LastIndexByte(inner, ' ')+1:])
	}
	return out
}

// try keeps a log and a last statement if they show the difference.
func (r *reduction) try(log []string, text string) bool {
	if time.Now().After(r.end) {
		return false
	}
	dir, err := os.MkdirTemp(r.b.t.TempDir(), "")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir) //nolint:errcheck // removed with the test
	b, end, err := openPair(dir, r.b.options)
	if err != nil {
		return false
	}
	defer end()
	b.t, b.exact, b.verbatim = r.b.t, r.b.exact, r.b.verbatim
	if r.b.spilled {
		b.spill()
	}
	first := r.broken == nil
	if first {
		r.broken = map[string]bool{}
	}
	for _, q := range log {
		if q == compaction {
			b.compact()
			continue
		}
		_, _ = b.ours(q)
		_, err := b.theirs(q)
		switch missing := err != nil && strings.Contains(err.Error(), "no such"); {
		case missing && first:
			r.broken[q] = true
		case missing && !r.broken[q]:
			return false // that is another story
		}
	}
	kind, what := b.difference(text, r.sorted)
	if kind != r.kind {
		return false
	}
	r.log, r.text, r.what = log, text, what
	return true
}
