package exec

import (
	"strings"
	"sync/atomic"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// plan is one compiled statement. It is immutable but for idle, holds no rows
// and is shared by all sessions of a database.
type plan struct {
	text    string
	version uint64         // of the schema that it was compiled against
	temp    *schema.Schema // the temporary objects of then; nil for none
	keys    bool           // compiled with foreign keys enforced
	params  []string

	query *query // rows come out: SELECT, RETURNING, PRAGMA, EXPLAIN
	point *point // the query is WHERE key = value; nil for others
	infos []ColumnInfo
	run   runFunc // what is done before rows come out, nil for a query

	write   bool // needs a writable transaction
	control bool // BEGIN and its kin: runs outside of a statement's transaction
	ddl     bool // changes the schema
	rows    bool // inserts, updates or deletes: changes() is about it
	pragma  bool
	refused bool // literals may not be taken out of the text; nothing else is known of it

	byLiteral bool // literals of the text may choose how it runs

	idle atomic.Pointer[frame] // of a run that is over, for statements that run once; it holds no rows

	nRegs, nSubs, nKept int
	collNames           []string

	volatile bool // what it changes sets off programs: nothing of what it reads is kept
}

// runFunc executes a statement that changes something.
type runFunc func(f *frame) error

// compiler compiles one statement.
type compiler struct {
	schema    *schema.Schema
	stmt      parse.Stmt
	nRegs     int
	nSubs     int
	inExpr    *ast.SelectStmt // the subquery of an expression that is begun: its first row counts, or that it has one
	nKept     int             // hash tables that the frame keeps
	recursing bool            // what is compiled is run for each row of a recursion
	again     bool            // the join that is planned is run many times
	collates  bool            // a COLLATE was compiled
	missing   []*missingCollation
	nSelects  int
	depth     int
	collNames []string
	reads     []int // registers of the columns that were compiled so far, in order

	// For EXPLAIN QUERY PLAN.
	nested  []nestedQuery    // subqueries in expressions that belong to no query yet
	labels  map[node]*source // subqueries and views in FROM
	joined  node             // the rows that the last FROM clause gives
	nNested int              // joins in parentheses that are sources of others

	foreignKeys bool                    // they are enforced
	noTriggers  bool                    // the change is that of DROP TABLE
	byLiteral   bool                    // as plan.byLiteral
	programs    map[programKey]*program // compiled so far, of the whole statement
	inProgram   bool
	views       []*schema.Table    // whose texts are being compiled, the innermost last
	reading     bool               // the statement changes nothing
	changed     string             // else the table that it changes, folded; "": it is not known
	stored      bool               // the text is that of a view or trigger, whose names are those of this database
	conflict    ast.ConflictAction // what goes for every statement of a program
	outer       *scope             // where a program's OLD and NEW are known
	singleRow   bool               // the statement inserts one row and changes no other
	blocks      []*block           // of the SELECT that was compiled last, for ORDER BY of a compound
	noSolution  bool               // some FROM clause cannot be read as INDEXED BY or arguments ask

	// deterministic is where an expression is compiled that must give the same
	// result each time, as messages call it; "" elsewhere.
	deterministic string
}

// regs reserves n registers.
func (c *compiler) regs(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = c.nRegs + i
	}
	c.nRegs += n
	return out
}

// collection returns the plan's number of a collection.
func (c *compiler) collection(name string) int {
	for i, n := range c.collNames {
		if n == name {
			return i
		}
	}
	c.collNames = append(c.collNames, name)
	return len(c.collNames) - 1
}

