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

// A fleet has one page cache and one scheduler for the databases of many
// organizations, each with a key of its own.
func ExampleFleet() {
	dir, err := os.MkdirTemp("", "byokdb-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // an example's own directory
	fleet, err := engine.NewFleet(&engine.FleetOptions{CacheSize: 16 << 20})
	if err != nil {
		log.Fatal(err)
	}
	for _, organization := range []string{"acme", "globex"} {
		if err := serve(context.Background(), fleet, dir, organization); err != nil {
			log.Fatal(err)
		}
	}
	if err := fleet.Close(); err != nil { // after its databases
		log.Fatal(err)
	}
	// Output:
	// acme: active
	// globex: active
}

func serve(ctx context.Context, fleet *engine.Fleet, dir, organization string) (err error) {
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, organization+".key"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	db, err := engine.Open(ctx, filepath.Join(dir, organization+".byok"), key, &engine.Options{Fleet: fleet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := putAnswer(db, "42"); err != nil {
		return err
	}
	fmt.Printf("%s: %v\n", organization, db.Status().Key.State)
	return nil
}
