package exec

import (
	"context"
	"slices"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
)

// PrepareOnce is Prepare for a text without arguments that is run at once, and
// once. Its literals are taken out where that changes nothing, so that texts
// which differ in literals alone share a plan, and the cache has none of them.
func (s *Session) PrepareOnce(ctx context.Context, text string) (st *Stmt, tail string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.lift(ctx, text); st != nil {
		return st, "", nil
	}
	return s.prepare(ctx, text)
}

// lift returns the statement of a text without its literals, which are in
// s.literals then; nil where the text is to be prepared as it is.
func (s *Session) lift(ctx context.Context, text string) *Stmt {
	if s.d.asWritten || !s.literals.Take(text) {
		return nil
	}
	p := s.cache().shape(s.literals.Text, s.foreignKeys)
	if p == nil {
		p = s.newShape(ctx, string(s.literals.Text))
	}
	if p == nil || p.refused {
		s.literals.Clear()
		return nil
	}
	s.lifts++
	return &Stmt{s: s, text: text, plan: p, write: p.write, lifted: s.lifts}
}

// dropLiterals drops the literals of the statement that lift made last. If it
// runs once more, it runs as it is written.
func (s *Session) dropLiterals() {
	s.literals.Clear()
	s.lifts++
}

// newShape plans a text without literals; nil: it has an error, which the text
// as it was written will show, or memory was wiped meanwhile.
func (s *Session) newShape(ctx context.Context, text string) *plan {
	tx := s.tx
	if tx == nil {
		var err error
		if tx, err = s.begin(ctx, false); err != nil {
			return nil
		}
		defer s.endOwn(tx) //nolint:errcheck // a snapshot has nothing to lose
	}
	p, err := s.shapeOf(tx, text)
	if err != nil {
		return nil
	}
	return p
}

// shapeOf is planOf for a text without literals; the plan says when it is
// refused.
func (s *Session) shapeOf(tx *engine.Tx, text string) (*plan, error) {
	sch, err := s.schemaOf(tx)
	if err != nil {
		return nil, err
	}
	cache, foreignKeys := s.cache(), s.foreignKeys
	p := cache.shape([]byte(text), foreignKeys)
	if p != nil && p.fits(sch) {
		return p, nil
	}
	p = &plan{text: text, version: sch.Version, temp: sch.Temp(), keys: foreignKeys, refused: true}
	if st, err := parse.One(text); err == nil && parse.Lifted(st) {
		whole, err := compile(sch, st, foreignKeys)
		if err != nil {
			return nil, err
		}
		if !whole.byLiteral {
			whole.text = text
			p = whole
		}
	}
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if err := tx.Check(); err != nil { // memory may have been wiped: nothing is kept any more
		return nil, err
	}
	keepPlan(cache.shapes[planKind(foreignKeys)], text, p)
	return p, nil
}

// indexesLiterals reports whether an index of t is of expressions, or of rows,
// that hold literals: it is used where a statement has the same ones.
func indexesLiterals(t *schema.Table) bool {
	return slices.ContainsFunc(t.Indexes, func(ix *schema.Index) bool {
		return hasLiteral(ix.Where) || slices.ContainsFunc(ix.Columns, func(c schema.IndexColumn) bool { return hasLiteral(c.Expr) })
	})
}

func hasLiteral(e ast.Expr) (found bool) {
	if e == nil {
		return false
	}
	ast.Walk(e, func(n ast.Node) bool {
		if lit, ok := n.(*ast.Literal); ok && lit.Kind != ast.LitNull {
			found = true
		}
		return !found
	})
	return found
}
