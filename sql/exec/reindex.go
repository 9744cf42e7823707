package exec

import (
	"bytes"
	"errors"
	"slices"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
)

// staleMax is how many records of an index REINDEX looks for before it deletes them.
const staleMax = 1024

// reindex compiles REINDEX of all indexes, of those of a table, of one, or of those
// with a collation. What is in order is left as it is.
func (c *compiler) reindex(p *plan, q *ast.QualifiedName) error {
	concerns, err := c.reindexed(q)
	if err != nil {
		return err
	}
	p.write = true
	p.run = func(f *frame) error {
		return f.withSchema(func(s *schema.Schema) error {
			for _, in := range s.Databases() {
				for _, t := range in.Tables {
					for _, ix := range t.Indexes {
						if !concerns(ix) {
							continue
						}
						if err := f.reindex(ix); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
	}
	return nil
}

// reindexed tells which indexes a REINDEX concerns. It refuses what is neither a
// collation nor a table or index.
func (c *compiler) reindexed(q *ast.QualifiedName) (concerns func(ix *schema.Index) bool, err error) {
	switch {
	case q == nil:
		return func(*schema.Index) bool { return true }, nil
	case q.Schema == nil && slices.Contains([]string{"binary", "nocase", "rtrim"}, fold(q.Name.Name)):
		return func(ix *schema.Index) bool {
			return slices.ContainsFunc(ix.Columns, func(col schema.IndexColumn) bool { return ast.SameName(col.Collation.String(), q.Name.Name) })
		}, nil
	case c.catalogNamed(q) != "":
		return func(*schema.Index) bool { return false }, nil
	}
	in, err := c.database(q)
	if err != nil {
		return nil, err
	}
	if t := in.Table(q.Name.Name); t != nil {
		name, database := t.Name, t.Database()
		return func(ix *schema.Index) bool { return ix.Table.Name == name && ix.Table.Database() == database }, nil
	}
	if only := in.Index(q.Name.Name); only != nil {
		name, database := only.Name, only.Table.Database()
		return func(ix *schema.Index) bool { return ix.Name == name && ix.Table.Database() == database }, nil
	}
	if slices.ContainsFunc(in.Tables, func(t *schema.Table) bool { return t.PrimaryKey != nil && ast.SameName(primaryName(t), q.Name.Name) }) {
		return func(*schema.Index) bool { return false }, nil // the rows themselves are in its order
	}
	return nil, errorf("unable to identify the object to be reindexed")
}

// reindex deletes what an index holds of rows that are not there or have other
// values, and adds what it lacks.
func (f *frame) reindex(ix *schema.Index) error {
	return f.indexed(ix.Name, ix.Table, func(f *frame, tg *target, ti *targetIndex, rows *query) error {
		if err := tg.dropStale(f, ti); err != nil {
			return err
		}
		return rows.each(f, func() error {
			entry, _, hasNull, err := tg.entry(f, ti, tg.key(f))
			if err != nil || entry == nil {
				return err
			}
			coll, err := f.collection(ti.coll)
			if err != nil {
				return err
			}
			if found, err := exists(coll, entry); err != nil || found && (hasNull || !ix.Unique) {
				return err
			}
			return tg.addEntry(f, ti)
		})
	})
}

// dropStale deletes the records of an index that no row accounts for.
func (tg *target) dropStale(f *frame, ti *targetIndex) error {
	coll, err := f.collection(ti.coll)
	if err != nil {
		return err
	}
	var from []byte
	for {
		stale, err := tg.stale(f, ti, coll, from)
		if err != nil {
			return err
		}
		for _, entry := range stale {
			if err := coll.Delete(entry); err != nil {
				return err
			}
		}
		if len(stale) < staleMax {
			return nil
		}
		from = append(stale[staleMax-1], 0)
	}
}

// stale returns the first records of an index, behind from, that no row accounts
// for, staleMax at most.
func (tg *target) stale(f *frame, ti *targetIndex, coll *engine.Collection, from []byte) (stale [][]byte, err error) {
	cur := coll.Cursor(from, nil)
	defer func() { err = errors.Join(err, cur.Close()) }()
	for len(stale) < staleMax && cur.Next() {
		if err := f.tick(); err != nil {
			return nil, err
		}
		entry, key := bytes.Clone(cur.UnsafeKey()), bytes.Clone(rowKeyOfEntry(tg.t, cur.UnsafeKey(), cur.UnsafeValue()))
		found := false
		if len(key) > 0 {
			if found, err = tg.load(f, key); err != nil {
				return nil, err
			}
		}
		if found {
			own, _, _, err := tg.entry(f, ti, key)
			if err != nil {
				return nil, err
			}
			found = bytes.Equal(own, entry)
		}
		if !found {
			stale = append(stale, entry)
		}
	}
	return stale, cur.Err()
}
