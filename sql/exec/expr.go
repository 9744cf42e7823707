package exec

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// evalFn computes an expression on the registers of one running statement.
type evalFn func(f *frame) (value.Value, error)

// testFn reports whether a condition is true.
type testFn func(f *frame) (bool, error)

// expr is a compiled expression with what SQLite's comparison rules need to
// know of it.
type expr struct {
	eval    evalFn
	aff     value.Affinity // of the column or cast it is, else AffinityBlob
	hasAff  bool           // it is a column or a cast
	coll    value.Collation
	collBy  collSource
	decl    string            // the declared type, of a subquery
	missing *missingCollation // coll stands for it; nil where there is one
	kinds   dataKinds
	slot    int    // register, when it is just a column; else -1
	refs    uint64 // sources of the FROM clause being compiled that it reads
	konst   bool   // the same for the whole statement: literals and parameters alone
	literal bool
	plain   bool     // a literal or parameter itself
	outer   bool     // it reads rows around the SELECT that it is part of
	source  ast.Expr // the condition it was compiled from, for the planner
	reads   []int    // registers of columns that it reads
	subs    bool     // it runs a subquery

	outIndex int // 1 + the result column that it repeats, 0 for none

	op      ast.Operator // a comparison of left and right, else OpNone
	left    *expr
	right   *expr
	list    []*expr    // left IN (list)
	set     *inSet     // left IN (SELECT …)
	like    *likeMatch // left LIKE pattern
	isNull  bool       // left IS NULL
	notNull bool       // left IS NOT NULL
	same    bool       // left IS right
	rows    *rowsIn    // a row value IN (SELECT …)
	ordered *rowOrder  // a row value below or above another one
	implied []*expr    // conditions that are true wherever this one is, for lookups
	test    testFn     // eval as a condition, for those that have a quick way; or nil
	ors     []*expr    // the terms of an OR
	ands    []*expr    // the terms of an AND
	canon   string     // see canonical

	lengthOf *expr // the column whose length() it is
}

// collSource ranks where a collation comes from: an explicit COLLATE wins over
// a column's, a column's over none.
type collSource uint8

const (
	collNone collSource = iota
	collColumn
	collExplicit
)

func constant(v value.Value) *expr {
	return &expr{eval: func(*frame) (value.Value, error) { return v, nil }, slot: -1, konst: true, literal: true, plain: true}
}

func computed(fn evalFn, args ...*expr) *expr {
	e := &expr{eval: fn, slot: -1, konst: true}
	for _, a := range args {
		if a != nil && !a.konst {
			e.konst = false
		}
	}
	return e
}

// exprIn compiles e and notes which sources of sc it reads.
func (c *compiler) exprIn(sc *scope, e ast.Expr) (*expr, error) {
	saved, reads, subs, correlated := sc.touched, len(c.reads), c.nSubs, sc.correlated
	sc.touched, sc.correlated = 0, false
	x, err := c.expr(sc, e)
	if err == nil {
		x.refs, x.reads, x.subs, x.outer = sc.touched, slices.Clone(c.reads[reads:]), c.nSubs > subs, sc.correlated
		if sc.compares() {
			if x.slot < 0 {
				x.canon = canonical(sc, e)
			} else {
				x.canon = "$" + strconv.Itoa(x.slot)
			}
		}
	}
	sc.touched |= saved
	sc.correlated = sc.correlated || correlated
	return x, err
}

// expr compiles e with the names of sc.
func (c *compiler) expr(sc *scope, e ast.Expr) (*expr, error) {
	x, err := c.exprOf(sc, e)
	if err == nil {
		x.setKinds(e)
		if c.collates && x.collBy != collExplicit {
			c.carryCollation(x, e)
		}
	}
	return x, err
}

