// sqlcipher does a turn on SQLCipher by mutecomm/go-sqlcipher: a program of its
// own, because it links another SQLite than mattn's binding.
package main

import (
	"fmt"
	"os"

	_ "github.com/mutecomm/go-sqlcipher/v4" // registers "sqlite3"

	"github.com/byokdb/byokdb/bench/peers/sqlite"
	"github.com/byokdb/byokdb/bench/peers/work"
)

const key = "2DD29CA851E7B56E4697B0E1F08507293D761A05CE4D1B628663F411A8086D99"

// binding gives SQLCipher the key itself: no derivation from a passphrase.
var binding = sqlite.Binding{
	Name: "SQLCipher", Driver: "sqlite3", Encrypted: true,
	Params: "?_pragma_key=x'" + key + "'&_pragma_cipher_page_size=4096",
}

var (
	stores = []work.Engine{binding.Store()}
	sqls   = []work.SQLEngine{binding.SQL()}
)

func main() {
	if err := work.Serve(os.Stdin, os.Stdout, stores, sqls); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
