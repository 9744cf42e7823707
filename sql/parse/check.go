package parse

import (
	"slices"
	"strconv"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// visit is a node whose children are still to be seen.
type visit struct {
	node  ast.Node
	depth int // of expressions above and including node
}

// check enforces the limits on one statement and returns its parameters in the
// order of the text. It keeps its own stack: a chain of a million operators
// would exhaust that of a goroutine.
func check(root ast.Node) ([]*ast.BindParam, error) {
	var params []*ast.BindParam
	stack := []visit{{node: root}}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if err := checkNode(v.node); err != nil {
			return nil, err
		}
		switch n := v.node.(type) {
		case *ast.ParenExpr:
		case *ast.BindParam:
			params = append(params, n)
			v.depth++
		case ast.Expr:
			v.depth++
		}
		if v.depth > depthMax {
			return nil, at(v.node, "Expression tree is too large (maximum depth %d)", depthMax)
		}
		for _, c := range v.node.Children() {
			stack = append(stack, visit{c, v.depth})
		}
	}
	slices.SortFunc(params, func(a, b *ast.BindParam) int { return a.Pos() - b.Pos() })
	return params, nil
}

func checkNode(n ast.Node) error {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return checkSelect(n)
	case *ast.With:
		return checkWith(n)
	case *ast.SelectQuery:
		return checkQuery(n)
	case *ast.ValuesClause:
		if len(n.Rows) > 0 && len(n.Rows[0]) > columnsMax {
			return at(n, "too many columns in result set")
		}
	case *ast.UpdateStmt:
		if len(n.Set) > columnsMax {
			return at(n, "too many columns in set list")
		}
	case *ast.InsertStmt:
		if len(n.Columns) > columnsMax {
			return at(n, "too many columns on %s", n.Table.Name.Name)
		}
	case *ast.CreateTableStmt:
		if len(n.Columns) > columnsMax {
			return at(n, "too many columns on %s", n.Name.Name.Name)
		}
	case *ast.CreateIndexStmt:
		if len(n.Columns) > columnsMax {
			return at(n, "too many columns in index")
		}
	case *ast.FuncCall:
		if len(n.Args) > functionArgsMax {
			return at(n, "too many arguments on function %s", n.Name.Name)
		}
	}
	return nil
}

func checkSelect(n *ast.SelectStmt) error {
	if len(n.Cores) > compoundTermsMax {
		return at(n, "too many terms in compound SELECT")
	}
	for i, op := range n.Ops {
		q, ok := n.Cores[i].(*ast.SelectQuery)
		if !ok || len(q.OrderBy) == 0 && q.Limit == nil {
			continue
		}
		clause := "ORDER BY"
		if len(q.OrderBy) == 0 {
			clause = "LIMIT"
		}
		return at(q, "%s clause should come after %s not before", clause, ast.OpName(op))
	}
	return nil
}

func checkWith(n *ast.With) error {
	names := map[string]bool{}
	for _, e := range n.CTEs {
		name := ast.Fold(e.Name.Name)
		if names[name] {
			return at(e, "duplicate WITH table name: %s", e.Name.Name)
		}
		names[name] = true
	}
	return nil
}

func checkQuery(n *ast.SelectQuery) error {
	switch {
	case len(n.Columns) > columnsMax:
		return at(n, "too many columns in result set")
	case len(n.OrderBy) > columnsMax:
		return at(n, "too many terms in ORDER BY clause")
	case len(n.GroupBy) > columnsMax:
		return at(n, "too many terms in GROUP BY clause")
	}
	return nil
}

// number gives the parameters of one statement their numbers, which the parser
// library counts through the whole text, and returns the spellings by number.
//
// Source: sqlite3ExprAssignVarNumber.
func number(params []*ast.BindParam) ([]string, error) {
	highest := 0
	named := make(map[string]int)
	for _, p := range params {
		switch p.Kind {
		case ast.ParamAnon:
			p.Number = highest + 1
			p.Raw = "?" + strconv.Itoa(p.Number) // where expressions are compared as text, it is not any other
		case ast.ParamNumber: // its own
		default:
			if n, ok := named[p.Raw]; ok {
				p.Number = n
			} else {
				p.Number = highest + 1
				named[p.Raw] = p.Number
			}
		}
		if p.Number < 1 || p.Number > paramsMax {
			if p.Kind == ast.ParamNumber {
				return nil, at(p, "variable number must be between ?1 and ?%d", paramsMax)
			}
			return nil, at(p, "too many SQL variables")
		}
		highest = max(highest, p.Number)
	}
	if highest == 0 {
		return nil, nil
	}
	names := make([]string, highest)
	for _, p := range params {
		if p.Kind != ast.ParamAnon && names[p.Number-1] == "" {
			names[p.Number-1] = p.Raw
		}
	}
	return names, nil
}

func at(n ast.Node, format string, args ...any) error {
	e := sqlerr.Errorf(format, args...)
	e.Offset = n.Pos()
	return e
}