func (c *compiler) exprOf(sc *scope, e ast.Expr) (*expr, error) {
	switch n := e.(type) {
	case *ast.Literal:
		return c.literal(n)
	case *ast.Ident:
		return c.name(sc, "", n)
	case *ast.QualifiedRef:
		if parts := n.Parts; len(parts) == 3 {
			x, err := c.nameIn(sc, fold(parts[0].Name), parts[1].Name, parts[2])
			if x == nil && err == nil {
				err = errorf("no such column: %s.%s.%s", parts[0].Name, parts[1].Name, parts[2].Name)
			}
			return x, err
		}
		return c.name(sc, n.Parts[0].Name, n.Parts[1])
	case *ast.BindParam:
		i := n.Number - 1
		return &expr{slot: -1, konst: true, plain: true, eval: func(f *frame) (value.Value, error) {
			if i < len(f.args) {
				return f.args[i], nil
			}
			return value.Value{}, nil
		}}, nil
	case *ast.ParenExpr:
		return c.expr(sc, n.X)
	case *ast.UnaryExpr:
		return c.unary(sc, n)
	case *ast.BinaryExpr:
		return c.binary(sc, n)
	case *ast.LikeExpr:
		return c.like(sc, n)
	case *ast.IsExpr:
		return c.is(sc, n)
	case *ast.NullCheckExpr:
		return c.nullCheck(sc, n.X, n.Test == ast.TestIsNull)
	case *ast.BetweenExpr:
		return c.between(sc, n)
	case *ast.InExpr:
		return c.in(sc, n)
	case *ast.CaseExpr:
		return c.caseExpr(sc, n)
	case *ast.CastExpr:
		return c.cast(sc, n)
	case *ast.CollateExpr:
		return c.collate(sc, n)
	case *ast.FuncCall:
		return c.call(sc, n)
	case *ast.ExistsExpr:
		return c.exists(sc, n)
	case *ast.SubqueryExpr:
		return c.scalarSubquery(sc, n)
	case *ast.VectorExpr:
		return nil, errorf("row value misused")
	case *ast.Star:
		return nil, errorf("near \"*\": syntax error")
	case *ast.RaiseExpr:
		return c.raise(sc, n)
	}
	return nil, unsupported("this kind of expression")
}

func isMain(db string) bool { return ast.SameName(db, "main") }

func (c *compiler) literal(n *ast.Literal) (*expr, error) {
	switch n.Kind {
	case ast.LitNull:
		return constant(value.Value{}), nil
	case ast.LitInteger:
		if hexTooBig(n.Value) {
			return nil, errorf("hex literal too big: %s", n.Raw)
		}
		return constant(integerLiteral(n.Value)), nil
	case ast.LitFloat:
		x, _ := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
		return constant(value.NewFloat(x)), nil
	case ast.LitString:
		return constant(value.NewText(n.Value)), nil
	case ast.LitBlob:
		b, err := blobLiteral(n.Value)
		if err != nil {
			return nil, err
		}
		return constant(value.NewBlob(b)), nil
	default:
	}
	name := map[ast.LiteralKind]string{ast.LitCurrentDate: "date", ast.LitCurrentTime: "time", ast.LitCurrentTimestamp: "datetime"}[n.Kind]
	return c.callNamed(name, []*expr{constant(value.NewText("now"))})
}

// integerLiteral reads decimal and 0x text; a decimal beyond 64 bits is a real.
func integerLiteral(s string) value.Value {
	s = strings.ReplaceAll(s, "_", "")
	if len(s) > 2 && (s[1] == 'x' || s[1] == 'X') {
		u, _ := strconv.ParseUint(s[2:], 16, 64)
		return value.NewInt(int64(u))
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return value.NewInt(i)
	}
	x, _ := strconv.ParseFloat(s, 64)
	return value.NewFloat(x)
}

func blobLiteral(raw string) (string, error) {
	if len(raw) >= 3 && (raw[0] == 'x' || raw[0] == 'X') && raw[1] == '\'' {
		raw = raw[2 : len(raw)-1]
	}
	b := make([]byte, 0, len(raw)/2)
	for i := 0; i+1 < len(raw); i += 2 {
		u, err := strconv.ParseUint(raw[i:i+2], 16, 8)
		if err != nil {
			return "", errorf("malformed blob literal")
		}
		b = append(b, byte(u))
	}
	return string(b), nil
}

