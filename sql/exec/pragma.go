package exec

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// pragmaCollection holds the numbers that applications keep with a database:
// the pragma's name → 8 B, big-endian.
const pragmaCollection = "sql/pragma"

func text(s string) value.Value   { return value.NewText(s) }
func integer(i int64) value.Value { return value.NewInt(i) }
func boolean(b bool) value.Value  { return value.NewBool(b) }
func optional(s string) value.Value {
	if s == "" {
		return value.Value{}
	}
	return text(s)
}

// tablePragma is a pragma that is a table too.
type tablePragma struct {
	cols []string
	rows func(s *schema.Schema, arg string) [][]value.Value
	// run is in place of rows where it takes the rows of tables, or the session.
	run func(f *frame, s *schema.Schema, arg string) ([][]value.Value, error)
	// fill is in their place where the rows may be too many for memory.
	fill func(f *frame, s *schema.Schema, arg string, add addFn) error
	// hidden are the columns of the table that take the argument and the schema.
	hidden []string
}

// answer computes the rows.
func (tp *tablePragma) answer(f *frame, s *schema.Schema, arg string) ([][]value.Value, error) {
	if tp.run != nil {
		return tp.run(f, s, arg)
	}
	return tp.rows(s, arg), nil
}

// lookupTablePragma returns the pragma of a name in lower case that describes
// the database, a table or an index, or checks their rows.
func lookupTablePragma(name string) (tablePragma, bool) {
	tp, ok := describingPragma(name)
	if ok {
		tp.hidden = []string{"arg", "schema"}
	}
	switch name {
	case "table_list":
		tp.hidden = tp.hidden[:1]
	case "database_list", "collation_list", "function_list", "module_list", "pragma_list", "compile_options":
		tp.hidden = nil
	}
	return tp, ok
}

// tablePragmas are the names that describingPragma knows.
var tablePragmas = []string{
	"table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list", "table_list", "database_list",
	"collation_list", "foreign_key_check", "integrity_check", "quick_check", "function_list", "module_list", "pragma_list", "compile_options",
}

func describingPragma(name string) (tablePragma, bool) {
	switch name {
	case "table_info":
		return tablePragma{cols: []string{"cid", "name", "type", "notnull", "dflt_value", "pk"}, rows: tableInfo}, true
	case "table_xinfo":
		return tablePragma{cols: []string{"cid", "name", "type", "notnull", "dflt_value", "pk", "hidden"}, rows: tableXInfo}, true
	case "index_list":
		return tablePragma{cols: []string{"seq", "name", "unique", "origin", "partial"}, rows: indexList}, true
	case "index_info":
		return tablePragma{cols: []string{"seqno", "cid", "name"}, rows: indexInfo}, true
	case "index_xinfo":
		return tablePragma{cols: []string{"seqno", "cid", "name", "desc", "coll", "key"}, rows: indexXInfo}, true
	case "foreign_key_list":
		return tablePragma{cols: []string{"id", "seq", "table", "from", "to", "on_update", "on_delete", "match"}, rows: foreignKeyList}, true
	case "table_list":
		return tablePragma{cols: []string{"schema", "name", "type", "ncol", "wr", "strict"}, rows: tableList}, true
	case "database_list":
		return tablePragma{cols: []string{"seq", "name", "file"}, rows: databaseList}, true
	case "collation_list":
		return tablePragma{cols: []string{"seq", "name"}, rows: collationList}, true
	case "function_list":
		return tablePragma{cols: []string{"name", "builtin", "type", "enc", "narg", "flags"}, rows: functionList}, true
	case "module_list":
		return tablePragma{cols: []string{"name"}, rows: moduleList}, true
	case "pragma_list":
		return tablePragma{cols: []string{"name"}, rows: pragmaList}, true
	case "compile_options":
		return tablePragma{cols: []string{"compile_options"}, rows: compileOptions}, true
	case "foreign_key_check":
		return tablePragma{cols: []string{"table", "rowid", "parent", "fkid"}, fill: foreignKeyCheck}, true
	case "integrity_check", "quick_check":
		return tablePragma{cols: []string{name}, fill: func(f *frame, s *schema.Schema, arg string, add addFn) error {
			return checkIntegrity(f, s, arg, name == "quick_check", integrityFaults, add)
		}}, true
	}
	return tablePragma{}, false
}

func databaseList(s *schema.Schema, _ string) [][]value.Value {
	rows := [][]value.Value{{integer(0), text("main"), text("")}}
	if s.HasTemp() {
		rows = append(rows, []value.Value{integer(1), text("temp"), text("")})
	}
	return rows
}

func collationList(*schema.Schema, string) [][]value.Value {
	return [][]value.Value{{integer(0), text("RTRIM")}, {integer(1), text("NOCASE")}, {integer(2), text("BINARY")}}
}

