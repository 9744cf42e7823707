package exec

import (
	"context"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
)

// returning is a RETURNING clause: its rows are kept until the statement has
// done all of its work.
type returning struct {
	exprs []*expr
	out   []int

	subs, subsEnd int // its subqueries, which run for each row, as those of a trigger do
}

func (c *compiler) returning(p *plan, sc *scope, cols []*ast.ResultColumn) (*returning, error) {
	if len(cols) == 0 {
		return nil, nil //nolint:nilnil // no clause: add on nil does nothing
	}
	for _, rc := range cols {
		if star, ok := rc.Expr.(*ast.Star); ok && star.Table != nil {
			return nil, errorf("RETURNING may not use \"TABLE.*\" wildcards")
		}
	}
	src := sc.sources[0] // whose alias and database the clause does not know
	alias, db := src.name, src.db
	if src.db = ""; src.table != nil {
		src.name = src.table.Name
	}
	sc.returns = true
	defer func() { sc.returns, src.name, src.db = false, alias, db }()
	items, err := c.items(sc, cols)
	if err != nil {
		return nil, err
	}
	b := &block{c: c, sc: sc, items: items}
	r := &returning{out: c.regs(len(items)), subs: c.nSubs}
	q := &query{out: r.out, node: &returnedNode{}}
	for i := range items {
		x, err := b.item(i)
		if err != nil {
			return nil, err
		}
		r.exprs = append(r.exprs, x)
		rc := resultColumn{column: column{name: items[i].name, aff: x.aff, hasAff: x.hasAff}}
		if rc.declType, rc.table = b.origin(items[i]); rc.declType == "" {
			rc.declType = x.decl
		}
		q.cols = append(q.cols, rc)
	}
	p.query, r.subsEnd = q, c.nSubs
	return r, nil
}

func (r *returning) add(f *frame) error {
	if r == nil {
		return nil
	}
	if f.returned == nil {
		f.returned = &buffer{slots: r.out}
	}
	for i := r.subs; i < r.subsEnd; i++ {
		f.subs[i].set.close(f)
		f.subs[i] = subState{}
	}
	for i, x := range r.exprs {
		v, err := x.eval(f)
		if err != nil {
			return err
		}
		f.regs[r.out[i]] = v
	}
	return f.returned.save(f)
}

// returnedNode gives the rows of RETURNING.
type returnedNode struct{}

type returnedIter struct {
	f *frame
	i int
}

func (*returnedNode) open(f *frame) (iter, error) { return &returnedIter{f: f}, nil }

func (it *returnedIter) next() (bool, error) {
	if it.f.returned == nil || it.i >= it.f.returned.n {
		return false, nil
	}
	it.i++
	return true, it.f.returned.load(it.f, it.i-1)
}

func (*returnedIter) close() {}

// outlive has rows that are in a file stay there when the statement's transaction
// is committed: it moves the file to a snapshot, which it returns; nil: none is
// needed.
func (r *Rows) outlive(ctx context.Context) (*engine.Tx, error) {
	if r.f.returned == nil || r.f.returned.run == nil {
		return nil, nil //nolint:nilnil // all rows are in memory
	}
	tx, err := r.s.begin(ctx, false)
	if err != nil {
		return nil, err
	}
	if err := r.f.returned.run.file.spill.Move(tx); err != nil {
		_ = r.s.endOwn(tx) // it is over in any case
		return nil, err
	}
	return tx, nil
}
