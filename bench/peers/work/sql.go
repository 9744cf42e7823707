package work

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The names of works in SQL.
const (
	SQLLoad   = "sql-load"   // bulk insert in key order, durable batches of 1000, one index
	SQLGet    = "sql-get"    // by primary key, prepared
	SQLText   = "sql-text"   // the same, each a text of its own
	SQLIndex  = "sql-index"  // by secondary index, 10 rows
	SQLRange  = "sql-range"  // 100 rows by primary key
	SQLScan   = "sql-scan"   // count, sum and max over all rows
	SQLGroup  = "sql-group"  // group by a column of six values
	SQLJoin   = "sql-join"   // each row with one of another table, in groups
	SQLOrder  = "sql-order"  // the largest ten of all rows
	SQLInsert = "sql-insert" // one row, durable
	SQLMixed  = "sql-mixed"  // durable transactions of sixteen lookups, two lists by index, an update and an insert
)

// An SQLEngine opens databases for database/sql.
type SQLEngine struct {
	Name      string
	Encrypted bool
	Volatile  bool // in memory: nothing is durable

	// Open creates what is absent. The pool has one connection.
	Open func(dir string, cache int64) (*stdsql.DB, func() error, error)
}

const sqlSchema = `
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, amount INTEGER NOT NULL, status TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX orders_customer ON orders (customer);`

const ordersOfCustomer = 10 // on average

// order is row i of orders, from 1 on.
type order struct {
	customer, amount int64
	status           string
}

type sqlTurn struct {
	turn
	db         *stdsql.DB
	nCustomers int
	nOrders    int
}

func (t *sqlTurn) order(i int) order {
	h := mix(uint64(i))
	return order{1 + int64(h%uint64(t.nCustomers)), int64(h >> 40 % 100_000), statuses[h>>32%uint64(len(statuses))]}
}

// note is 40 bytes that do not compress well.
func note(i int) string {
	h := mix(uint64(i) + 7)
	return fmt.Sprintf("%016x%016x%08x", h, mix(h), uint32(mix(h+1)))
}

func city(customer int64) string { return cities[mix(uint64(customer))%uint64(len(cities))] }

// RunSQL runs a turn of a database with SQL.
func RunSQL(s Spec, e SQLEngine) (figures []Figure, err error) {
	db, done, err := e.Open(s.Dir, s.Cache)
	if err != nil {
		return nil, fmt.Errorf("%s: open: %w", s.Engine, err)
	}
	t := &sqlTurn{turn: turn{Spec: s}, db: db, nCustomers: max(s.Rows/ordersOfCustomer, 1)}
	for _, do := range []func() error{t.load, t.lookups, t.aggregates, t.inserts, t.mixed} {
		if err = do(); err != nil {
			break
		}
	}
	if err = errors.Join(err, done()); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Engine, err)
	}
	return t.figures, nil
}

func (t *sqlTurn) load() error {
	if _, err := t.db.Exec(sqlSchema); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if err := t.insert("INSERT INTO customers VALUES (?, ?, ?)", t.nCustomers, func(i int) []any {
		return []any{i, names[mix(uint64(i))%uint64(len(names))] + " " + strconv.Itoa(i), city(int64(i))}
	}); err != nil {
		return err
	}
	began := time.Now()
	err := t.insert(insertOrder, t.Rows, func(i int) []any {
		o := t.order(i)
		return []any{i, o.customer, o.amount, o.status, note(i)}
	})
	t.add(SQLLoad, perRow(time.Since(began), t.Rows))
	t.nOrders = t.Rows
	if err != nil {
		return err
	}
	time.Sleep(min(4*time.Second, 8*t.Time)) // what the engine does behind a load is not to disturb others
	return t.meet()
}