// fixed pragmas have one value that cannot be changed; setting it to
// something else is accepted where it only tunes.
var fixedPragmas = map[string]value.Value{
	"journal_mode": text("wal"), "encoding": text("UTF-8"), "synchronous": integer(2),
	"cache_size": integer(-2000), "page_size": integer(pageSize), "temp_store": integer(2), "mmap_size": integer(0),
	"auto_vacuum": integer(0), "locking_mode": text("normal"),
	"secure_delete": integer(1), "journal_size_limit": integer(-1), "wal_autocheckpoint": integer(1000),
	"ignore_check_constraints": integer(0),
	"case_sensitive_like":      integer(0), "read_uncommitted": integer(0),
	"automatic_index": integer(1), "cell_size_check": integer(0), "threads": integer(0), "soft_heap_limit": integer(0),
	"hard_heap_limit": integer(0), "analysis_limit": integer(0), "cache_spill": integer(1), "fullfsync": integer(0), "checkpoint_fullfsync": integer(0),
	"trusted_schema": integer(1), "writable_schema": integer(0), "reverse_unordered_selects": integer(0), "count_changes": integer(0),
	"empty_result_callbacks": integer(0), "full_column_names": integer(0), "short_column_names": integer(1),
}

// pageSize is the number that PRAGMA page_size gives, and page_count counts by.
const pageSize = 16384

func (c *compiler) pragma(p *plan, n *ast.PragmaStmt) error {
	name := fold(n.Name.Name.Name)
	in, err := c.database(n.Name)
	if err != nil {
		return err
	}
	arg := unquote(n.Value)
	if name == "integrity_check" || name == "quick_check" {
		c.integrityPragma(p, name, n)
		return nil
	}
	if tp, ok := lookupTablePragma(name); ok {
		if tp.fill == nil {
			c.staticRows(p, tp.cols, tp.rows(in, arg))
			return nil
		}
		c.filledRows(p, tp.cols, func(f *frame, add addFn) error {
			return f.withDatabase(n.Name, func(s *schema.Schema) error { return tp.fill(f, s, arg, add) })
		})
		return nil
	}
	switch name {
	case "user_version", "application_id":
		c.storedPragma(p, name, in.Place() != schema.Main, n)
		return nil
	case "schema_version":
		return c.schemaVersion(p, in, n)
	case "busy_timeout":
		return c.busyTimeout(p, n)
	case "page_count", "freelist_count":
		tp, _ := settingPragma(name)
		c.dynamicRows(p, tp.cols, func(f *frame) ([][]value.Value, error) { return tp.run(f, nil, "") })
		return nil
	case "optimize", "shrink_memory", "incremental_vacuum":
		p.run = func(*frame) error { return nil }
		return nil
	case "wal_checkpoint":
		c.staticRows(p, []string{"busy", "log", "checkpointed"}, [][]value.Value{{integer(0), integer(0), integer(0)}})
		return nil
	}
	if c.sessionSetting(p, name, n) {
		return nil
	}
	v, ok := fixedPragmas[name]
	if !ok {
		return unsupported("PRAGMA " + n.Name.Name.Name)
	}
	if !n.HasValue {
		c.staticRows(p, []string{name}, [][]value.Value{{v}})
		return nil
	}
	if changesResults(name, isOn(arg)) {
		return unsupported("PRAGMA " + name)
	}
	if name == "journal_mode" || name == "locking_mode" {
		c.staticRows(p, []string{name}, [][]value.Value{{v}})
		return nil
	}
	p.run = func(*frame) error { return nil }
	return nil
}

// database returns the schema that a qualifier confines names to.
func (c *compiler) database(q *ast.QualifiedName) (*schema.Schema, error) {
	if q.Schema == nil {
		return c.schema, nil
	}
	in := c.schema.Catalog(q.Schema.Name)
	if in == nil {
		return nil, errorf("unknown database %s", q.Schema.Name)
	}
	return in, nil
}

func unquote(s string) string {
	if len(s) >= 2 {
		switch q := s[0]; q {
		case '\'', '"', '`':
			return strings.ReplaceAll(s[1:len(s)-1], string(q)+string(q), string(q))
		case '[':
			return s[1 : len(s)-1]
		}
	}
	return s
}

func isOn(s string) bool {
	switch strings.ToLower(s) {
	case "on", "yes", "true":
		return true
	}
	i, err := strconv.Atoi(s)
	return err == nil && i != 0
}

func (c *compiler) schemaVersion(p *plan, in *schema.Schema, n *ast.PragmaStmt) error {
	if n.HasValue {
		return unsupported("setting PRAGMA schema_version")
	}
	c.staticRows(p, []string{"schema_version"}, [][]value.Value{{integer(int64(in.Version >> 32))}})
	return nil
}

