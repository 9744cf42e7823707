package exec

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// integrityFaults is how many faults PRAGMA integrity_check reports unless it is
// told another number.
const integrityFaults = 100

// integrityCheck is one run of PRAGMA integrity_check, or of quick_check, which
// does no more about indexes than to count. Its texts are SQLite's.
type integrityCheck struct {
	quick bool
	left  int // how many faults may still be reported
	found bool
	add   addFn
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
	c.filledRows(p, []string{name}, func(f *frame, add addFn) error {
		return f.withDatabase(n.Name, func(s *schema.Schema) error {
			return checkIntegrity(f, s, table, name == "quick_check", faults, add)
		})
	})
}

// checkIntegrity runs a check of a table, of all for "".
func checkIntegrity(f *frame, s *schema.Schema, table string, quick bool, faults int, add addFn) error {
	ck := &integrityCheck{quick: quick, left: faults, add: add}
	var tables []*schema.Table
	for _, in := range s.Databases() {
		tables = append(tables, in.Tables...)
	}
	if table != "" {
		var err error
		if tables, err = tablesNamed(s, table); err != nil {
			return err
		}
	}
	tables = slices.DeleteFunc(tables, (*schema.Table).IsView)
	if err := ck.tables(f, tables); err != nil && !errors.Is(err, errFaults) {
		return err
	}
	if ck.found {
		return nil
	}
	return add([]value.Value{text("ok")})
}

// tablesNamed returns the one table of a name; sqlite_schema is none, and there.
func tablesNamed(s *schema.Schema, name string) ([]*schema.Table, error) {
	switch fold(name) {
	case "sqlite_master", "sqlite_schema":
		return nil, nil
	}
	t := s.Table(name)
	if t == nil {
		return nil, errorf("no such table: %s%s", s.Qualifier(), name)
	}
	return []*schema.Table{t}, nil
}

// tables counts the entries of all indexes, then checks all rows.
func (ck *integrityCheck) tables(f *frame, tables []*schema.Table) error {
	for _, t := range tables {
		if err := ck.counts(f, t); err != nil {
			return err
		}
	}
	for _, t := range tables {
		err := f.inner(func(c *compiler) (func(*frame) error, error) { return ck.table(c, t) })
		if err != nil {
			return err
		}
	}
	return nil
}

// counts compares how many entries the indexes of a table have with how many
// rows there are. Partial indexes can be counted only with the rows.
func (ck *integrityCheck) counts(f *frame, t *schema.Table) error {
	rows := int64(-1)
	for _, ix := range t.Indexes {
		if ix.Where != nil {
			continue
		}
		var err error
		if rows < 0 {
			if rows, err = countRecords(f, t.Collection()); err != nil {
				return err
			}
		}
		n, err := countRecords(f, ix.Collection())
		if err != nil {
			return err
		}
		if n != rows {
			if err := ck.wrongCount(ix); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ck *integrityCheck) wrongCount(ix *schema.Index) error {
	return ck.fault("wrong # of entries in index " + ix.Name)
}

// fault reports one fault.
func (ck *integrityCheck) fault(what string) error {
	ck.found = true
	if err := ck.add([]value.Value{text(what)}); err != nil {
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
		found, err := ck.readRows(f, tg)
		if err != nil || ck.quick {
			return err
		}
		for i, ti := range tg.indexes {
			if ti.ix.Where == nil {
				continue
			}
			n, err := countRecords(f, ti.ix.Collection())
			if err != nil {
				return err
			}
			if n != found[i] {
				if err := ck.wrongCount(ti.ix); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// readRows checks every row, and returns how many of them it found in each index.
func (ck *integrityCheck) readRows(f *frame, tg *target) (found []int64, err error) {
	rows, err := f.collection(tg.rows)
	if err != nil {
		return nil, err
	}
	found = make([]int64, len(tg.indexes))
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
			ok, err := ck.entry(f, tg, ti, key, n)
			if err != nil {
				return nil, err
			}
			if ok {
				found[i]++
			}
		}
	}
	return found, cur.Err()
}

// row checks the row in the registers by itself.
func (ck *integrityCheck) row(f *frame, tg *target, key []byte) error {
	if tg.t.PrimaryKey != nil && !bytes.Equal(tg.key(f), key) {
		if err := ck.fault("row not in PRIMARY KEY order for " + tg.t.Name); err != nil {
			return err
		}
	}
	for i := range tg.t.Columns {
		col := &tg.t.Columns[i]
		if tg.src.slots[i] == tg.src.rowID {
			continue
		}
		if what := columnFault(tg.t, col, f.regs[tg.src.slots[i]]); what != "" {
			if err := ck.fault(what + " value in " + tg.t.Name + "." + col.Name); err != nil {
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
			return ck.fault("CHECK constraint failed in " + tg.t.Name) // once for the row
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
		whole := v.Kind() == value.Int && col.Affinity == value.AffinityReal // SQLite takes it for the real that it equals
		if !whole && !fitsStrict(&v, col.DeclType) {
			return "non-" + strictName(col.DeclType)
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
// found: it holds something.
func (ck *integrityCheck) entry(f *frame, tg *target, ti *targetIndex, key []byte, n int64) (found bool, err error) {
	entry, prefix, hasNull, err := tg.entry(f, ti, key)
	if err != nil || entry == nil {
		return false, err
	}
	defer clear(entry)
	coll, err := f.collection(ti.coll)
	if err != nil {
		return false, err
	}
	row := "row " + strconv.FormatInt(n, 10)
	val, err := coll.UnsafeGet(entry)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return false, ck.fault(row + " missing from index " + ti.ix.Name)
	case err != nil:
		return false, err
	case !bytes.Equal(val, entryValue(tg.t, key)):
		if err := ck.fault(row + " values differ from index " + ti.ix.Name); err != nil {
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
		return true, ck.fault("non-unique entry in index " + ti.ix.Name)
	}
	return true, after.Err()
}

// countRecords counts the records of a collection.
func countRecords(f *frame, collection string) (n int64, err error) {
	coll, err := f.tx.Collection(collection)
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
