package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// compound compiles SELECT … UNION SELECT … and its kin, from left to right.
func (c *compiler) compound(sc *scope, s *ast.SelectStmt) (*query, error) {
	last := len(s.Cores) - 1
	asItComes := c.inExpr == s
	var orderBy []*ast.OrderingTerm
	var limit *ast.Limit
	var queries []*query
	var blocks []*block
	for i, core := range s.Cores {
		q, isQuery := core.(*ast.SelectQuery)
		if isQuery && i == last {
			orderBy, limit = q.OrderBy, q.Limit
			bare := *q
			bare.OrderBy, bare.Limit = nil, nil
			core = &bare
		}
		one, err := c.selectBody(sc, &ast.SelectStmt{Cores: []ast.SelectCore{core}})
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, c.blocks...)
		if v, ok := core.(*ast.ValuesClause); ok && i > 0 && len(v.Rows) > 1 { // to SQLite a subquery in FROM
			for j := range one.cols {
				one.cols[j].kinds, one.cols[j].collBy = givesAll, collColumn
			}
		} else if ok {
			for j := range one.cols {
				c.byLiteral = c.byLiteral || holdsParam(v, j)
			}
		}
		queries = append(queries, one)
	}
	merged := len(orderBy) > 0 || limit == nil && !asItComes // else the first rows are those of the leftmost terms
	out := c.combined(queries[0])
	for i, right := range queries[1:] {
		if len(right.cols) != len(out.cols) {
			return nil, errorf("SELECTs to the left and right of %s do not have the same number of result columns", ast.OpName(s.Ops[i]))
		}
		out.correlated = out.correlated || right.correlated
		mergeTypes(out, right)
		if i > 0 && s.Ops[i].All && !s.Ops[i-1].All && merged && len(orderBy) == 0 { // sorted, and then the others
			if err := c.orderAndLimit(sc, out, restKeys(out, nil), nil, false); err != nil {
				return nil, err
			}
		}
		if err := c.combine(out, right, s.Ops[i], merged); err != nil {
			return nil, err
		}
	}
	keys, err := c.compoundKeys(out, orderBy, blocks)
	if err != nil {
		return nil, err
	}
	if last > 0 && merged && !s.Ops[last-1].All {
		keys = append(keys, restKeys(out, keys)...)
	}
	for i := range out.cols {
		out.cols[i].settleAffinity()
		first := &queries[0].cols[i] // whoever reads the column compares by the leftmost term
		out.cols[i].coll, out.cols[i].collBy, out.cols[i].missing = first.coll, first.collBy, first.missing
	}
	out.compared, out.reals, c.blocks = queries[last].cols, realColumns(out.cols), blocks
	return out, c.orderAndLimit(&scope{parent: sc}, out, keys, limit, false)
}

// combined starts a compound with its first query.
func (c *compiler) combined(q *query) *query {
	out := &query{out: c.regs(len(q.out)), correlated: q.correlated}
	out.cols = append(out.cols, q.cols...)
	for i := range out.cols {
		if out.cols[i].hasAff {
			out.cols[i].kinds = 0
		}
	}
	out.node = &concatNode{out: out.out, terms: []concatTerm{{node: q.node, out: q.out}}}
	return out
}

// mergeTypes: the column of a compound has the affinity of the leftmost term
// that has one; kinds are what the others give.
func mergeTypes(out, right *query) {
	for i := range out.cols {
		l, r := &out.cols[i], &right.cols[i]
		if !l.hasAff && r.hasAff {
			l.aff, l.hasAff = r.aff, true
		} else {
			l.kinds |= r.kinds
		}
		if l.collBy == collNone {
			l.coll, l.collBy, l.missing = r.coll, r.collBy, r.missing
		}
	}
}

// settleAffinity takes the affinity from the column of a compound whose other
// terms give values that it would change.
func (rc *resultColumn) settleAffinity() {
	if rc.hasAff && (rc.aff == value.AffinityText && rc.kinds&givesNumbers != 0 || isNumeric(rc.aff) && rc.kinds&givesTexts != 0) {
		rc.aff = value.AffinityBlob
	}
	if rc.hasAff && rc.cast && isNumeric(rc.aff) { // any of the numeric ones
		rc.aff = value.AffinityNumeric
	}
}

