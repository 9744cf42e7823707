package exec

import (
	"context"
	"errors"
	"testing"

	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// TestLongCallIsCancelled cancels statements whose only row takes seconds to minutes.
func TestLongCallIsCancelled(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(long, pattern, set_, p, q);
		WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)
		INSERT INTO t SELECT replace(hex(zeroblob(2000000)), '0', 'a'), replace(hex(zeroblob(20000)), '0', 'a') || 'b', hex(zeroblob(50000)) || 'a',
			json_group_object('a' || n, 1), json_group_object('b' || n, 1) FROM c`)
	for _, q := range []string{
		"SELECT long LIKE '%' || pattern FROM t",
		"SELECT 1 FROM t WHERE long GLOB '*' || pattern",
		"SELECT trim(long, set_) FROM t",
		"UPDATE t SET long = rtrim(long, set_)",
		"SELECT json_patch(p, q) FROM t",
	} {
		st, _, err := s.Prepare(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.Query(&endingContext{t.Context(), 40}, st, nil)
		if err == nil {
			_, err = restOf(rows, make([]value.Value, len(rows.Columns())))
			if closing := rows.Close(); closing != nil {
				t.Fatal(closing)
			}
		}
		var coded *sqlerr.Error
		if !errors.Is(err, context.Canceled) || !errors.As(err, &coded) || coded.Code != sqlerr.Interrupt {
			t.Errorf("%s: %v", q, err)
		}
	}
}
