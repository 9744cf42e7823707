package exec

import (
	"bytes"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// ddl compiles a statement that changes the schema. It is checked when it
// runs, against the schema of then.
func (c *compiler) ddl(p *plan, stmt ast.Stmt) error {
	st := c.stmt
	if ex := parse.Stmt(st); ex.Stmt != stmt {
		return unsupported("EXPLAIN of this statement")
	}
	if err := c.ddlOf(p, stmt, st); err != nil || !schema.NeedsTemp(stmt) {
		return err
	}
	run := p.run
	p.run = func(f *frame) error {
		f.s.openTemp()
		return run(f)
	}
	return nil
}

func (c *compiler) ddlOf(p *plan, stmt ast.Stmt, st parse.Stmt) error {
	switch n := stmt.(type) {
	case *ast.CreateTableStmt:
		if n.Select != nil {
			return c.createTableAs(p, n)
		}
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error {
				_, err := schema.CreateTable(f.tx, s, st)
				return err
			})
		}
	case *ast.CreateIndexStmt:
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error {
				ix, err := schema.CreateIndex(f.tx, s, st)
				if err != nil || ix == nil {
					return err
				}
				return f.fillIndex(ix.Name, ix.Table)
			})
		}
	case *ast.CreateViewStmt:
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error { return schema.CreateView(f.tx, s, st) })
		}
	case *ast.CreateTriggerStmt:
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error { return schema.CreateTrigger(f.tx, s, st) })
		}
	case *ast.DropTriggerStmt:
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error { _, err := schema.DropTrigger(f.tx, s, n); return err })
		}
	case *ast.DropTableStmt:
		p.run = func(f *frame) error {
			if f.s.foreignKeys {
				if err := f.deleteBeforeDrop(n); err != nil {
					return err
				}
			}
			return f.withSchema(func(s *schema.Schema) error {
				t := s.Find(n.Name)
				if done, err := schema.DropTable(f.tx, s, n); err != nil || !done {
					return err
				}
				return f.dropStats(t.Database(), "tbl", t.Name)
			})
		}
	case *ast.DropViewStmt:
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error { _, err := schema.DropView(f.tx, s, n); return err })
		}
	case *ast.DropIndexStmt:
		p.run = func(f *frame) error {
			return f.withDatabase(n.Name, func(s *schema.Schema) error {
				if s == nil && n.IfExists {
					return nil
				}
				if s == nil {
					return errorf("no such index: %s.%s", n.Name.Schema.Name, n.Name.Name.Name)
				}
				ix := s.Index(n.Name.Name.Name)
				if done, err := schema.DropIndex(f.tx, s, n); err != nil || !done {
					return err
				}
				return f.dropStats(ix.Table.Database(), "idx", ix.Name)
			})
		}
	case *ast.AlterTableStmt:
		p.run = func(f *frame) error {
			return f.withSchema(func(s *schema.Schema) error { return f.alter(s, st) })
		}
	}
	return nil
}

func (f *frame) withSchema(fn func(s *schema.Schema) error) error {
	s, err := f.s.schemaOf(f.tx)
	if err != nil {
		return err
	}
	return fn(s)
}

// withDatabase is withSchema with the schema that a qualifier confines names to.
func (f *frame) withDatabase(q *ast.QualifiedName, fn func(s *schema.Schema) error) error {
	return f.withSchema(func(s *schema.Schema) error {
		if q.Schema != nil {
			s = s.Catalog(q.Schema.Name)
		}
		return fn(s)
	})
}

// inner compiles something against the schema as it is now and runs it in a
// frame of its own.
func (f *frame) inner(fn func(c *compiler) (func(f *frame) error, error)) error {
	return f.withSchema(func(s *schema.Schema) error {
		c := &compiler{schema: s, foreignKeys: f.s.foreignKeys}
		run, err := fn(c)
		if err == nil {
			err = c.checkCollations()
		}
		if err != nil {
			return err
		}
		p := &plan{nRegs: c.nRegs, nSubs: c.nSubs, collNames: c.collNames}
		in := p.newFrame()
		in.ctx, in.s, in.tx, in.root = f.ctx, f.s, f.tx, f.top()
		defer in.clear()
		return run(in)
	})
}

// fillIndex makes the records of a new index.
func (f *frame) fillIndex(name string, table *schema.Table) error {
	return f.indexed(name, table, func(f *frame, tg *target, ti *targetIndex, rows *query) error {
		return rows.each(f, func() error { return tg.addEntry(f, ti) })
	})
}

// indexed runs fn with an index of a table and a query of all of its rows, in a frame
// of their own.
func (f *frame) indexed(name string, table *schema.Table, fn func(f *frame, tg *target, ti *targetIndex, rows *query) error) error {
	return f.inner(func(c *compiler) (func(*frame) error, error) {
		tg, err := c.target(&scope{}, nameOf(table), nil)
		if err != nil {
			return nil, err
		}
		rows, _ := c.scan(tg.src, nil, nil)
		q := &query{node: rows}
		var ti *targetIndex
		for _, t := range tg.indexes {
			if t.ix.Name == name {
				ti = t
			}
		}
		return func(f *frame) error { return fn(f, tg, ti, q) }, nil
	})
}