// name compiles a column reference. A name found nowhere is an alias of a
// result column, TRUE or FALSE, or, when it was double-quoted, a string.
func (c *compiler) name(sc *scope, table string, id *ast.Ident) (*expr, error) {
	if x, err := c.nameIn(sc, "", table, id); x != nil || err != nil {
		return x, err
	}
	if table == "" && id.Quote == ast.QuoteNone {
		if ast.SameName(id.Name, "true") {
			return constant(value.NewInt(1)), nil
		}
		if ast.SameName(id.Name, "false") {
			return constant(value.NewInt(0)), nil
		}
	}
	if table == "" && id.Quote == ast.QuoteDouble {
		return constant(value.NewText(id.Name)), nil
	}
	return nil, errorf("no such column: %s", qualified(table, id.Name))
}

// nameIn compiles a name that is found, with the name of a database in lower
// case, "" for any; else nil.
func (c *compiler) nameIn(sc *scope, db, table string, id *ast.Ident) (*expr, error) {
	for s := sc; s != nil; s = s.parent {
		m, err := s.lookupIn(db, table, id.Name)
		if err != nil {
			return nil, err
		}
		if m != nil {
			for p := sc; p != s; p = p.parent {
				p.correlated = true
			}
			return c.columnRef(m), nil
		}
		if table != "" {
			continue
		}
		if x, ok, err := c.alias(sc, s, id); ok || err != nil {
			return x, err
		}
	}
	return nil, nil //nolint:nilnil // no such name
}

// alias expands the alias of a result column of scope s.
func (c *compiler) alias(from, s *scope, id *ast.Ident) (*expr, bool, error) {
	key := fold(id.Name)
	e, ok := s.aliases[key]
	if !ok || s.inAlias[key] {
		return nil, false, nil
	}
	if s.windows == nil && containsWindow(e) {
		return nil, false, errorf("misuse of aliased window function %s", id.Name)
	}
	if s.inAlias == nil {
		s.inAlias = map[string]bool{}
	}
	s.inAlias[key] = true
	defer delete(s.inAlias, key)
	for p := from; p != s; p = p.parent {
		p.correlated = true
	}
	x, err := c.expr(s, e)
	return x, true, err
}

func (c *compiler) columnRef(m *match) *expr {
	if m.src.flat != nil && m.col >= 0 {
		return c.flatColumn(m)
	}
	slot := m.use()
	c.reads = append(c.reads, slot)
	if a := m.sc.aggs; a != nil && !m.sc.inAgg {
		a.bare[slot] = true
	}
	if m.col < 0 {
		return &expr{slot: slot, eval: readSlot(slot), aff: value.AffinityInteger, hasAff: !m.src.excluded}
	}
	col := &m.src.cols[m.col]
	x := &expr{slot: slot, eval: readSlot(slot), aff: col.aff, hasAff: col.hasAff, coll: col.coll, collBy: collColumn}
	if m.src.excluded || m.src.table != nil && m.col == m.src.table.RowID {
		x.collBy = collNone // a row id has no collation: another term of a compound gives it
	}
	if m.mrg != nil && len(m.mrg.shown) > 1 {
		var slots []int
		for _, part := range m.mrg.shown {
			mm := match{sc: m.sc, src: part.src, col: part.col}
			s := mm.use()
			c.reads = append(c.reads, s)
			if a := m.sc.aggs; a != nil && !m.sc.inAgg {
				a.bare[s] = true
			}
			slots = append(slots, s)
		}
		x.slot, x.eval = -1, firstNonNull(slots)
	}
	return x
}

func readSlot(slot int) evalFn {
	return func(f *frame) (value.Value, error) { return f.regs[slot], nil }
}

