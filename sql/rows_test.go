package sql_test

import (
	"slices"
	"testing"
)

// TestColumnNamesAreTheCallers changes what Columns returned, before and after
// rows are read: no later answer shows it, of the same result or of another.
func TestColumnNamesAreTheCallers(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (id integer primary key, a, b, c)`)
	mustExec(t, db, `insert into t values (1, 2, 3, 4)`)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{`select a from t where id = ?`, []string{"a"}},
		{`select id, a, b from t where id = ?`, []string{"id", "a", "b"}},
		{`select id, a, b, c from t where id = ?`, []string{"id", "a", "b", "c"}},
	} {
		st, err := db.PrepareContext(t.Context(), c.query)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			rows, err := st.QueryContext(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			var handed [][]string
			look := func() {
				got, err := rows.Columns()
				if err != nil || !slices.Equal(got, c.want) {
					t.Fatalf("%s: columns %q, want %q, %v", c.query, got, c.want, err)
				}
				for i := range got {
					got[i] = "mine"
				}
				handed = append(handed, got)
			}
			look()
			for rows.Next() {
				look()
			}
			for _, names := range handed {
				if names[0] != "mine" {
					t.Errorf("%s: a slice that was handed out has changed: %q", c.query, names)
				}
			}
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
