package ingest

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/byokdb/byokdb/testdata"
)

// texts returns a query's rows, the values joined with '|' and NULL as ∅.
func texts(t *testing.T, db *stdsql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = fmt.Sprint(v)
			if v == nil {
				cells[i] = "∅"
			}
			if b, ok := v.([]byte); ok {
				cells[i] = string(b)
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// shape returns the columns of a table with their declared types.
func shape(t *testing.T, db *stdsql.DB, table string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+quoteName(table)+" LIMIT 0")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // only read
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, ct := range types {
		out = append(out, ct.Name()+" "+ct.DatabaseTypeName())
	}
	return strings.Join(out, ", ")
}

func mustIngest(t *testing.T, db *stdsql.DB, table, in string, o Options) Result {
	t.Helper()
	res, err := Ingest(t.Context(), db, table, strings.NewReader(in), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTypesAreLearned(t *testing.T) {
	tests := []struct {
		name, in, shape string
		rows            []string
	}{
		{
			"json", `{"i":1,"r":1,"s":"x","b":true,"o":{"k":[1]},"n":null}{"i":-2,"r":2.5,"s":"","b":false,"o":[],"n":null}`,
			"i INTEGER, r REAL, s TEXT, b BOOLEAN, o JSON TEXT, n TEXT",
			[]string{`1|1|x|true|{"k":[1]}|∅`, `-2|2.5||false|[]|∅`},
		},
		{
			"integers stay exact beside reals", `{"a":9007199254740993}{"a":0.5}`,
			"a NUMERIC",
			[]string{"9007199254740993", "0.5"},
		},
		{
			"integers beyond 64 bits stay exact", `{"a":1}{"a":18446744073709551617}`,
			"a TEXT",
			[]string{"1", "18446744073709551617"},
		},
		{"mixed is text", `{"a":1}{"a":"x"}{"a":true}`, "a TEXT", []string{"1", "x", "true"}},
		{
			"csv", "id,zip,price,ok,note\n1,01234,1.5,true,\n2,98765,2,false,x\n",
			"id INTEGER, zip TEXT, price REAL, ok BOOLEAN, note TEXT",
			[]string{"1|01234|1.5|true|∅", "2|98765|2|false|x"},
		},
		{
			"documents beside other values are JSON", `{"a":{"k":"<é>"}}{"a":"it's \"x\""}{"a":12}{"a":true}{"a":null}{"a":18446744073709551617}{"a":[]}`,
			"a JSON TEXT",
			[]string{`{"k":"<é>"}`, `"it's \"x\""`, "12", "true", "∅", "18446744073709551617", "[]"},
		},
		{"missing fields are NULL", `{"a":1}{"b":2}`, "a INTEGER, b INTEGER", []string{"1|∅", "∅|2"}},
		{"names of one spelling in any case", `{"Name":"a"}{"NAME":"b"}{"name":"c"}`, "Name TEXT", []string{"a", "b", "c"}},
		{"names that clash in one record", `{"id":1,"ID":2}{"ID":4,"id":3}`, "id INTEGER, ID_2 INTEGER", []string{"1|2", "3|4"}},
		{"csv names that clash", "a,A,a\n1,2,3\n", "a INTEGER, A_2 INTEGER, a_3 INTEGER", []string{"1|2|3"}},
		{"odd names", `{"":1,"a\"b":2,"select":3,"x y":4,"é;--":5}`, `field INTEGER, a"b INTEGER, select INTEGER, x y INTEGER, é;-- INTEGER`, []string{"1|2|3|4|5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDB(t)
			res := mustIngest(t, db, "t", tt.in, Options{})
			if !res.Created || res.Rows != int64(len(tt.rows)) || res.Batches != 1 || res.Bytes != int64(len(tt.in)) {
				t.Errorf("result %+v", res)
			}
			if got := shape(t, db, "t"); got != tt.shape {
				t.Errorf("columns %q, want %q", got, tt.shape)
			}
			if got := texts(t, db, "SELECT * FROM t"); !slices.Equal(got, tt.rows) {
				t.Errorf("rows %q, want %q", got, tt.rows)
			}
		})
	}
}

func TestLaterValuesThatDoNotFitAreKept(t *testing.T) {
	db := openDB(t)
	var b strings.Builder
	for i := range sampleRows + 1 {
		fmt.Fprintf(&b, "{\"n\":%d}\n", i)
	}
	b.WriteString(`{"n":"word"}{"n":1.5}{"n":{"k":1}}`)
	mustIngest(t, db, "t", b.String(), Options{BatchRows: 100})
	got := texts(t, db, "SELECT n, typeof(n) FROM t LIMIT -1 OFFSET ?", sampleRows)
	want := []string{"1000|integer", "word|text", "1.5|real", `{"k":1}|text`}
	if !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestDocuments asks documents about what is in them.
func TestDocuments(t *testing.T) {
	db := openDB(t)
	mustIngest(t, db, "orders", `
		{"id":1,"customer":{"name":"ann","address":{"city":"Ulm","tags":["a","b"]}},"items":[{"sku":"x","n":2},{"sku":"y","n":1}]}
		{"id":2,"customer":{"name":"bob"},"items":[]}
		{"id":3,"customer":"guest","items":null}`, Options{})
	for query, want := range map[string][]string{
		"SELECT id, customer->>'$.address.city' FROM orders ORDER BY id":                                              {"1|Ulm", "2|∅", "3|∅"},
		"SELECT customer->>'$' FROM orders WHERE id = 3":                                                              {"guest"},
		"SELECT count(*) FROM orders WHERE json_valid(customer)":                                                      {"3"},
		"SELECT json_type(customer), json_type(items) FROM orders ORDER BY id":                                        {"object|array", "object|array", "text|∅"},
		"SELECT json_group_array(json_extract(customer, '$.name')) FROM orders WHERE customer->>'$.name' IS NOT NULL": {`["ann","bob"]`},
	} {
		if got := texts(t, db, query); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", query, got, want)
		}
	}
	// Later documents, and a table that was made for them.
	mustIngest(t, db, "orders", `{"id":4,"customer":{"name":"cat"},"extra":{"deep":[[1]]}}`, Options{})
	if got := texts(t, db, "SELECT extra->>'$.deep[0][0]' FROM orders WHERE id = 4"); got[0] != "1" {
		t.Errorf("a column that came later: %q", got)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE own (id INTEGER PRIMARY KEY, doc JSON)"); err != nil {
		t.Fatal(err)
	}
	mustIngest(t, db, "own", `{"doc":"text"}{"doc":{"a":1}}{"doc":1.50}`, Options{})
	if got, want := texts(t, db, "SELECT doc, doc->>'$' FROM own ORDER BY id"), []string{`"text"|text`, `{"a":1}|{"a":1}`, "1.5|1.5"}; !slices.Equal(got, want) {
		t.Errorf("a table with a JSON column: %q", got)
	}
}

func TestTableIsWidened(t *testing.T) {
	db := openDB(t)
	mustIngest(t, db, "t", `{"a":1}`, Options{})
	res := mustIngest(t, db, "T", `{"A":2,"b":"x"}{"c":true,"b":"y"}`, Options{})
	if res.Created || !reflect.DeepEqual(res.AddedColumns, []string{"b", "c"}) {
		t.Errorf("result %+v", res)
	}
	if got, want := texts(t, db, "SELECT * FROM t"), []string{"1|∅|∅", "2|x|∅", "∅|y|true"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	// Within one ingestion too, behind the sample.
	in := strings.Repeat("{\"a\":5}\n", sampleRows) + `{"d":7}`
	res = mustIngest(t, db, "u", in, Options{})
	if !res.Created || !reflect.DeepEqual(res.AddedColumns, []string{"d"}) || res.Batches != 2 {
		t.Errorf("result %+v", res)
	}
	if got := texts(t, db, "SELECT count(*), count(a), sum(d) FROM u"); got[0] != "1001|1000|7" {
		t.Errorf("counts %q", got)
	}
}

func TestTableWithAKeyTakesMissingKeysByItself(t *testing.T) {
	db := openDB(t)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER DEFAULT 7)"); err != nil {
		t.Fatal(err)
	}
	mustIngest(t, db, "t", "v\nx\ny\n", Options{})
	if got, want := texts(t, db, "SELECT id, v, n FROM t ORDER BY id"), []string{"1|x|7", "2|y|7"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

func TestConstraintStopsTheBatch(t *testing.T) {
	db := openDB(t)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	res, err := Ingest(t.Context(), db, "t", strings.NewReader("id\n1\n2\n3\n4\n2\n"), Options{BatchRows: 2})
	var ie *Error
	if !errors.As(err, &ie) || ie.RowsDurable != 4 || ie.Skip != 4 || res.Rows != 4 {
		t.Fatalf("result %+v, error %+v", res, err)
	}
	if got := texts(t, db, "SELECT count(*), sum(id) FROM t"); got[0] != "4|10" {
		t.Errorf("rows %q", got)
	}
}

func TestBadRowLeavesWholeBatches(t *testing.T) {
	const good = 2500
	for _, batch := range []int{1, 999, 1000, 1001, 2500, 2501} {
		db := openDB(t)
		in := strings.Repeat("{\"a\":1}\n", good) + "{\"a\":oops}\n" + strings.Repeat("{\"a\":1}\n", 10)
		if batch == 1 {
			in = in[8*(good-20):] // 20 transactions are enough
		}
		n := strings.Index(in, "oops") / 8
		res, err := Ingest(t.Context(), db, "t", strings.NewReader(in), Options{BatchRows: batch})
		var ie *Error
		if !errors.As(err, &ie) || !errors.Is(err, ErrFormat) {
			t.Fatalf("batch %d: error %v", batch, err)
		}
		if ie.Record != int64(n+1) || ie.Line != int64(n+1) || strings.Contains(err.Error(), "oops") {
			t.Errorf("batch %d: error %+v", batch, ie)
		}
		if res.Rows != ie.RowsDurable || res.Rows%int64(batch) != 0 || res.Rows > int64(n) {
			t.Errorf("batch %d: %d rows durable of %d", batch, res.Rows, n)
		}
		if res.Rows > 0 {
			if got := texts(t, db, "SELECT count(*) FROM t"); got[0] != fmt.Sprint(res.Rows) {
				t.Errorf("batch %d: table has %s rows, the result says %d", batch, got[0], res.Rows)
			}
		}
	}
}

func TestInterruptionAndGoingOn(t *testing.T) {
	db := openDB(t)
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "{\"a\":%d}\n", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res, err := Ingest(ctx, db, "t", strings.NewReader(b.String()), Options{BatchRows: 500, Progress: func(rows, bytes int64) {
		if bytes <= 0 {
			t.Errorf("progress of %d rows from %d bytes", rows, bytes)
		}
		if rows >= 2000 {
			cancel()
		}
	}})
	var ie *Error
	if !errors.As(err, &ie) || !errors.Is(err, context.Canceled) || ie.RowsDurable != 2000 || res.Rows != 2000 {
		t.Fatalf("result %+v, error %v", res, err)
	}
	if got := texts(t, db, "SELECT count(*), max(a) FROM t"); got[0] != "2000|1999" {
		t.Fatalf("after the interruption: %q", got)
	}
	mustIngest(t, db, "t", b.String(), Options{Skip: ie.Skip})
	if got := texts(t, db, "SELECT count(*), count(DISTINCT a), max(a) FROM t"); got[0] != "5000|5000|4999" {
		t.Errorf("after going on: %q", got)
	}
}

func TestReadFaultSaysHowFarItGot(t *testing.T) {
	db := openDB(t)
	fault := errors.New("fault")
	in := io.MultiReader(strings.NewReader(strings.Repeat("a,b\n", 1200)), iotest.ErrReader(fault))
	_, err := Ingest(t.Context(), db, "t", in, Options{})
	var ie *Error
	if !errors.As(err, &ie) || !errors.Is(err, fault) || ie.RowsDurable != 1000 {
		t.Fatalf("error %+v", err)
	}
}

func TestNothingToIngest(t *testing.T) {
	db := openDB(t)
	for _, in := range []string{"", "\n", "[]", "a,b\n", "{}"} {
		if _, err := Ingest(t.Context(), db, "t", strings.NewReader(in), Options{}); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: error %v, want ErrEmpty", in, err)
		}
	}
	mustIngest(t, db, "t", `{"a":1}`, Options{})
	if res := mustIngest(t, db, "t", "", Options{}); res.Rows != 0 {
		t.Errorf("nothing into a table that is there: %+v", res)
	}
	if _, err := Ingest(t.Context(), db, " ", strings.NewReader(`{"a":1}`), Options{}); err == nil {
		t.Error("a table without a name is made")
	}
}

func TestTooManyColumns(t *testing.T) {
	db := openDB(t)
	head := make([]string, ColumnsMax+1)
	for i := range head {
		head[i] = fmt.Sprintf("c%d", i)
	}
	in := strings.Join(head, ",") + "\n" + strings.Repeat(",", ColumnsMax) + "\n"
	if _, err := Ingest(t.Context(), db, "t", strings.NewReader(in), Options{}); !errors.Is(err, ErrTooManyColumns) {
		t.Errorf("error %v, want ErrTooManyColumns", err)
	}
}

func TestAirportsAndRoutes(t *testing.T) {
	db := openDB(t)
	if res := mustIngest(t, db, "airports", testdata.Airports, Options{}); res.Rows != testdata.AirportRows {
		t.Errorf("airports: %+v", res)
	}
	if res := mustIngest(t, db, "routes", testdata.Routes, Options{}); res.Rows != testdata.RouteRows {
		t.Errorf("routes: %+v", res)
	}
	if got := shape(t, db, "airports"); got != "iata TEXT, name TEXT, city TEXT, state TEXT, country TEXT, latitude REAL, longitude REAL" {
		t.Errorf("airports has %s", got)
	}
	got := texts(t, db, `SELECT a.state, sum(r.flights) AS n FROM routes r JOIN airports a ON a.iata = r.origin
		GROUP BY a.state ORDER BY n DESC LIMIT 2`)
	want := topStates(t, 2)
	if !slices.Equal(got, want) {
		t.Errorf("busiest states %q, want %q", got, want)
	}
}

// topStates answers the question of TestAirportsAndRoutes without SQL.
func topStates(t *testing.T, n int) []string {
	t.Helper()
	stateOf, flights := map[string]string{}, map[string]int64{}
	read := func(in string, fn func(v map[string]string)) {
		src, err := newSource(strings.NewReader(in), CSV)
		if err != nil {
			t.Fatal(err)
		}
		for {
			rec, err := src.next()
			if err != nil {
				return
			}
			v := map[string]string{}
			for _, f := range rec.fields {
				v[f.name] = fmt.Sprint(f.value)
			}
			fn(v)
		}
	}
	read(testdata.Airports, func(v map[string]string) { stateOf[v["iata"]] = v["state"] })
	read(testdata.Routes, func(v map[string]string) {
		n, err := strconv.ParseInt(v["flights"], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		flights[stateOf[v["origin"]]] += n
	})
	var states []string
	for s := range flights {
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b string) int { return int(flights[b] - flights[a]) })
	var out []string
	for _, s := range states[:n] {
		out = append(out, fmt.Sprintf("%s|%d", s, flights[s]))
	}
	return out
}

func TestGoListOfTheStandardLibrary(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json", "std").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	want := strings.Count(string(out), "\n\t\"ImportPath\": ")
	if want < 100 {
		t.Fatalf("go list printed %d packages", want)
	}
	db := openDB(t)
	if res := mustIngest(t, db, "packages", string(out), Options{}); res.Rows != int64(want) || !res.Created {
		t.Errorf("result %+v, want %d rows", res, want)
	}
	if got := texts(t, db, "SELECT count(*), count(DISTINCT Root) FROM packages"); got[0] != fmt.Sprintf("%d|1", want) {
		t.Errorf("count(*), count(DISTINCT Root) = %s", got)
	}
	if got := texts(t, db, "SELECT Name, GoFiles FROM packages WHERE ImportPath = 'errors'"); len(got) != 1 || !strings.HasPrefix(got[0], `errors|["errors.go"`) {
		t.Errorf("package errors: %q", got)
	}
}
