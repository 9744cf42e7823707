package difftest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/byokdb/byokdb/sql/sqlerr"
)

// errorText is a message with its extended code.
func errorText(err error) string {
	code := 0
	if e, ok := errors.AsType[*sqlerr.Error](err); ok {
		code = e.ExtendedCode
	}
	if e, ok := errors.AsType[sqlite3.Error](err); ok {
		code = int(e.ExtendedCode)
	}
	return fmt.Sprintf("%s (%d)", err.Error(), code)
}

// TestCorpus runs the scripts of sql/exec on SQLite too: each line must fail
// on both or give the same rows.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("../exec/testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b := openBoth(t)
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				stmt, exact := strings.CutPrefix(strings.TrimPrefix(line, "@index "), "!! ")
				stmt, mustFail := strings.CutPrefix(stmt, "! ")
				mustFail = mustFail || exact
				got, gotErr := b.ours(stmt)
				want, wantErr := b.theirs(stmt)
				if (gotErr != nil) != mustFail || (wantErr != nil) != mustFail {
					t.Errorf("%s\nbyokdb error: %v\nSQLite error: %v", line, gotErr, wantErr)
					continue
				}
				if wantErr != nil {
					g, w := errorText(gotErr), errorText(wantErr)
					switch {
					case exact && g != w:
						t.Errorf("%s\nbyokdb: %s\nSQLite: %s", line, g, w)
					case g != w:
						t.Logf("%s\nbyokdb: %s\nSQLite: %s", line, g, w)
					}
					continue
				}
				if !strings.Contains(stmt, "ORDER BY") {
					slices.Sort(got)
					slices.Sort(want)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s\nbyokdb: %q\nSQLite: %q", line, got, want)
				}
			}
		})
	}
}