func firstNonNull(slots []int) evalFn {
	return func(f *frame) (value.Value, error) {
		for _, s := range slots {
			if !f.regs[s].IsNull() {
				return f.regs[s], nil
			}
		}
		return value.Value{}, nil
	}
}

// operand is what an operator is applied to.
type operand struct {
	slot int // register of a column, or -1
	eval evalFn
}

func operandOf(x *expr) operand { return operand{x.slot, x.eval} }

func (o *operand) value(f *frame) (value.Value, error) {
	if o.slot >= 0 {
		return f.regs[o.slot], nil
	}
	return o.eval(f)
}

func (c *compiler) unary(sc *scope, n *ast.UnaryExpr) (*expr, error) {
	if lit, ok := n.X.(*ast.Literal); ok && n.Op == ast.OpMinus && lit.Kind == ast.LitInteger &&
		strings.TrimLeft(lit.Value, "0") == "9223372036854775808" {
		return constant(value.NewInt(-1 << 63)), nil
	}
	if lit, ok := ast.Unparen(n.X).(*ast.Literal); ok && n.Op == ast.OpMinus && lit.Kind == ast.LitInteger && isHex(lit.Value) &&
		(hexTooBig(lit.Value) || integerLiteral(lit.Value).Int() == math.MinInt64) {
		return nil, errorf("hex literal too big: -%s", lit.Raw)
	}
	x, err := c.expr(sc, n.X)
	if err != nil {
		return nil, err
	}
	ev := x.eval
	switch n.Op {
	case ast.OpPlus:
		y := *x
		y.hasAff, y.aff, y.slot = false, value.AffinityBlob, -1
		if y.collBy == collColumn {
			y.collBy = collColumn // unary plus keeps a column's collation
		}
		return &y, nil
	case ast.OpMinus:
		e := computed(func(f *frame) (value.Value, error) {
			v, err := ev(f)
			if err != nil {
				return v, err
			}
			return value.Neg(v), nil
		}, x)
		e.literal = x.literal
		return e, nil
	case ast.OpBitNot:
		return computed(func(f *frame) (value.Value, error) {
			v, err := ev(f)
			if err != nil || v.IsNull() {
				return value.Value{}, err
			}
			return value.BitNot(v), nil
		}, x), nil
	case ast.OpNot:
		return computed(func(f *frame) (value.Value, error) {
			v, err := ev(f)
			if err != nil {
				return v, err
			}
			t, known := truth(v)
			if !known {
				return value.Value{}, nil
			}
			return value.NewBool(!t), nil
		}, x), nil
	default:
		return nil, unsupported("the operator " + n.Op.String())
	}
}

func (c *compiler) binary(sc *scope, n *ast.BinaryExpr) (*expr, error) {
	switch n.Op {
	case ast.OpEq, ast.OpNe, ast.OpLt, ast.OpLe, ast.OpGt, ast.OpGe:
		return c.compare(sc, n.Op, n.X, n.Y)
	case ast.OpPtr:
		return c.callExprs(sc, "->", n.X, n.Y)
	case ast.OpPtr2:
		return c.callExprs(sc, "->>", n.X, n.Y)
	default:
	}
	x, err := c.exprIn(sc, n.X)
	if err != nil {
		return nil, err
	}
	y, err := c.exprIn(sc, n.Y)
	if err != nil {
		return nil, err
	}
	switch n.Op {
	case ast.OpAnd:
		return logic(x, y, false), nil
	case ast.OpOr:
		return logic(x, y, true), nil
	default:
	}
	op, xo, yo := arithmetic(n.Op), operandOf(x), operandOf(y)
	if op == nil {
		return nil, unsupported("the operator " + n.Op.String())
	}
	return computed(func(f *frame) (value.Value, error) {
		a, err := xo.value(f)
		if err != nil {
			return a, err
		}
		b, err := yo.value(f)
		if err != nil {
			return b, err
		}
		return op(a, b), nil
	}, x, y), nil
}

