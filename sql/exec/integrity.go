package exec

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// integrityFaults is how many faults PRAGMA integrity_check reports unless it is
// told another number.
const integrityFaults = 100

// integrityCheck is one run of PRAGMA integrity_check, or of quick_check, which
// does not look at indexes. Its texts are SQLite's.
type integrityCheck struct {
	quick bool
	left  int // how many faults may still be reported
	rows  [][]value.Value
}

// errFaults ends a check that has found as many faults as it may report.
var errFaults = errors.New("enough faults")

// integrityPragma compiles PRAGMA integrity_check and quick_check, of all tables
// or one; a number that is not quoted says how many faults to report.
func (c *compiler) integrityPragma(p *plan, name string, n *ast.PragmaStmt) {
	table, faults := unquote(n.Value), integrityFaults
	if i, err := strconv.ParseInt(n.Value, 0, 32); err == nil {
		table = ""
		if i > 0 {
			faults = int(i)
		}
	}
	c.dynamicRows(p, []string{name}, func(f *frame) (rows [][]value.Value, err error) {
		err = f.withSchema(func(s *schema.Schema) error {
			rows, err = checkIntegrity(f, s, table, name == "quick_check", faults)
			return err
		})
		return rows, err
	})
}

// checkIntegrity runs a check of a table, of all for "".
func checkIntegrity(f *frame, s *schema.Schema, table string, quick bool, faults int) ([][]value.Value, error) {
	ck := &integrityCheck{quick: quick, left: faults}
	tables := s.Tables
	if table != "" {
		var err error
		if tables, err = tablesNamed(s, table); err != nil {
			return nil, err
		}
	}
	for _, t := range tables {
		if t.IsView() {
			continue
		}
		err := f.inner(func(c *compiler) (func(*frame) error, error) { return ck.table(c, t) })
		if errors.Is(err, errFaults) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(ck.rows) == 0 {
		ck.rows = [][]value.Value{{text("ok")}}
	}
	return ck.rows, nil
}

// tablesNamed returns the one table of a name; sqlite_schema is none, and there.
func tablesNamed(s *schema.Schema, name string) ([]*schema.Table, error) {
	switch fold(name) {
	case "sqlite_master", "sqlite_schema":
		return nil, nil
	}
	t := s.Table(name)
	if t == nil {
		return nil, errorf("no such table: %s", name)
	}
	return []*schema.Table{t}, nil
}

// fault reports one fault.
func (ck *integrityCheck) fault(f *frame, what string) error {
	row := []value.Value{text(what)}
	ck.rows = append(ck.rows, row)
	if err := f.top().hold(rowSize(row)); err != nil {
		return err
	}
	if ck.left--; ck.left == 0 {
		return errFaults
	}
	return nil
}

// table compiles the check of a table.
func (ck *integrityCheck) table(c *compiler, t *schema.Table) (func(*frame) error, error) {
	tg, err := c.target(&scope{}, &ast.QualifiedName{Name: &ast.Ident{Name: t.Name}}, nil)
	if err != nil {
		return nil, err
	}
	return func(f *frame) error {
		counts, err := ck.readRows(f, tg)
		if err != nil || ck.quick {
			return err
		}
		for i, ti := range tg.indexes {
			n, err := countEntries(f, ti)
			if err != nil {
				return err
			}
			if n == counts[i] {
				continue
			}
			if err := ck.fault(f, "wrong # of entries in index "+ti.ix.Name); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// readRows checks every row, and returns how many entries each index should have.
func (ck *integrityCheck) readRows(f *frame, tg *target) (counts []int64, err error) {
	rows, err := f.collection(tg.rows)
	if err != nil {
		return nil, err
	}
	counts = make([]int64, len(tg.indexes))
	cur := rows.Cursor(nil, nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	var key []byte
	defer func() { clear(key[:cap(key)]) }()
	for n := int64(1); cur.Next(); n++ {
		if err := f.tick(); err != nil {
			return nil, err
		}
		key = append(key[:0], cur.UnsafeKey()...)
		if err := tg.layout.load(f, key, cur.UnsafeValue()); err != nil {
			return nil, err
		}
		if err := ck.row(f, tg, key); err != nil {
			return nil, err
		}
		if ck.quick {
			continue
		}
		for i, ti := range tg.indexes {
			held, err := ck.entry(f, tg, ti, key, n)
			if err != nil {
				return nil, err
			}
			if held {
				counts[i]++
			}
		}
	}
	return counts, cur.Err()
}

// row checks the row in the registers by itself.
func (ck *integrityCheck) row(f *frame, tg *target, key []byte) error {
	if tg.t.PrimaryKey != nil && !bytes.Equal(tg.key(f), key) {
		if err := ck.fault(f, "row not in PRIMARY KEY order for "+tg.t.Name); err != nil {
			return err
		}
	}
	for i := range tg.t.Columns {
		col := &tg.t.Columns[i]
		if tg.src.slots[i] == tg.src.rowID {
			continue
		}
		if what := columnFault(tg.t, col, f.regs[tg.src.slots[i]]); what != "" {
			if err := ck.fault(f, what+" value in "+tg.t.Name+"."+col.Name); err != nil {
				return err
			}
		}
	}
	for _, check := range tg.checks {
		v, err := check.x.eval(f)
		if err != nil {
			return err
		}
		if t, known := truth(v); known && !t {
			return ck.fault(f, "CHECK constraint failed in "+tg.t.Name) // once for the row
		}
	}
	return nil
}

// columnFault says what kind of value a column should not hold; "": it may.
func columnFault(t *schema.Table, col *schema.Column, v value.Value) string {
	switch {
	case v.IsNull():
		if col.NotNull {
			return "NULL"
		}
	case t.Strict:
		if !fitsStrict(&v, col.DeclType) {
			return "non-" + strings.ToUpper(col.DeclType)
		}
	case col.Affinity == value.AffinityBlob:
	case col.Affinity == value.AffinityText:
		if v.Kind() == value.Int || v.Kind() == value.Float {
			return "NUMERIC"
		}
	case v.Kind() == value.Text && applyAffinity(v, value.AffinityNumeric).Kind() != value.Text:
		return "TEXT"
	}
	return ""
}

// entry looks for what an index should hold of row n, which is in the registers.
// held: it should hold something.
func (ck *integrityCheck) entry(f *frame, tg *target, ti *targetIndex, key []byte, n int64) (held bool, err error) {
	entry, prefix, hasNull, err := tg.entry(f, ti, key)
	if err != nil || entry == nil {
		return false, err
	}
	defer clear(entry)
	coll, err := f.collection(ti.coll)
	if err != nil {
		return true, err
	}
	row := "row " + strconv.FormatInt(n, 10)
	val, err := coll.UnsafeGet(entry)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return true, ck.fault(f, row+" missing from index "+ti.ix.Name)
	case err != nil:
		return true, err
	case !bytes.Equal(val, entryValue(tg.t, key)):
		if err := ck.fault(f, row+" values differ from index "+ti.ix.Name); err != nil {
			return true, err
		}
	}
	if !ti.ix.Unique || hasNull {
		return true, nil
	}
	from := append(bytes.Clone(entry), 0)
	defer clear(from)
	after := coll.Cursor(from, prefixEnd(entry[:prefix]))
	defer after.Close() //nolint:errcheck // releases memory alone
	if after.Next() {
		return true, ck.fault(f, "non-unique entry in index "+ti.ix.Name)
	}
	return true, after.Err()
}

// countEntries counts the entries of an index.
func countEntries(f *frame, ti *targetIndex) (n int64, err error) {
	coll, err := f.collection(ti.coll)
	if err != nil {
		return 0, err
	}
	cur := coll.Cursor(nil, nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	for cur.Walk(walkMax, false, false, func(_, _ []byte) bool { n++; return true }) {
		if err := f.ticked(walkMax); err != nil {
			return 0, err
		}
	}
	return n, cur.Err()
}
