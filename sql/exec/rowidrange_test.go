package exec

import (
	"fmt"
	"testing"
)

// TestRowIDRanges compares ranges of row ids with the same conditions on what is
// no key.
func TestRowIDRanges(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, k INTEGER);
		INSERT INTO t(id, n) VALUES (-9223372036854775808, 1), (-9223372036854775807, 2), (-3, 3), (-1, 4), (0, 5), (1, 6), (2, 7), (3, 8),
			(9007199254740993, 9), (9223372036854775806, 10), (9223372036854775807, 11);
		UPDATE t SET k = id`)
	values := []string{
		"-9223372036854775808", "-9223372036854775807", "-3", "-2", "-1", "0", "1", "2", "3", "4", "9223372036854775806", "9223372036854775807",
		"1.5", "-1.5", "2.0", "9007199254740992.0", "9223372036854775807.0", "-9223372036854775808.0", "1e300", "-1e300", "NULL", "'2'", "'2.5'", "'x'", "x'01'",
	}
	var conds []string
	for _, v := range values {
		for _, op := range []string{"<", "<=", ">", ">=", "="} {
			conds = append(conds, fmt.Sprintf("%%[1]s %s %s", op, v))
		}
		for _, w := range []string{"0", "2", "9223372036854775807", "2.5", "'x'"} {
			conds = append(conds, fmt.Sprintf("%%[1]s BETWEEN %s AND %s", v, w), fmt.Sprintf("%%[1]s > %s AND %%[1]s < %s AND n <> 6", v, w))
		}
	}
	for _, cond := range conds {
		key, plain := fmt.Sprintf(cond, "id"), fmt.Sprintf(cond, "k")
		for _, what := range []string{"id", "count(*), sum(n)", "n"} {
			got, want := mustScript(t, s, fmt.Sprintf("SELECT %s FROM t WHERE %s", what, key)), mustScript(t, s, fmt.Sprintf("SELECT %s FROM t WHERE %s", what, plain))
			if got != want {
				t.Errorf("SELECT %s WHERE %s:\n%swant\n%s", what, key, got, want)
			}
		}
	}
	mustScript(t, s, "DELETE FROM t WHERE id > 1 AND id < 9223372036854775806; UPDATE t SET n = 0 WHERE id BETWEEN -3 AND 0")
	if got := mustScript(t, s, "SELECT group_concat(n) FROM (SELECT n FROM t ORDER BY id)"); got != "1,2,0,0,0,6,10,11\n" {
		t.Error(got)
	}
}