// textToToken returns the source text of a node of the statement, with the
// comments behind it.
func (c *compiler) textToToken(n ast.Node) string {
	text, end := c.stmt.Text, n.End()-c.stmt.Pos
	from := n.Pos() - c.stmt.Pos
	if from < 0 || end > len(text) || from >= end {
		return ast.String(n)
	}
	for {
		rest := strings.TrimLeft(text[end:], " \t\n\f\r")
		at := len(text) - len(rest)
		length := 0
		switch {
		case strings.HasPrefix(rest, "--"):
			if length = strings.IndexByte(rest, '\n'); length < 0 {
				length = len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			if length = strings.Index(rest[2:], "*/") + 4; length < 4 {
				length = len(rest)
			}
		default:
			return text[from:end]
		}
		end = at + length
	}
}

// defaultValue evaluates the constant default of a column; NULL when it is
// none or cannot be evaluated without a row.
func (c *compiler) defaultValue(t *schema.Table, col int) value.Value {
	e := t.Columns[col].Default
	if e == nil {
		return value.Value{}
	}
	x, err := c.expr(&scope{}, e)
	if err != nil || !x.konst {
		return value.Value{}
	}
	v, err := x.eval(&frame{})
	if err != nil {
		return value.Value{}
	}
	return applyAffinity(v, t.Columns[col].Affinity)
}

// compile makes the plan of a statement.
func compile(s *schema.Schema, st parse.Stmt, foreignKeys bool) (*plan, error) {
	c := &compiler{schema: s, stmt: st, foreignKeys: foreignKeys}
	p := &plan{text: st.Text, version: s.Version, temp: s.Temp(), params: st.Params, keys: foreignKeys}
	if err := c.statement(p, st.Stmt); err != nil {
		return nil, err
	}
	if err := c.checkCollations(); err != nil {
		return nil, err
	}
	if c.noSolution {
		return nil, errorf("no query solution")
	}
	p.nRegs, p.nSubs, p.nKept, p.collNames, p.byLiteral = c.nRegs, c.nSubs, c.nKept, c.collNames, c.byLiteral
	p.volatile = p.write && len(c.programs) > 0
	if p.query != nil && p.run == nil {
		p.point = pointOf(p.query.node)
		wantAll(p.query.node)
	}
	p.describe()
	return p, nil
}

// changes reports whether a statement changes no rows, or else the name of the
// table whose rows it changes, folded.
func changes(stmt ast.Stmt) (none bool, table string) {
	switch n := stmt.(type) {
	case *ast.SelectStmt:
		return true, ""
	case *ast.InsertStmt:
		return false, fold(n.Table.Name.Name)
	case *ast.UpdateStmt:
		return false, fold(n.Table.Name.Name)
	case *ast.DeleteStmt:
		return false, fold(n.Table.Name.Name)
	}
	return false, ""
}

func (c *compiler) statement(p *plan, stmt ast.Stmt) error {
	if !c.inProgram {
		c.reading, c.changed = changes(stmt)
	}
	switch n := stmt.(type) {
	case *ast.SelectStmt:
		q, err := c.selectStmt(c.outer, n)
		p.query = q
		return err
	case *ast.InsertStmt:
		p.write, p.rows = true, true
		return c.insert(p, n)
	case *ast.UpdateStmt:
		p.write, p.rows = true, true
		return c.update(p, n)
	case *ast.DeleteStmt:
		p.write, p.rows = true, true
		return c.delete(p, n)
	case *ast.CreateTableStmt, *ast.CreateIndexStmt, *ast.CreateViewStmt, *ast.CreateTriggerStmt,
		*ast.DropTableStmt, *ast.DropIndexStmt, *ast.DropViewStmt, *ast.DropTriggerStmt, *ast.AlterTableStmt:
		p.write, p.ddl = true, true
		return c.ddl(p, n)
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseStmt:
		p.control = true
		p.run = func(f *frame) error { return f.s.control(f.ctx, stmt) }
		return nil
	case *ast.PragmaStmt:
		p.pragma = true
		return c.pragma(p, n)
	case *ast.ExplainStmt:
		return c.explain(p, n)
	case *ast.AnalyzeStmt:
		return c.analyze(p, n)
	case *ast.ReindexStmt:
		return c.reindex(p, n.Name)
	case *ast.VacuumStmt:
		return c.vacuum(p, n)
	case *ast.CreateVirtualTableStmt:
		return unsupported("virtual tables")
	case *ast.AttachStmt, *ast.DetachStmt:
		return unsupported("attached databases")
	}
	return unsupported("this statement")
}
