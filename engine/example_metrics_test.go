package engine_test

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// withExampleDB opens a database in a directory of its own, with one commit.
func withExampleDB(fn func(db *engine.DB) error) (err error) {
	dir, err := os.MkdirTemp("", "byokdb-example-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx := context.Background()
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	db, err := engine.Open(ctx, filepath.Join(dir, "orders.byok"), key, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := putAnswer(db, "42"); err != nil {
		return err
	}
	return fn(db)
}

// A Prometheus server scrapes metrics over HTTP.
func ExampleWriteMetrics() {
	err := withExampleDB(func(db *engine.DB) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", engine.MetricsType)
			_ = engine.WriteMetrics(w, db.Metrics()) // the scraper has gone
		})}
		go func() { _ = server.Serve(l) }() // ends with Close
		defer func() { _ = server.Close() }()
		return scrape("http://"+l.Addr().String()+"/metrics", "byokdb_commits_total")
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// # HELP byokdb_commits_total Commits that readers see, since the database was created.
	// # TYPE byokdb_commits_total counter
}

// scrape prints the comments of one metric.
func scrape(url, name string) error {
	r, err := http.Get(url) //nolint:noctx // the example's own server
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "# ") && strings.Contains(line, " "+name+" ") {
			fmt.Print(line)
		}
	}
	return err
}

// Package expvar shows metrics at /debug/vars, read anew each time.
func ExampleDB_Var() {
	err := withExampleDB(func(db *engine.DB) error {
		expvar.Publish("byokdb", db.Var())
		fmt.Println(strings.Contains(expvar.Get("byokdb").String(), `"byokdb_commits_total":1,`))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: true
}
