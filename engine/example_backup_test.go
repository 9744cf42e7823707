package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// A backup is made of an open database, and restored under the same key. The
// position, kept elsewhere, tells the restored state from an older one.
func Example_backup() {
	dir, err := os.MkdirTemp("", "byokdb-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // an example's own directory
	if err := backUpAndRestore(context.Background(), dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// set 1 holds what was committed: 42
	// the older set: true
}

func backUpAndRestore(ctx context.Context, dir string) (err error) {
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
	report, err := db.BackupTo(ctx, filepath.Join(dir, "backups"), &engine.BackupOptions{Keep: 14})
	if err != nil {
		return err
	}
	into := filepath.Join(dir, "restored.byok")
	if _, err := engine.Restore(ctx, filepath.Join(dir, "backups"), into, key, nil); err != nil {
		return err
	}
	restored, err := engine.Open(ctx, into, key, nil)
	if err != nil {
		return err
	}
	err = restored.View(func(tx *engine.Tx) error {
		c, err := tx.Collection("answers")
		if err != nil {
			return err
		}
		v, err := c.Get([]byte("all"))
		fmt.Printf("set %d holds what was committed: %s\n", report.Set, v)
		return err
	})
	if err := errors.Join(err, restored.Close(), putAnswer(db, "43")); err != nil {
		return err
	}
	newest, err := db.Position()
	if err != nil {
		return err
	}
	_, err = engine.Open(ctx, into, key, &engine.Options{MinPosition: newest})
	fmt.Println("the older set:", errors.Is(err, engine.ErrStale))
	return nil
}

func putAnswer(db *engine.DB, v string) error {
	return db.Update(func(tx *engine.Tx) error {
		c, err := tx.CreateCollectionIfNotExists("answers")
		if err != nil {
			return err
		}
		return c.Put([]byte("all"), []byte(v))
	})
}
