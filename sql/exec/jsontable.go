package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// jsonNode is json_each() or json_tree() as a table. Its arguments may read
// tables before it.
type jsonNode struct {
	name  string
	tree  bool
	args  []*expr // the document, and the path if there is one
	src   *source
	rowID int // register
}

type jsonIter struct {
	n *jsonNode
	f *frame
	c *fn.JSONCursor
}

// jsonFirstHidden is the number of columns that "*" stands for: the arguments
// are behind them.
const jsonFirstHidden = 8

// jsonSource makes a source of json_each() or json_tree(), nil for another name.
func (c *compiler) jsonSource(sc *scope, ref *ast.TableRef) (*source, error) {
	name := fold(ref.Name.Name.Name)
	if name != "json_each" && name != "json_tree" {
		return nil, nil
	}
	if len(ref.Args) > 2 {
		return nil, errorf("too many arguments on %s() - max 2", name)
	}
	args, err := c.list(sc, ref.Args)
	if err != nil {
		return nil, err
	}
	src := &source{slots: c.regs(len(fn.JSONColumns)), used: make([]bool, len(fn.JSONColumns)), rowID: c.regs(1)[0], label: name}
	for i, col := range fn.JSONColumns {
		src.cols = append(src.cols, column{name: col, hidden: i >= jsonFirstHidden})
	}
	for _, a := range args {
		src.lateral = src.lateral || a.refs != 0
	}
	src.node = &jsonNode{name: name, tree: name == "json_tree", args: args, src: src, rowID: src.rowID}
	return src, nil
}

func (n *jsonNode) open(f *frame) (iter, error) {
	vals := [2]value.Value{{}, value.NewText("$")} // without a document there are no rows
	for i, a := range n.args {
		v, err := a.eval(f)
		if err != nil {
			return nil, err
		}
		vals[i] = v
	}
	c, err := fn.NewJSONCursor(vals[0], vals[1], n.tree)
	if err != nil {
		return nil, errorf("%s", err.Error())
	}
	return &jsonIter{n: n, f: f, c: c}, nil
}

func (it *jsonIter) next() (bool, error) {
	if !it.c.Next() {
		return false, nil
	}
	it.f.regs[it.n.rowID] = value.NewInt(it.c.RowID())
	for i, used := range it.n.src.used {
		if !used {
			continue
		}
		v, err := it.c.Column(i)
		if err != nil {
			return false, errorf("%s", err.Error())
		}
		it.f.regs[it.n.src.slots[i]] = v
	}
	return true, it.f.tick()
}

func (it *jsonIter) close() { it.c = nil }
