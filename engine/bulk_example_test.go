package engine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// openExample opens a new database under a development key.
func openExample(ctx context.Context) (db *engine.DB, done func()) {
	dir, err := os.MkdirTemp("", "byokdb-example-")
	if err != nil {
		log.Fatal(err)
	}
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		log.Fatal(err)
	}
	if db, err = engine.Open(ctx, filepath.Join(dir, "example.byok"), key, nil); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		if err := key.Close(); err != nil {
			log.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

// A bulk load writes sorted records straight into runs: all of them are there
// after Commit, or none.
func ExampleDB_NewBulk() {
	ctx := context.Background()
	db, done := openExample(ctx)
	defer done()
	load, err := db.NewBulk(ctx, "numbers")
	if err != nil {
		log.Fatal(err)
	}
	defer load.Abort() // does nothing after Commit
	for i := range 100_000 {
		if err := load.Add(fmt.Appendf(nil, "%06d", i), []byte("a number")); err != nil {
			log.Fatal(err)
		}
	}
	report, err := load.Commit()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Records, "records in", report.Runs, "run")
	// Output: 100000 records in 1 run
}

// A large value goes in from a reader and comes out through one, a piece at a
// time.
func ExampleCollection_PutReader() {
	ctx := context.Background()
	db, done := openExample(ctx)
	defer done()
	text := strings.Repeat("all work and no play ", 100_000)
	if err := db.Update(func(tx *engine.Tx) error {
		c, err := tx.CreateCollection("files")
		if err != nil {
			return err
		}
		return c.PutReader([]byte("novel.txt"), int64(len(text)), strings.NewReader(text))
	}); err != nil {
		log.Fatal(err)
	}
	if err := db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection("files")
		if err != nil {
			return err
		}
		r, err := c.GetReader([]byte("novel.txt"))
		if err != nil {
			return err
		}
		if _, err := r.Seek(-22, io.SeekEnd); err != nil {
			return err
		}
		end, err := io.ReadAll(r)
		fmt.Printf("%d bytes, ending in %q\n", r.Size(), end)
		return err
	}); err != nil {
		log.Fatal(err)
	}
	// Output: 2100000 bytes, ending in " all work and no play "
}
