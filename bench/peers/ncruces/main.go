// ncruces does a turn on SQLite by ncruces/go-sqlite3, plain or in its adiantum
// VFS: a program of its own, because that binding and mattn's register the same
// name with database/sql.
package main

import (
	"fmt"
	"os"

	_ "github.com/ncruces/go-sqlite3/driver"       // registers "sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // registers the VFS

	"github.com/byokdb/byokdb/bench/peers/sqlite"
	"github.com/byokdb/byokdb/bench/peers/work"
)

const key = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var (
	plain    = sqlite.Binding{Name: "SQLite-ncruces", Driver: "sqlite3"}
	adiantum = sqlite.Binding{Name: "SQLite-adiantum", Driver: "sqlite3", Encrypted: true, Params: "?vfs=adiantum&_pragma=hexkey('" + key + "')"}
)

var (
	stores = []work.Engine{adiantum.Store()}
	sqls   = []work.SQLEngine{plain.SQL(), adiantum.SQL()}
)

func main() {
	if err := work.Serve(os.Stdin, os.Stdout, stores, sqls); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
