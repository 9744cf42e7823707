package exec

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the corpus gives as what it should give")

// TestCorpus runs the scripts in testdata/corpus, each with and without the
// indexes in its @index lines, and compares what they give with the .want file
// beside them. A line with ! in front must fail, one with !! with the message
// and the code of SQLite. sql/difftest runs the same scripts on SQLite.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		for _, indexed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/indexes=%v", filepath.Base(file), indexed), func(t *testing.T) {
				got := runCorpus(t, file, indexed)
				wantFile := strings.TrimSuffix(file, ".sql") + ".want"
				if *update && !indexed {
					if err := os.WriteFile(wantFile, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(wantFile)
				if err != nil {
					t.Fatal(err)
				}
				diffLines(t, got, string(want))
			})
		}
	}
}

func runCorpus(t *testing.T, file string, indexed bool) string {
	t.Helper()
	return runCorpusIn(t, openSession(t), file, indexed)
}

func runCorpusIn(t *testing.T, s *Session, file string, indexed bool) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if ddl, ok := strings.CutPrefix(line, "@index "); ok {
			if indexed {
				if _, err := script(s, ddl); err != nil {
					t.Fatalf("%s: %v", ddl, err)
				}
			}
			continue
		}
		stmt, mustFail := strings.CutPrefix(strings.TrimPrefix(line, "!"), "! ")
		if !mustFail {
			stmt, mustFail = strings.CutPrefix(line, "! ")
		}
		out, err := script(s, stmt)
		if (err != nil) != mustFail {
			t.Errorf("%s: error %v", line, err)
		}
		fmt.Fprintf(&b, "%s\n", line)
		if err != nil {
			out = "error: " + err.Error() + "\n"
		}
		b.WriteString(out)
	}
	return b.String()
}

func diffLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, a, b)
		}
	}
}