func (c *compiler) busyTimeout(p *plan, n *ast.PragmaStmt) error {
	set := int64(-1)
	if n.HasValue {
		ms, err := strconv.ParseInt(n.Value, 10, 32)
		if err != nil {
			return errorf("PRAGMA busy_timeout takes a number of milliseconds")
		}
		set = max(ms, 0)
	}
	c.dynamicRows(p, []string{"timeout"}, func(f *frame) ([][]value.Value, error) {
		if set >= 0 {
			f.s.busy = time.Duration(set) * time.Millisecond
		}
		return [][]value.Value{{integer(f.s.busy.Milliseconds())}}, nil
	})
	return nil
}

func (c *compiler) storedPragma(p *plan, name string, temp bool, n *ast.PragmaStmt) {
	if !n.HasValue {
		c.dynamicRows(p, []string{name}, func(f *frame) ([][]value.Value, error) {
			i, err := f.pragmaNumber(name, temp)
			return [][]value.Value{{integer(i)}}, err
		})
		return
	}
	i := pragmaInteger(unquote(n.Value))
	p.write = true
	p.run = func(f *frame) error {
		if temp {
			f.s.openTemp()
		}
		coll, err := f.tx.CreateCollectionIfNotExists(f.s.pragmas(temp))
		if err != nil {
			return err
		}
		return coll.Put([]byte(name), binary.BigEndian.AppendUint64(nil, uint64(int64(i))))
	}
}

// pragmaInteger reads a number as SQLite does: up to the first other letter, and
// what does not fit is 0.
func pragmaInteger(s string) int32 {
	s, negative := strings.CutPrefix(strings.TrimPrefix(s, "+"), "-")
	base, digits := 10, "0123456789"
	if len(s) > 2 && strings.EqualFold(s[:2], "0x") && !negative {
		s, base, digits = s[2:], 16, "0123456789abcdefABCDEF"
	}
	i, err := strconv.ParseInt(s[:len(s)-len(strings.TrimLeft(s, digits))], base, 64)
	if negative {
		i = -i
	}
	if err != nil || i != int64(int32(i)) {
		return 0
	}
	return int32(i)
}

// pragmas is the name of the collection with the numbers of main or temp. That of
// temp goes with the session's temporary objects.
func (s *Session) pragmas(temp bool) string {
	if temp {
		return string(s.temp.place) + "pragma"
	}
	return pragmaCollection
}

