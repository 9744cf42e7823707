package keyuri_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "keyuri")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	ctx := context.Background()
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, "dev.key")) // or "awskms:arn:aws:kms:…"
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = key.Close() }()

	c := crypt.Context{Database: crypt.ID{1}, Purpose: crypt.PurposeData, Epoch: 1}
	dek, wrapped, _, err := key.Generate(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	defer dek.Wipe()
	again, _, err := key.Unwrap(ctx, wrapped, c)
	if err != nil {
		log.Fatal(err)
	}
	defer again.Wipe()

	fmt.Println("the same data key:", again.Equal(dek))
	fmt.Println("printed:", dek)
	fmt.Println("development key:", key.Development())
	// Output:
	// the same data key: true
	// printed: [redacted]
	// development key: true
}
