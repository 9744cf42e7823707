package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// jsonTables are the names of the tables that jsonNode is.
var jsonTables = []string{"json_each", "json_tree", "jsonb_each", "jsonb_tree"}

// jsonNode is json_each(), json_tree(), jsonb_each() or jsonb_tree() as a table.
// Its inputs are the document, and the path if there is one.
type jsonNode struct {
	name   string
	tree   bool
	binary bool
	src    *source
	rowID  int // register
}

type jsonIter struct {
	n *jsonNode
	f *frame
	c *fn.JSONCursor
}

// jsonFirstHidden is the number of columns that "*" stands for: the arguments
// are behind them.
const jsonFirstHidden = 8

// jsonSource makes a source of one of jsonTables, nil for another name.
func (c *compiler) jsonSource(name string, nArgs int) (*source, error) {
	name = fold(name)
	if !slices.Contains(jsonTables, name) {
		return nil, nil //nolint:nilnil // it may be another table
	}
	if nArgs > 2 {
		return nil, errorf("too many arguments on %s() - max 2", name)
	}
	src := &source{db: "main", slots: c.regs(jsonFirstHidden), used: make([]bool, len(fn.JSONColumns)), rowID: c.regs(1)[0], label: name}
	for _, col := range fn.JSONColumns[:jsonFirstHidden] {
		src.cols = append(src.cols, column{name: col, aff: value.AffinityBlob, hasAff: true})
	}
	c.addInputs(src, fn.JSONColumns[jsonFirstHidden:])
	src.inputs.strict = true
	src.node = &jsonNode{
		name: name, tree: strings.HasSuffix(name, "_tree"), binary: strings.HasPrefix(name, "jsonb_"),
		src: src, rowID: src.rowID,
	}
	return src, nil
}

func (n *jsonNode) open(f *frame) (iter, error) {
	vals := [2]value.Value{{}, value.NewText("$")} // without a document there are no rows
	if err := n.src.inputs.values(f, vals[:]); err != nil {
		return nil, err
	}
	c, err := fn.NewJSONCursor(vals[0], vals[1], n.tree, n.binary)
	if err != nil {
		return nil, errorf("%s", err.Error())
	}
	return &jsonIter{n: n, f: f, c: c}, nil
}

func (it *jsonIter) next() (bool, error) {
	if !it.c.Next() {
		if err := it.c.Err(); err != nil {
			return false, errorf("%s", err.Error())
		}
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
