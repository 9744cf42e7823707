package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// spillSizes force every operator that can to use temporary files: after every
// row, and after a few.
var spillSizes = []int64{1, 700}

// TestCorpusSpilled runs the corpus with all sorts, groups and joins in
// temporary files: it gives the same rows in the same order.
func TestCorpusSpilled(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		for _, size := range spillSizes {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(file), size), func(t *testing.T) {
				s := openSession(t)
				s.Configure(Settings{SpillAfter: size})
				got := runCorpusIn(t, s, file, false)
				want, err := os.ReadFile(strings.TrimSuffix(file, ".sql") + ".want")
				if err != nil {
					t.Fatal(err)
				}
				diffLines(t, got, string(want))
				noSpills(t, s)
			})
		}
	}
}

// spillFiles returns the temporary files of a session's database.
func spillFiles(tb testing.TB, s *Session) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(s.d.db.Status().Dir, "tmp", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

// noSpills fails if a statement that has ended left a file or memory behind.
func noSpills(tb testing.TB, s *Session) {
	tb.Helper()
	if names := spillFiles(tb, s); len(names) > 0 {
		tb.Errorf("files are left: %v", names)
	}
	if n := s.d.held.Load(); n != 0 {
		tb.Errorf("%d bytes of memory are not given back", n)
	}
}