func (f *frame) pragmaNumber(name string, temp bool) (int64, error) {
	if temp && f.s.temp == nil {
		return 0, nil
	}
	coll, err := f.tx.Collection(f.s.pragmas(temp))
	if errors.Is(err, engine.ErrNoCollection) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	b, err := coll.Get([]byte(name))
	if errors.Is(err, engine.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(b) != 8 {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func tableInfo(s *schema.Schema, arg string) [][]value.Value {
	var rows [][]value.Value
	for _, r := range tableXInfo(s, arg) {
		if r[6].Int() == 0 { // no generated column
			r[0] = integer(int64(len(rows)))
			rows = append(rows, r[:6])
		}
	}
	return rows
}

func tableXInfo(s *schema.Schema, arg string) [][]value.Value {
	t := s.Table(arg)
	if t == nil {
		return nil
	}
	var rows [][]value.Value
	for i, col := range columnsOf(s, t) {
		rows = append(rows, []value.Value{
			integer(int64(i)), text(col.Name), text(standardType(col.DeclType)), boolean(col.NotNull), optional(col.DefaultText), integer(int64(col.PKIndex)), integer(hiddenKind(&col)),
		})
	}
	return rows
}

// standardType returns a declared type as SQLite shows it: its own types in
// upper case, others as written.
func standardType(declared string) string {
	switch up := strings.ToUpper(declared); up {
	case "ANY", "BLOB", "INT", "INTEGER", "REAL", "TEXT":
		return up
	}
	return declared
}

// hiddenKind is the number that PRAGMA table_xinfo gives a column's kind.
func hiddenKind(col *schema.Column) int64 {
	switch {
	case col.Generated == nil:
		return 0
	case col.Stored:
		return 3
	}
	return 2
}

// columnsOf returns the columns of a table, or those that a view's query gives.
func columnsOf(s *schema.Schema, t *schema.Table) []schema.Column {
	if !t.IsView() {
		return t.Columns
	}
	c := &compiler{schema: s}
	src, err := c.viewSource(t)
	if err != nil {
		return nil
	}
	var out []schema.Column
	for _, col := range src.cols {
		declared := col.declType
		if col.hasAff && (declared == "" || value.AffinityOf(declared) != col.aff) {
			declared = affinityType(col.aff)
		}
		out = append(out, schema.Column{Name: col.name, DeclType: declared})
	}
	return out
}

func indexList(s *schema.Schema, arg string) [][]value.Value {
	t := s.Table(arg)
	if t == nil {
		return nil
	}
	var rows [][]value.Value
	for _, ix := range slices.Backward(t.Created()) {
		if ix == nil {
			ix = &schema.Index{Name: primaryName(t), Unique: true, Origin: schema.OriginPrimaryKey}
		}
		rows = append(rows, []value.Value{
			integer(int64(len(rows))), text(ix.Name), boolean(ix.Unique), text(string(ix.Origin)), boolean(ix.Where != nil),
		})
	}
	return rows
}

// primaryName is the name that SQLite gives the index of a primary key.
func primaryName(t *schema.Table) string { return "sqlite_autoindex_" + t.Name + "_1" }

// indexXInfo lists the columns of an index, and those that SQLite keeps in it
// besides: the row id, or the key of a table WITHOUT ROWID.
func indexXInfo(s *schema.Schema, arg string) [][]value.Value {
	if ix := s.Index(arg); ix != nil {
		return keyInfo(ix.Table, indexKey(ix), string(ix.Origin))
	}
	for _, in := range slices.Backward(s.Databases()) {
		for _, t := range in.Tables {
			if t.PrimaryKey != nil && ast.SameName(primaryName(t), arg) {
				key := tableKey(t)
				for i := range key {
					key[i].desc = t.PKDesc[i]
				}
				return keyInfo(t, key, "")
			}
		}
	}
	return nil
}

// keyInfo does; the key of the table itself has no origin.
func keyInfo(t *schema.Table, key []keyColumn, origin string) (rows [][]value.Value) {
	add := func(kc keyColumn, inKey bool) {
		name := value.Value{}
		if kc.col >= 0 {
			name = text(t.Columns[kc.col].Name)
		}
		rows = append(rows, []value.Value{
			integer(int64(len(rows))), integer(int64(kc.col)), name, boolean(kc.desc), text(kc.coll.String()), boolean(inKey),
		})
	}
	for _, kc := range key {
		add(kc, true)
	}
	switch {
	case !t.WithoutRowID:
		add(keyColumn{col: -1}, false)
	case origin == "":
		for i := range t.Columns {
			if (t.Columns[i].Generated == nil || t.Columns[i].Stored) && !slices.ContainsFunc(key, func(kc keyColumn) bool { return kc.col == i }) {
				add(keyColumn{col: i, coll: t.Columns[i].Collation}, false)
			}
		}
	default:
		for i, pk := range tableKey(t) {
			pk.desc = t.PKDesc[i] && origin == string(schema.OriginCreate) // SQLite forgets it for constraints
			if !slices.ContainsFunc(key, func(kc keyColumn) bool { return kc.col == pk.col && kc.coll == pk.coll }) {
				add(pk, false)
			}
		}
	}
	return rows
}

func indexInfo(s *schema.Schema, arg string) [][]value.Value {
	rows := indexXInfo(s, arg)
	rows = slices.DeleteFunc(rows, func(r []value.Value) bool { return r[5].Int() == 0 })
	for i := range rows {
		rows[i] = rows[i][:3]
	}
	return rows
}

func foreignKeyList(s *schema.Schema, arg string) [][]value.Value {
	t := s.Table(arg)
	if t == nil {
		return nil
	}
	var rows [][]value.Value
	for n, fk := range slices.Backward(t.ForeignKeys) {
		match := fk.Match
		if match == "" {
			match = "NONE"
		}
		for i, col := range fk.Columns {
			to := value.Value{}
			if i < len(fk.ParentCols) {
				to = text(fk.ParentCols[i])
			}
			rows = append(rows, []value.Value{
				integer(int64(len(t.ForeignKeys) - 1 - n)), integer(int64(i)), text(fk.Parent), text(t.Columns[col].Name), to,
				text(fk.OnUpdate.String()), text(fk.OnDelete.String()), text(match),
			})
		}
	}
	return rows
}

func tableList(s *schema.Schema, arg string) [][]value.Value {
	var rows [][]value.Value
	for _, in := range s.Databases() {
		add := func(name, kind string, columns int, withoutRowID, strict bool) {
			if arg == "" || ast.SameName(arg, name) {
				rows = append(rows, []value.Value{
					text(in.Name()), text(name), text(kind), integer(int64(columns)), boolean(withoutRowID), boolean(strict),
				})
			}
		}
		for _, t := range in.Tables {
			kind := "table"
			if t.IsView() {
				kind = "view"
			}
			add(t.Name, kind, len(columnsOf(s, t)), t.WithoutRowID, t.Strict)
		}
		if slices.ContainsFunc(in.Tables, func(t *schema.Table) bool { return t.AutoIncrement }) {
			add(sequenceName, "table", 2, false, false)
		}
		own := "sqlite_schema"
		if in.Place() != schema.Main {
			own = "sqlite_temp_schema"
		}
		add(own, "table", 5, false, false)
	}
	return rows
}
