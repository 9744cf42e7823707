package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// StatsTable is the table in which ANALYZE keeps what it counted: one row
// (tbl, idx, stat) for each index, and one with idx NULL for each table without.
const StatsTable = "sqlite_stat1"

// StatsText is the CREATE TABLE text of StatsTable.
const StatsText = "CREATE TABLE " + StatsTable + "(tbl,idx,stat)"

// TableStats are what ANALYZE counted of a table.
type TableStats struct {
	Rows int64
}

// loadStats reads StatsTable into the tables and indexes that it is about.
func (s *Schema) loadStats(tx *engine.Tx) error {
	t := s.Table(StatsTable)
	if t == nil || t.IsView() {
		return nil
	}
	c, err := tx.Collection(t.Collection())
	if err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	cur := c.Cursor(nil, nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	for cur.Next() {
		row, err := record.Decode(cur.Value())
		if err != nil {
			return err
		}
		if len(row) == 3 {
			s.addStat(row[0], row[1], row[2])
		}
	}
	if err := cur.Err(); err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	return nil
}

// addStat enters one row; what means nothing is passed over, as SQLite does.
func (s *Schema) addStat(tbl, idx, stat value.Value) {
	t := s.Table(tbl.Str())
	if t == nil || stat.Kind() != value.Text {
		return
	}
	var counts []int64
	for word := range strings.FieldsSeq(stat.Str()) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 {
			break
		}
		counts = append(counts, n)
	}
	if len(counts) == 0 {
		return
	}
	if idx.IsNull() || ast.SameName(idx.Str(), t.Name) {
		t.Stats = &TableStats{Rows: counts[0]}
		return
	}
	ix := s.Index(idx.Str())
	if ix == nil || ix.Table != t {
		return
	}
	ix.Stats = counts[1:]
	if ix.Where == nil && t.Stats == nil {
		t.Stats = &TableStats{Rows: counts[0]}
	}
}

// CreateStats makes StatsTable in s, which is not joined, if there is none, and gives the schema a new
// version in any case: plans are made anew.
func CreateStats(tx *engine.Tx, s *Schema) error {
	w, err := newWriter(tx, s.Place())
	if err != nil {
		return err
	}
	if s.Table(StatsTable) == nil {
		id := w.nextID()
		if _, err := tx.CreateCollection((&Table{place: s.place, Root: id}).Collection()); err != nil {
			return fmt.Errorf("create table: %w", err)
		}
		if err := w.put(Object{Type: "table", Name: StatsTable, Table: StatsTable, Root: id, SQL: StatsText, id: id}); err != nil {
			return err
		}
	}
	return w.finish()
}
