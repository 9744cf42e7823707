package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// SetForeignKeys is PRAGMA foreign_keys; it does nothing inside a transaction.
func (s *Session) SetForeignKeys(on bool) {
	if s.tx == nil {
		s.foreignKeys = on
	}
}

// sessionPragma returns what a pragma reads and sets of a session.
func sessionPragma(name string) (get func(s *Session) bool, set func(s *Session, on bool)) {
	switch name {
	case "foreign_keys":
		return func(s *Session) bool { return s.foreignKeys }, (*Session).SetForeignKeys
	case "defer_foreign_keys":
		return func(s *Session) bool { return s.deferForeignKeys }, func(s *Session, on bool) {
			s.deferForeignKeys = on
			if !on {
				s.violations.immediate = 0
			}
		}
	case "query_only":
		return func(s *Session) bool { return s.queryOnly }, func(s *Session, on bool) { s.queryOnly = on }
	case "recursive_triggers":
		return func(s *Session) bool { return s.recursiveTriggers }, func(s *Session, on bool) { s.recursiveTriggers = on }
	case "legacy_alter_table":
		return func(s *Session) bool { return s.legacyAlter }, func(s *Session, on bool) { s.legacyAlter = on }
	}
	return nil, nil
}

// settings are the names that settingPragma knows beside fixedPragmas.
var settings = []string{
	"user_version", "application_id", "schema_version", "busy_timeout", "foreign_keys", "defer_foreign_keys", "recursive_triggers",
	"query_only", "legacy_alter_table", "page_count", "freelist_count",
}

// settingPragma returns a pragma of one value as a table, which reads it.
func settingPragma(name string) (tablePragma, bool) {
	one := func(col string, get func(f *frame) (value.Value, error)) (tablePragma, bool) {
		return tablePragma{cols: []string{col}, run: func(f *frame, _ *schema.Schema, _ string) ([][]value.Value, error) {
			v, err := get(f)
			return [][]value.Value{{v}}, err
		}}, true
	}
	switch name {
	case "user_version", "application_id":
		return one(name, func(f *frame) (value.Value, error) {
			i, err := f.pragmaNumber(name, false)
			return integer(i), err
		})
	case "schema_version":
		return one(name, func(f *frame) (v value.Value, err error) {
			err = f.withSchema(func(s *schema.Schema) error { v = integer(int64(s.Version >> 32)); return nil })
			return v, err
		})
	case "page_count":
		return one(name, func(f *frame) (value.Value, error) {
			st := f.s.d.db.Status()
			return integer((st.RunBytes + st.LogBytes + st.PinnedBytes + pageSize - 1) / pageSize), nil
		})
	case "freelist_count":
		return one(name, func(f *frame) (value.Value, error) { return integer(f.s.d.db.Status().PinnedBytes / pageSize), nil })
	case "busy_timeout":
		return one("timeout", func(f *frame) (value.Value, error) { return integer(f.s.busy.Milliseconds()), nil })
	}
	if get, _ := sessionPragma(name); get != nil {
		return one(name, func(f *frame) (value.Value, error) { return boolean(get(f.s)), nil })
	}
	if v, ok := fixedPragmas[name]; ok {
		return one(name, func(*frame) (value.Value, error) { return v, nil })
	}
	return tablePragma{}, false
}

// sessionSetting compiles a pragma that is a switch of the session; false:
// there is none of this name.
func (c *compiler) sessionSetting(p *plan, name string, n *ast.PragmaStmt) bool {
	get, set := sessionPragma(name)
	if get == nil {
		return false
	}
	if n.HasValue {
		on := isOn(unquote(n.Value))
		p.run = func(f *frame) error { set(f.s, on); return nil }
		return true
	}
	c.dynamicRows(p, []string{name}, func(f *frame) ([][]value.Value, error) {
		return [][]value.Value{{boolean(get(f.s))}}, nil
	})
	return true
}

// foreignKeyCheck is PRAGMA foreign_key_check: the rows, of one table or of all,
// that have no parent.
func foreignKeyCheck(f *frame, s *schema.Schema, table string, add addFn) error {
	tables := s.Tables
	if table != "" {
		var err error
		if tables, err = tablesNamed(s, table); err != nil {
			return err
		}
	}
	for _, t := range tables {
		if t.IsView() || len(t.ForeignKeys) == 0 {
			continue
		}
		err := f.inner(func(c *compiler) (func(*frame) error, error) { return c.orphans(t, add) })
		if err != nil {
			return err
		}
	}
	return nil
}

