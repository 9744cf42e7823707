package bench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// plaintextTag builds the engine with a cipher that copies; see docs/adr/0022.
const plaintextTag = "byokdb_benchmark_plaintext"

var (
	writeDir = flag.String("plaintext.write", "", "for TestPlaintextFiles: write a database here")
	openDir  = flag.String("plaintext.open", "", "for TestPlaintextFiles: open the database here, which must be refused")
)

var marker = bytes.Repeat([]byte("a row that must not be seen. "), 4)

func openMarked(dir string, o *engine.Options) (db *engine.DB, err error) {
	key, err := keyuri.Open(context.Background(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		return nil, err
	}
	return engine.Open(context.Background(), filepath.Join(dir, "m.byok"), key, o)
}

func writeMarked(t *testing.T, dir string) {
	t.Helper()
	db, err := openMarked(dir, &engine.Options{MustCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *engine.Tx) error {
		c, err := tx.CreateCollection(collectionID)
		if err != nil {
			return err
		}
		return c.Put([]byte("k"), marker)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func verifyRefused(t *testing.T, dir string) {
	t.Helper()
	db, err := openMarked(dir, &engine.Options{MustExist: true})
	if err == nil {
		t.Fatal("a database of the other build was opened", db.Close())
	}
	if !errors.Is(err, crypt.ErrWrongKey) {
		t.Errorf("it was refused, but with %v", err)
	}
}

// visible reports whether the marker is in a file below dir, and fails when
// there is none.
func visible(t *testing.T, dir string) bool {
	t.Helper()
	n, seen := 0, false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		n, seen = n+1, seen || bytes.Contains(b, marker[:32])
		return err
	})
	if err != nil || n < 2 {
		t.Fatalf("%d files, %v", n, err)
	}
	return seen
}

// TestPlaintextFiles has the build for benchmarks without encryption write a
// database, which this one must refuse, and the other way round. The marker shows
// that the one encrypts and the other does not.
func TestPlaintextFiles(t *testing.T) {
	switch { // in the other build, as asked for below
	case *writeDir != "":
		writeMarked(t, *writeDir)
		return
	case *openDir != "":
		verifyRefused(t, *openDir)
		return
	case testing.Short():
		t.Skip("builds this package anew")
	}
	dir := t.TempDir()
	other := filepath.Join(dir, "plaintext.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", plaintextTag, "-o", other, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(flags ...string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), other, append([]string{"-test.run", "^TestPlaintextFiles$"}, flags...)...).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Fatalf("in the other build: %v\n%s", err, out)
		}
	}
	mine, theirs := filepath.Join(dir, "mine"), filepath.Join(dir, "theirs")
	for _, d := range []string{mine, theirs} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run("-plaintext.write", theirs)
	if !visible(t, theirs) {
		t.Error("the build without encryption encrypts: what it measures is wrong")
	}
	verifyRefused(t, theirs)
	writeMarked(t, mine)
	if visible(t, mine) {
		t.Error("a row is in the clear")
	}
	run("-plaintext.open", mine)
}