// logic is AND (dominant false) or OR (dominant true) in three values.
func logic(x, y *expr, dominant bool) *expr {
	xe, ye := x.eval, y.eval
	e := computed(func(f *frame) (value.Value, error) {
		a, err := xe(f)
		if err != nil {
			return a, err
		}
		ta, ka := truth(a)
		if ka && ta == dominant {
			return value.NewBool(dominant), nil
		}
		b, err := ye(f)
		if err != nil {
			return b, err
		}
		tb, kb := truth(b)
		switch {
		case kb && tb == dominant:
			return value.NewBool(dominant), nil
		case !ka || !kb:
			return value.Value{}, nil
		}
		return value.NewBool(!dominant), nil
	}, x, y)
	e.test = func(f *frame) (bool, error) {
		ok, err := isTrue(f, x)
		if err != nil || ok == dominant {
			return ok, err
		}
		return isTrue(f, y)
	}
	if dominant {
		e.ors = append(terms(x, x.ors), terms(y, y.ors)...)
	} else {
		e.ands = append(terms(x, x.ands), terms(y, y.ands)...)
	}
	return e
}

// terms returns those of x, itself when it has none.
func terms(x *expr, own []*expr) []*expr {
	if own == nil {
		return []*expr{x}
	}
	return slices.Clone(own)
}

func (c *compiler) nullCheck(sc *scope, e ast.Expr, want bool) (*expr, error) {
	x, err := c.exprIn(sc, e)
	if err != nil {
		return nil, err
	}
	ev := x.eval
	out := computed(func(f *frame) (value.Value, error) {
		v, err := ev(f)
		return value.NewBool(v.IsNull() == want), err
	}, x)
	out.test = func(f *frame) (bool, error) {
		v, err := ev(f)
		return v.IsNull() == want, err
	}
	out.isNull, out.notNull, out.left = want, !want, x
	return out, nil
}

func (c *compiler) cast(sc *scope, n *ast.CastExpr) (*expr, error) {
	x, err := c.expr(sc, n.X)
	if err != nil {
		return nil, err
	}
	ty := castType(n)
	aff, ev := value.AffinityOf(ty.Name), x.eval
	e := computed(func(f *frame) (value.Value, error) {
		v, err := ev(f)
		if err != nil {
			return v, err
		}
		return value.Cast(v, aff), nil
	}, x)
	e.aff, e.hasAff, e.coll, e.collBy, e.missing = aff, true, x.coll, x.collBy, x.missing
	return e, nil
}

func (c *compiler) collate(sc *scope, n *ast.CollateExpr) (*expr, error) {
	c.collates = true
	x, err := c.expr(sc, n.X)
	if err != nil {
		return nil, err
	}
	return c.collated(x, n), nil
}

func (c *compiler) caseExpr(sc *scope, n *ast.CaseExpr) (*expr, error) {
	var conds, thens []evalFn
	var kinds dataKinds
	for _, w := range n.Whens {
		var cond *expr
		var err error
		if n.Operand == nil {
			cond, err = c.expr(sc, w.When)
		} else {
			cond, err = c.compare(sc, ast.OpEq, n.Operand, w.When)
		}
		if err != nil {
			return nil, err
		}
		then, err := c.expr(sc, w.Then)
		if err != nil {
			return nil, err
		}
		conds, thens = append(conds, cond.eval), append(thens, then.eval)
		kinds |= then.kinds
	}
	other := constant(value.Value{}).eval
	if n.Else != nil {
		x, err := c.expr(sc, n.Else)
		if err != nil {
			return nil, err
		}
		other = x.eval
		kinds |= x.kinds
	}
	return &expr{slot: -1, kinds: kinds, eval: func(f *frame) (value.Value, error) {
		for i, cond := range conds {
			v, err := cond(f)
			if err != nil {
				return v, err
			}
			if t, known := truth(v); known && t {
				return thens[i](f)
			}
		}
		return other(f)
	}}, nil
}
