package ingest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/parse"
)

// FuzzStatements cuts any text: the pieces stand in it in order, and an INSERT
// that is taken apart has as many parameters as values.
func FuzzStatements(f *testing.F) {
	f.Add([]byte(dumpText))
	f.Add([]byte("CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END;;; -- end"))
	f.Add([]byte("INSERT INTO [a]]b] VALUES(-1.5e-3,X'00','it''s',NULL);/* ; */INSERT INTO \"x\"(y) VALUES(1);"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newStatementReader(bytes.NewReader(text))
		at := 0
		for {
			stmt, err := s.next()
			if err != nil {
				if err == io.EOF && s.offset != int64(len(text)) { //nolint:errorlint // next returns io.EOF as it is
					t.Fatalf("%d bytes of %d", s.offset, len(text))
				}
				return
			}
			i := bytes.Index(text[at:], stmt)
			if i < 0 || stmt[len(stmt)-1] != ';' || s.line < 1 {
				t.Fatalf("%q is not what stands at %d", stmt, at)
			}
			at += i + len(stmt)
			ins, ok := parseInsert(stmt)
			if !ok {
				continue
			}
			if _, err := parse.One(string(stmt)); err != nil {
				continue // the text with parameters fails as this one does
			}
			text := ins.text(3)
			st, err := parse.One(text)
			if err != nil || len(st.Params) != 3*len(ins.args) || strings.Count(text, "?") < len(st.Params) {
				t.Fatalf("%q became %q with %d values: %v", stmt, text, len(ins.args), err)
			}
		}
	})
}
