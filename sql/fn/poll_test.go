package fn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// A pattern that makes naive matchers take exponential time.
func TestHostilePatterns(t *testing.T) {
	s := strings.Repeat("a", 20000)
	if matches(t, "like", strings.Repeat("%a", 30)+"%b", s) {
		t.Error("LIKE matches")
	}
	if matches(t, "glob", strings.Repeat("*[a]", 30)+"*b", s) {
		t.Error("GLOB matches")
	}
}

// members is a JSON object of n members whose labels begin with a prefix.
func members(prefix string, n int) value.Value {
	b := []byte("{")
	for i := range n {
		b = fmt.Appendf(b, `"%s%d":%d,`, prefix, i, i)
	}
	return tx(string(b[:len(b)-1]) + "}")
}

// paths returns what json_extract, or another function with so many values for
// each path, is called with: a large array, and places in it.
func paths(n, nValues int) []value.Value {
	out := args(tx("[" + strings.Repeat("1,", 50_000) + "1]"))
	for i := range n {
		out = append(out, tx(fmt.Sprintf("$[%d]", 40_000+i)))
		for range nValues {
			out = append(out, in(2))
		}
	}
	return out
}

// TestLongCallsEnd ends calls that take long from outside.
func TestLongCallsEnd(t *testing.T) {
	enough := errors.New("enough")
	for _, tt := range []struct {
		name string
		args []value.Value
	}{
		{"like", args(tx("%"+strings.Repeat("a", 5000)+"b"), tx(strings.Repeat("a", 1<<20)))},
		{"glob", args(tx("*"+strings.Repeat("a", 5000)+"b"), tx(strings.Repeat("a", 1<<20)))},
		{"glob", args(tx("*["+strings.Repeat("b", 5000)+"]c"), tx(strings.Repeat("a", 1<<20)))},
		{"trim", args(tx(strings.Repeat("a", 1<<20)), tx(strings.Repeat("b", 1000)+"a"))},
		{"ltrim", args(tx(strings.Repeat("a", 1<<20)), tx(strings.Repeat("b", 1000)+"a"))},
		{"json_patch", args(members("a", 5000), members("b", 5000))},
		{"jsonb_patch", args(tx(`{"a":{}}`), tx(`{"a":`+members("b", 5000).Str()+"}"))},
		{"json_extract", paths(50, 0)},
		{"json_remove", paths(50, 0)},
		{"json_set", paths(50, 1)},
	} {
		f, err := fn.LookupScalar(tt.name, len(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		polled := 0
		c := fn.Context{Poll: func() error {
			if polled++; polled == 3 {
				return enough
			}
			return nil
		}}
		if v, err := f.Call(&c, tt.args); !errors.Is(err, enough) || !errors.Is(c.Stopped, enough) || polled != 3 {
			t.Errorf("%s: %.40v, %v, polled %d times", tt.name, v, err, polled)
		}
	}
}