// orphans compiles the search for the rows of a table without a parent.
func (c *compiler) orphans(t *schema.Table, add addFn) (func(f *frame) error, error) {
	src, err := c.tableSource(t)
	if err != nil {
		return nil, err
	}
	var checks []*childCheck
	for i := range slices.Backward(t.ForeignKeys) {
		fk := &t.ForeignKeys[i]
		for _, col := range fk.Columns {
			src.use(col)
		}
		if c.schema.Of(t).Table(fk.Parent) == nil {
			checks = append(checks, &childCheck{cols: fk.Columns})
			continue
		}
		ch, err := c.childCheck(t, fk, false)
		if err != nil {
			return nil, err
		}
		checks = append(checks, ch)
	}
	tg := &target{t: t, src: src}
	q := &query{node: c.scanAll(src)}
	return func(f *frame) error {
		return q.each(f, func() error {
			row := tg.save(f)
			for i, ch := range checks {
				orphan, err := ch.orphan(f, row)
				if err != nil {
					return err
				}
				if !orphan {
					continue
				}
				found := []value.Value{text(t.Name), row[len(row)-1], text(t.ForeignKeys[len(checks)-1-i].Parent), integer(int64(i))}
				if err := add(found); err != nil {
					return err
				}
			}
			return nil
		})
	}, nil
}

func (ch *childCheck) orphan(f *frame, row []value.Value) (bool, error) {
	for i, col := range ch.cols {
		if row[col].IsNull() {
			return false, nil
		}
		if ch.lookup != nil {
			f.regs[ch.params[i]] = applyAffinity(row[col], ch.affs[i])
		}
	}
	if ch.lookup == nil {
		return true, nil
	}
	found, err := ch.lookup.first(f)
	return !found, err
}

// deleteBeforeDrop deletes the rows of a table that is about to be dropped, as
// far as foreign keys are concerned. No trigger sees it.
func (f *frame) deleteBeforeDrop(n *ast.DropTableStmt) error {
	return f.inner(func(c *compiler) (func(*frame) error, error) {
		t := c.schema.Find(n.Name)
		if t == nil || t.IsView() {
			return func(*frame) error { return nil }, nil
		}
		if len(c.schema.Of(t).References(t.Name)) == 0 {
			deferred := slices.ContainsFunc(t.ForeignKeys, func(k schema.ForeignKey) bool { return k.Deferred || f.s.deferForeignKeys })
			mends := f.s.violations != violations{} // the rows may be among those that the transaction has to mend
			if !deferred || !mends {
				return func(in *frame) error {
					if deferred {
						in.s.changes = 0 // as if they had been deleted
					}
					return nil
				}, nil
			}
		}
		c.noTriggers = true
		p := &plan{}
		if err := c.delete(p, &ast.DeleteStmt{Table: n.Name}); err != nil {
			return nil, err
		}
		return func(in *frame) error {
			in.s.changes = 0 // SQLite counts these too
			if err := p.run(in); err != nil {
				return err
			}
			if f.top().violations != 0 {
				return errForeignKey()
			}
			in.s.changes = in.changes
			in.s.totalChanges += in.changes
			return nil
		}, nil
	})
}

// checkReferences refuses a new column whose rows would have no parent.
func (f *frame) checkReferences(s *schema.Schema, st parse.Stmt) error {
	n, ok := st.Stmt.(*ast.AlterTableStmt)
	if !ok || n.Action != ast.AlterAddColumn || !f.s.foreignKeys {
		return nil
	}
	references, value := false, false
	for _, k := range n.ColumnDef.Constraints {
		references = references || k.Kind == ast.ColumnReferences
		if k.Kind == ast.ColumnDefault {
			lit, isLit := k.Expr.(*ast.Literal)
			value = !isLit || lit.Kind != ast.LitNull
		}
	}
	t := s.Find(n.Table)
	if !references || !value || t == nil || t.IsView() {
		return nil
	}
	rows, err := f.tx.Collection(t.Collection())
	if err != nil {
		return err
	}
	cur := rows.Cursor(nil, nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	if cur.Next() {
		return errorf("Cannot add a REFERENCES column with non-NULL default value")
	}
	return cur.Err()
}

// changesResults reports whether a pragma that is set so would change results.
func changesResults(name string, on bool) bool {
	switch name {
	case "ignore_check_constraints", "case_sensitive_like", "read_uncommitted", "writable_schema", "reverse_unordered_selects",
		"count_changes", "empty_result_callbacks", "full_column_names":
		return on
	case "short_column_names":
		return !on
	}
	return false
}
