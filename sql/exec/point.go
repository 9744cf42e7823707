package exec

// point is the plan of a query for the one row that a key names, run without
// iterators: SELECT … FROM t WHERE key = ?, with or without LIMIT.
type point struct {
	scan    *scanNode
	conds   []*expr
	project *projectNode // nil: all columns are where they are read
	limit   *limitNode
}

// pointOf returns a query's node as a point, nil if it is something else.
func pointOf(n node) *point {
	p := &point{}
	if l, ok := n.(*limitNode); ok {
		p.limit, n = l, l.in
	}
	if pr, ok := n.(*projectNode); ok {
		p.project, n = pr, pr.in
	}
	if fl, ok := n.(*filterNode); ok {
		p.conds, n = fl.conds, fl.in
	}
	s, ok := n.(*pointNode)
	if !ok {
		return nil
	}
	p.scan = s.scanNode
	return p
}

// row puts the row into the registers; false: there is none.
func (p *point) row(f *frame) (bool, error) {
	if p.limit != nil {
		count, offset, err := p.limit.bounds(f)
		if err != nil || count == 0 || offset > 0 {
			return false, err
		}
	}
	ok, err := p.scan.point(f)
	if err != nil || !ok {
		return false, err
	}
	if ok, err = passes(f, p.conds); err != nil || !ok {
		return false, err
	}
	if p.project == nil {
		return true, nil
	}
	return true, p.project.compute(f)
}

// noIter is the iterator of a point: it stands for the rows that are left.
type noIter struct{}

func (noIter) next() (bool, error) { return false, nil }
func (noIter) close()              {}