// combine adds a term. merged: of equal rows UNION keeps that of the rightmost
// term, as SQLite does when it merges them.
func (c *compiler) combine(out, right *query, op ast.CompoundOp, merged bool) error {
	name := strings.ToUpper(op.Op)
	var colls []value.Collation
	if !op.All {
		colls = collations(out.cols)
	}
	switch name {
	case "UNION":
		below := out.node
		if d, ok := below.(*distinctNode); ok && !op.All && slices.Equal(d.colls, colls) {
			below = d.in // once is enough
		}
		cat, ok := below.(*concatNode)
		if !ok {
			cat = &concatNode{out: out.out, terms: []concatTerm{{node: below, out: out.out}}}
		}
		term := concatTerm{node: right.node, out: right.out, number: len(cat.terms), union: !op.All}
		if !op.All && merged {
			cat.terms = slices.Insert(cat.terms, 0, term)
		} else {
			cat.terms = append(cat.terms, term)
		}
		out.node = cat
		if !op.All {
			out.node = &distinctNode{in: cat, slots: out.out, save: out.out, colls: colls}
		}
	case "INTERSECT", "EXCEPT":
		n := &setNode{left: out.node, right: right.node, slots: out.out, rightSlots: right.out, colls: colls, keep: name == "INTERSECT"}
		out.node = &distinctNode{in: n, slots: out.out, save: out.out, colls: colls}
	default:
		return unsupported("the compound operator " + name)
	}
	return nil
}

// compoundKeys resolves ORDER BY of a compound: a number, or what one of its
// selects has as the name of a column or as its expression, the first one of them
// counting.
func (c *compiler) compoundKeys(out *query, terms []*ast.OrderingTerm, blocks []*block) ([]sortKey, error) {
	at, err := compoundTerms(len(out.cols), terms, blocks)
	if err != nil {
		return nil, err
	}
	var keys []sortKey
	for n, t := range terms {
		x := &expr{slot: out.out[at[n]], coll: out.cols[at[n]].coll, missing: out.cols[at[n]].missing, eval: readSlot(out.out[at[n]])}
		if _, collate := uncollated(t.Expr); collate != nil {
			c.setCollation(x, collate)
		}
		k := newSortKey(x, t)
		k.slot = x.slot
		keys = append(keys, k)
	}
	return keys, nil
}

// restKeys orders by the columns that keys leave out: SQLite, which merges what is
// ordered by all columns, gives rows with the same keys in this order.
func restKeys(out *query, keys []sortKey) (rest []sortKey) {
	for i, slot := range out.out {
		if !slices.ContainsFunc(keys, func(k sortKey) bool { return k.slot == slot }) {
			k := newSortKey(&expr{slot: slot, coll: out.cols[i].coll, eval: readSlot(slot)}, &ast.OrderingTerm{})
			k.slot = slot
			rest = append(rest, k)
		}
	}
	return rest
}

// compoundTerms returns which result column each term of ORDER BY is.
func compoundTerms(columns int, terms []*ast.OrderingTerm, blocks []*block) ([]int, error) {
	at := make([]int, len(terms))
	for n, t := range terms {
		at[n] = -1
		if i, ok := columnNumber(bare(t.Expr)); ok {
			if i < 1 || i > columns {
				return nil, errorf("%s ORDER BY term out of range - should be between 1 and %d", sqlerr.Ordinal(n+1), columns)
			}
			at[n] = i - 1
		}
	}
	for n, t := range terms {
		for _, b := range blocks {
			if at[n] < 0 {
				at[n] = b.columnOf(bare(t.Expr))
			}
		}
		if at[n] < 0 {
			return nil, errorf("%s ORDER BY term does not match any column in the result set", sqlerr.Ordinal(n+1))
		}
	}
	return at, nil
}

// bare takes parentheses and COLLATE off a term.
func bare(e ast.Expr) ast.Expr {
	inner, coll := uncollated(e)
	for coll != nil {
		inner, coll = uncollated(inner)
	}
	return inner
}

