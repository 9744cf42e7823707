package difftest

import (
	"os"
	"strings"
	"testing"
)

func TestScratch(t *testing.T) {
	text, err := os.ReadFile("/tmp/t.sql")
	if err != nil {
		t.Skip()
	}
	b := openBoth(t)
	b.exact = true
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ";")
		if line == "" {
			continue
		}
		kind, what := b.difference(line, true)
		if kind != same || os.Getenv("ALL") != "" {
			got, e1 := b.ours(line)
			want, e2 := b.theirs(line)
			t.Logf("%s\n%s\n%v %v\n%v %v", line, what, got, e1, want, e2)
		}
	}
}