// insert inserts rows 1 to n, batch rows to a transaction.
func (t *sqlTurn) insert(text string, n int, row func(i int) []any) error {
	for at := 1; at <= n; at += batch {
		tx, err := t.db.Begin()
		if err != nil {
			return err
		}
		stmt, err := tx.Prepare(text)
		for i := at; i < min(at+batch, n+1) && err == nil; i++ {
			_, err = stmt.Exec(row(i)...)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := errors.Join(stmt.Close(), tx.Commit()); err != nil {
			return err
		}
	}
	return nil
}

const (
	selectOrder  = "SELECT customer, amount, note FROM orders WHERE id = "
	selectOrders = "SELECT id, amount FROM orders WHERE customer = ?"
	insertOrder  = "INSERT INTO orders VALUES (?, ?, ?, ?, ?)"
)

// check reads the result of selectOrder and compares it with order i.
func (t *sqlTurn) check(i int, row *stdsql.Row) error {
	var customer, amount int64
	var text string
	if err := row.Scan(&customer, &amount, &text); err != nil {
		return fmt.Errorf("order %d: %w", i, err)
	}
	if o := t.order(i); customer != o.customer || amount != o.amount || len(text) != 40 {
		return fmt.Errorf("order %d: %d, %d, %q", i, customer, amount, text)
	}
	return nil
}

func (t *sqlTurn) lookups() (err error) {
	var stmts [3]*stdsql.Stmt
	for i, text := range []string{selectOrder + "?", selectOrders, "SELECT id, amount FROM orders WHERE id BETWEEN ? AND ?"} {
		if stmts[i], err = t.db.Prepare(text); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stmts[i].Close()) }()
	}
	each := func(work string, one func(i int) error) timedWork {
		return timedWork{work, func(n int) error {
			rng := newRand(20)
			for range n {
				if err := one(1 + rng.IntN(t.Rows)); err != nil {
					return fmt.Errorf("%s: %w", work, err)
				}
			}
			return nil
		}}
	}
	return t.timed(
		each(SQLGet, func(i int) error { return t.check(i, stmts[0].QueryRow(i)) }),
		each(SQLText, func(i int) error { return t.check(i, t.db.QueryRow(selectOrder+strconv.Itoa(i))) }),
		each(SQLIndex, func(i int) error { return t.list(i, stmts[1]) }),
		each(SQLRange, func(i int) error {
			n, err := t.rows(stmts[2], func(_, _ int64) {}, i, i+99)
			if want := min(100, t.Rows-i+1); err == nil && n != want {
				err = fmt.Errorf("%d rows from %d on, not %d", n, i, want)
			}
			return err
		}),
	)
}

// list reads the orders of the customer of order i, which must be among them.
func (t *sqlTurn) list(i int, stmt *stdsql.Stmt) error {
	found := false
	_, err := t.rows(stmt, func(id, _ int64) { found = found || id == int64(i) }, t.order(i).customer)
	if err == nil && !found {
		err = fmt.Errorf("order %d is not among its customer's", i)
	}
	return err
}

func (t *sqlTurn) rows(stmt *stdsql.Stmt, visit func(a, b int64), args ...any) (n int, err error) {
	rows, err := stmt.Query(args...)
	if err != nil {
		return 0, err
	}
	for rows.Next() {
		var a, b int64
		if err := rows.Scan(&a, &b); err != nil {
			return n, errors.Join(err, rows.Close())
		}
		visit(a, b)
		n++
	}
	return n, errors.Join(rows.Err(), rows.Close())
}

// aggregates reads whole tables and compares with what the rows are made from.
func (t *sqlTurn) aggregates() error {
	byStatus, byCity := map[string]int64{}, map[string]int64{}
	top, sum := make([]int64, 0, t.Rows), int64(0)
	for i := 1; i <= t.Rows; i++ {
		o := t.order(i)
		sum += o.amount
		byStatus[o.status] += o.amount
		byCity[city(o.customer)] += o.amount
		top = append(top, o.amount)
	}
	slices.Sort(top)
	largest := map[string]int64{}
	for rank := range min(10, t.Rows) {
		largest[strconv.Itoa(rank)] = top[t.Rows-1-rank]
	}
	queries := []struct {
		work, text string
		want       map[string]int64
	}{
		{SQLScan, "SELECT count(*), sum(amount) + max(length(note)) FROM orders", map[string]int64{strconv.Itoa(t.Rows): sum + 40}},
		{SQLGroup, "SELECT status, sum(amount) FROM orders GROUP BY status", byStatus},
		{SQLJoin, "SELECT c.city, sum(o.amount) FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.city", byCity},
		{SQLOrder, "SELECT id, amount FROM orders ORDER BY amount DESC LIMIT 10", largest},
	}
	best := make([]float64, len(queries))
	for turn := range 3 { // the first fills the cache
		for i, q := range queries {
			if err := t.pass(); err != nil {
				return err
			}
			began := time.Now()
			got, err := t.pairs(q.text, q.work == SQLOrder)
			took := perRow(time.Since(began), t.Rows)
			if err != nil {
				return fmt.Errorf("%s: %w", q.work, err)
			}
			if !equal(got, q.want) {
				return fmt.Errorf("%s: %v, not %v", q.work, got, q.want)
			}
			if turn < 2 || took < best[i] {
				best[i] = took
			}
		}
	}
	for i, q := range queries {
		t.add(q.work, best[i])
	}
	return t.meet()
}

// pairs returns a query's rows by their first column, or by their rank.
func (t *sqlTurn) pairs(text string, ranked bool) (map[string]int64, error) {
	rows, err := t.db.Query(text)
	if err != nil {
		return nil, err
	}
	got := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if ranked {
			name = strconv.Itoa(len(got))
		}
		got[name] = n
	}
	return got, errors.Join(rows.Err(), rows.Close())
}

func equal(a, b map[string]int64) bool {
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return len(a) == len(b)
}