// columnOf returns the result column that has e as its name or its expression,
// -1 for none.
func (b *block) columnOf(e ast.Expr) int {
	if id, ok := e.(*ast.Ident); ok {
		for i, it := range b.items {
			if it.named && ast.SameName(it.name, id.Name) {
				return i
			}
		}
	}
	form := sameForm(b.sc, b.aliases, e)
	if form == "" {
		return -1
	}
	return slices.IndexFunc(b.items, func(it item) bool {
		if it.m != nil {
			return it.m.form() == form
		}
		return it.e != nil && sameForm(b.sc, nil, bare(it.e)) == form
	})
}

// concatNode gives the rows of several nodes one after another in common
// registers.
type concatNode struct {
	out   []int
	terms []concatTerm
}

// concatTerm is one of them, with its own registers.
type concatTerm struct {
	node   node
	out    []int
	number int  // in the text
	union  bool // UNION stands before it, not UNION ALL
}

type concatIter struct {
	n  *concatNode
	f  *frame
	i  int
	in iter
}

func (n *concatNode) open(f *frame) (iter, error) { return &concatIter{n: n, f: f}, nil }

func (it *concatIter) next() (bool, error) {
	for it.i < len(it.n.terms) {
		term := &it.n.terms[it.i]
		if it.in == nil {
			in, err := term.node.open(it.f)
			if err != nil {
				return false, err
			}
			it.in = in
		}
		ok, err := it.in.next()
		if err != nil {
			return false, err
		}
		if ok {
			copyRegisters(it.f, it.n.out, term.out)
			return true, nil
		}
		it.in.close()
		it.in = nil
		it.i++
	}
	return false, nil
}

func copyRegisters(f *frame, to, from []int) {
	for i, s := range from {
		f.regs[to[i]] = f.regs[s]
	}
}

func (it *concatIter) close() {
	if it.in != nil {
		it.in.close()
		it.in = nil
	}
}

// setNode keeps the rows of left that are (INTERSECT) or are not (EXCEPT) in right.
type setNode struct {
	left, right       node
	slots, rightSlots []int
	colls             []value.Collation
	keep              bool
}

type setIter struct {
	n    *setNode
	f    *frame
	left iter
	set  map[string]struct{}
	mem  int64

	right  *rowSorter // the keys, when they do not fit into set
	sorted *rowSorter // the rows that are kept, when there is right
}

func (n *setNode) open(f *frame) (iter, error) {
	it := &setIter{n: n, f: f, set: map[string]struct{}{}}
	err := it.fill()
	if err == nil {
		it.left, err = n.left.open(f)
	}
	if err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

// fill reads the right side.
func (it *setIter) fill() error {
	right, err := it.n.right.open(it.f)
	if err != nil {
		return err
	}
	defer right.close()
	for {
		ok, err := right.next()
		if err != nil || !ok {
			return err
		}
		it.f.key = rowKey(it.f.key[:0], it.f.regs, it.n.rightSlots, it.n.colls)
		if err := it.add(it.f.key); err != nil {
			return err
		}
	}
}

// add takes a key of the right side.
func (it *setIter) add(key []byte) error {
	if it.right != nil {
		return it.right.add([]value.Value{value.NewBlob(string(key))})
	}
	if _, ok := it.set[string(key)]; ok {
		return it.f.tick()
	}
	it.set[string(key)] = struct{}{}
	n := int64(len(key) + 64)
	it.mem += n
	if it.f.keep(n, it.mem) {
		return it.spill()
	}
	return nil
}

func (it *setIter) next() (bool, error) {
	if it.right != nil {
		return it.nextSpilled()
	}
	for {
		ok, err := it.left.next()
		if err != nil || !ok {
			return false, err
		}
		it.f.key = rowKey(it.f.key[:0], it.f.regs, it.n.slots, it.n.colls)
		if _, found := it.set[string(it.f.key)]; found == it.n.keep {
			return true, nil
		}
	}
}

func (it *setIter) close() {
	if it.left != nil {
		it.left.close()
	}
	it.right.close()
	it.sorted.close()
	clear(it.set)
	it.f.release(it.mem)
	it.mem = 0
}