// addEntry makes the record of an index for the row in the registers.
func (tg *target) addEntry(f *frame, ti *targetIndex) error {
	key := tg.key(f)
	entry, prefix, hasNull, err := tg.entry(f, ti, key)
	if err != nil || entry == nil {
		return err
	}
	if ti.ix.Unique && !hasNull {
		other, err := tg.holder(f, ti, entry[:prefix])
		if err != nil {
			return err
		}
		switch {
		case bytes.Equal(other, key):
			return nil // it is there
		case other != nil:
			return tg.uniqueError(ti.ix)
		}
	}
	coll, err := f.collection(ti.coll)
	if err != nil {
		return err
	}
	return coll.Put(entry, entryValue(tg.t, key))
}

// createTableAs is CREATE TABLE … AS SELECT.
func (c *compiler) createTableAs(p *plan, n *ast.CreateTableStmt) error {
	if n.IfNotExists && c.schema.Exists(n) { // whatever the query may be
		p.run = func(*frame) error { return nil }
		return nil
	}
	q, err := c.selectStmt(nil, n.Select)
	if err != nil {
		return err
	}
	text := schema.TableText(n.Name.Name.Name, columnsAs(q.cols))
	p.run = func(f *frame) error {
		st, err := parse.One(text)
		if err != nil {
			return err
		}
		made, ok := st.Stmt.(*ast.CreateTableStmt)
		if !ok {
			return errorf("not a CREATE TABLE statement")
		}
		create := *made
		create.IfNotExists, create.Temp = n.IfNotExists, n.Temp
		create.Name = &ast.QualifiedName{Schema: n.Name.Schema, Name: made.Name.Name}
		st.Stmt = &create
		kept := &buffer{slots: q.out}
		defer kept.close(f)
		if err := q.each(f, func() error { return kept.save(f) }); err != nil {
			return err
		}
		var table *schema.Table
		err = f.withSchema(func(s *schema.Schema) error {
			t, err := schema.CreateTable(f.tx, s, st)
			table = t
			return err
		})
		if err != nil || table == nil {
			return err
		}
		return f.inner(func(c *compiler) (func(*frame) error, error) {
			tg, err := c.target(&scope{}, nameOf(table), nil)
			if err != nil {
				return nil, err
			}
			return func(in *frame) error { return tg.copyRows(in, kept) }, nil
		})
	}
	return nil
}

func (tg *target) copyRows(f *frame, kept *buffer) error {
	for i := range kept.n {
		if err := f.tick(); err != nil {
			return err
		}
		row, err := kept.row(i)
		if err != nil {
			return err
		}
		for j, s := range tg.src.slots {
			f.regs[s] = row[j]
		}
		f.regs[tg.src.rowID] = value.NewInt(int64(i) + 1)
		if err := tg.affinities(f); err != nil {
			return err
		}
		if err := tg.put(f, tg.key(f)); err != nil {
			return err
		}
	}
	return nil
}

// columnsAs are the columns of a table made of a query: unique names, and the
// name of the affinity as the type.
func columnsAs(cols []resultColumn) []schema.Column {
	var out []schema.Column
	names := make([]column, len(cols))
	for i := range cols {
		if names[i].name = cols[i].stored; names[i].name == "" {
			names[i].name = cols[i].name
		}
	}
	uniqueNames(names)
	for i, c := range cols {
		col := schema.Column{Name: names[i].name}
		if c.hasAff && c.aff != value.AffinityBlob {
			col.DeclType = affinityType(c.aff)
		}
		out = append(out, col)
	}
	return out
}

// affinityType is the type that a column made of an expression has for its
// affinity.
func affinityType(aff value.Affinity) string {
	return map[value.Affinity]string{
		value.AffinityBlob: "BLOB", value.AffinityText: "TEXT", value.AffinityNumeric: "NUM", value.AffinityInteger: "INT", value.AffinityReal: "REAL",
	}[aff]
}

// alter is ALTER TABLE; after DROP COLUMN the rows are written anew.
func (f *frame) alter(s *schema.Schema, st parse.Stmt) error {
	if err := f.checkReferences(s, st); err != nil {
		return err
	}
	done, err := schema.AlterTable(f.tx, s, st, f.alterOptions(s))
	if err != nil {
		return err
	}
	if done.Test {
		return f.testAdded(done.After)
	}
	if done.Dropped < 0 {
		return nil
	}
	rows, err := f.tx.Collection(done.After.Collection())
	if err != nil {
		return err
	}
	cur := rows.Cursor(nil, nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	for cur.Next() {
		if err := f.tick(); err != nil {
			return err
		}
		vals, err := record.Decode(cur.UnsafeValue())
		if err != nil {
			return err
		}
		if done.Dropped >= len(vals) {
			continue
		}
		key := append([]byte(nil), cur.UnsafeKey()...)
		vals = append(vals[:done.Dropped], vals[done.Dropped+1:]...)
		if err := rows.Put(key, encodeRow(vals)); err != nil {
			return err
		}
	}
	return cur.Err()
}
