package pager_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

func Example() {
	dir, err := os.MkdirTemp("", "pager")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	dek, err := crypt.RandomSecret()
	if err != nil {
		log.Fatal(err)
	}
	ring := crypt.NewKeyRing()
	ring.Add(1, dek)
	path := filepath.Join(dir, "00000001.run")

	b, err := pager.NewBuilder(pager.BuilderConfig{FS: vfs.OS(), Path: path, Ring: ring, RunID: 1})
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"apple", "banana", "cherry"} {
		if err := b.Add([]byte(key), pager.Put, []byte("a fruit")); err != nil {
			log.Fatal(err)
		}
	}
	info, err := b.Finish()
	if err != nil {
		log.Fatal(err)
	}

	cache, err := pager.NewCache(4 << 20)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = cache.Close() }()
	run, err := pager.OpenRun(pager.RunConfig{FS: vfs.OS(), Path: path, Ring: ring, Cache: cache.NewOwner(), Info: info})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = run.Close() }()

	value, kind, found, err := run.Get(nil, []byte("banana"))
	fmt.Printf("%s %v %v %v\n", value, kind, found, err)
	it := run.NewIter()
	defer func() { _ = it.Close() }()
	for ok := it.SeekGE([]byte("b")); ok; ok = it.Next() {
		fmt.Printf("%s\n", it.Key())
	}
	// Output:
	// a fruit put true <nil>
	// banana
	// cherry
}
