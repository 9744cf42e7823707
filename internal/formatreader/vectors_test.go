package formatreader

import (
	"bytes"
	"context"
	stdsql "database/sql"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

var updateVectors = flag.Bool("update", false, "write testdata/format anew")

const (
	formatDir  = "../../testdata/format"
	vectorsDir = formatDir + "/vectors"
	soundDir   = formatDir + "/sound"
	soundKey   = formatDir + "/vectors.key"
)

// readTree returns the files below a directory by their slash-separated paths.
func readTree(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(files) == 0 {
		tb.Fatalf("%s is empty", dir)
	}
	return files
}

func writeTree(tb testing.TB, dir string, files map[string][]byte) {
	tb.Helper()
	for path, b := range files {
		writeFile(tb, filepath.Join(dir, path), b)
	}
}

// encodeVector writes a vector as its difference from the sound database:
//
//	rule: W13
//	class: damaged
//	file wal/00000003.wal 5632    path and size
//	4116 base64                   bytes at an offset
//	remove runs/00000001.run
func encodeVector(v *vector, good, bad map[string][]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "rule: %s\nclass: %s\n", v.rule, v.class)
	for _, path := range slices.Sorted(maps.Keys(good)) {
		if _, ok := bad[path]; !ok {
			fmt.Fprintf(&b, "remove %s\n", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(bad)) {
		from, to := good[path], bad[path]
		if _, ok := good[path]; ok && bytes.Equal(from, to) {
			continue
		}
		fmt.Fprintf(&b, "file %s %d\n", path, len(to))
		at := func(i int) byte { // what is there before: the sound file, filled up with zeros
			if i < len(from) {
				return from[i]
			}
			return 0
		}
		for i := 0; i < len(to); i++ {
			if to[i] == at(i) {
				continue
			}
			end, same := i+1, 0
			for j := i + 1; j < len(to) && same < 16; j++ {
				if same++; to[j] != at(j) {
					end, same = j+1, 0
				}
			}
			fmt.Fprintf(&b, "%d %s\n", i, base64.StdEncoding.EncodeToString(to[i:end]))
			i = end
		}
	}
	return b.Bytes()
}

// decodeVector reads a vector and returns its files.
func decodeVector(tb testing.TB, b []byte, good map[string][]byte) (rule, class string, files map[string][]byte) {
	tb.Helper()
	files = maps.Clone(good)
	current := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "rule:":
			rule = rest
		case "class:":
			class = rest
		case "remove":
			delete(files, rest)
		case "file":
			path, size, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(size)
			if err != nil {
				tb.Fatal(err)
			}
			current = path
			files[path] = append(bytes.Clone(good[path]), make([]byte, max(0, n-len(good[path])))...)[:n]
		default:
			at, err := strconv.Atoi(word)
			if err != nil {
				tb.Fatal(err)
			}
			v, err := base64.StdEncoding.DecodeString(rest)
			if err != nil {
				tb.Fatal(err)
			}
			copy(files[current][at:], v)
		}
	}
	return rule, class, files
}

// TestVectors opens the sound database and every vector with the engine and
// with this package, and compares the class of the refusal.
//
// In its short form the engine opens every fourth.
func TestVectors(t *testing.T) {
	t.Parallel()
	list := vectors()
	if *updateVectors {
		writeVectors(t, list)
	}
	good := readTree(t, soundDir)
	t.Run("sound", func(t *testing.T) {
		t.Parallel()
		checkVector(t, "", sound, good, true)
	})
	seen := map[string]bool{}
	for i, v := range list {
		if seen[v.name] {
			t.Errorf("two vectors are named %s", v.name)
		}
		seen[v.name] = true
		b, err := os.ReadFile(filepath.Join(vectorsDir, v.name+".txt"))
		if err != nil {
			t.Fatalf("%v: run with -update", err)
		}
		rule, class, files := decodeVector(t, b, good)
		if rule != v.rule || class != v.class || maps.EqualFunc(files, good, bytes.Equal) {
			t.Errorf("%s: %s %s, want %s %s, and different from the sound one: run with -update", v.name, rule, class, v.rule, v.class)
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			checkVector(t, rule, class, files, !testing.Short() || i%4 == 0)
		})
	}
	names, err := filepath.Glob(filepath.Join(vectorsDir, "*.txt"))
	if err != nil || len(names) != len(list) || len(list) < 100 {
		t.Errorf("%d files, %d vectors: %v", len(names), len(list), err)
	}
}

func writeVectors(t *testing.T, list []vector) {
	t.Helper()
	for _, dir := range []string{vectorsDir, soundDir} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	(&author{name: sound}).write(t, soundDir, soundKey)
	writeFile(t, filepath.Join(formatDir, "inputs.txt"), fmt.Appendf(nil, "KEK %x\nDEK %x\ndatabase %x\n", fixedKEK, fixedDEK, fixedID))
	good := readTree(t, soundDir)
	for _, v := range list {
		dir := filepath.Join(t.TempDir(), "v.byok")
		v.write(t, dir, filepath.Join(t.TempDir(), "vectors.key"))
		writeFile(t, filepath.Join(vectorsDir, v.name+".txt"), encodeVector(&v, good, readTree(t, dir)))
	}
}

func checkVector(t *testing.T, rule, class string, files map[string][]byte, engineToo bool) {
	t.Helper()
	b, err := os.ReadFile(soundKey)
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	dir, key := filepath.Join(base, "v.byok"), filepath.Join(base, "vectors.key")
	writeTree(t, dir, files)
	writeFile(t, key, b)
	var own *Database
	if rule != "C2" { // bbolt, let near such a file, panics
		db, err := Open(dir, key)
		own = db
		if err == nil {
			err = readAllSQL(db)
		}
		if got := ownClass(err); got != class {
			t.Errorf("this reader: %s (%v), want %s", got, err, class)
		}
	}
	if !engineToo {
		return
	}
	if got, err := engineClass(t, dir, key, own); got != class {
		t.Errorf("engine: %s (%v), want %s", got, err, class)
	}
}

func ownClass(err error) string {
	for class, is := range map[string]error{
		sound: nil, isDamaged: ErrDamaged, isTooNew: ErrTooNew, isWrongKey: ErrWrongKey, notDatabase: ErrNotDatabase, isErased: ErrErased,
	} {
		if errors.Is(err, is) {
			return class
		}
	}
	return "another error"
}

// readAllSQL decodes the schema and the rows of all its tables.
func readAllSQL(db *Database) error {
	objects, err := db.Schema()
	if err != nil {
		return err
	}
	for _, o := range objects {
		rows, err := db.Rows(o)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if _, err := DecodeRecord(r.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// engineClass opens a directory with the engine, verifies it, reads all of it
// and its SQL table, and compares it with this package's reading, if there is one.
func engineClass(t *testing.T, dir, key string, want *Database) (class string, err error) {
	t.Helper()
	db, err := tryEngine(dir, key, nil)
	if err == nil {
		err = db.Verify(context.Background())
		if err == nil {
			have := listEngine(t, db)
			if want != nil {
				compare(t, want, have)
			}
			err = selectTable(db)
		}
		if cerr := db.Close(); cerr != nil {
			t.Error(cerr)
		}
	}
	code, _ := errors.AsType[*sqlerr.Error](err)
	switch {
	case err == nil:
		return sound, nil
	case errors.Is(err, engine.ErrErased):
		return isErased, err
	case errors.Is(err, engine.ErrTooNew), errors.Is(err, record.ErrTooNew):
		return isTooNew, err
	case errors.Is(err, engine.ErrNotDatabase), errors.Is(err, engine.ErrNotExist):
		return notDatabase, err
	case errors.Is(err, engine.ErrCorrupt) && crypt.ClassOf(err) == crypt.ClassTampered: // C9
		return isDamaged, err
	case errors.Is(err, engine.ErrWrongKey), errors.Is(err, crypt.ErrWrongKey):
		return isWrongKey, err
	case errors.Is(err, engine.ErrCorrupt), code != nil && code.Code == sqlerr.Corrupt:
		return isDamaged, err
	}
	return "another error", err
}

func selectTable(db *engine.DB) error {
	sqldb := stdsql.OpenDB(bsql.NewConnector(db))
	rows, err := sqldb.QueryContext(context.Background(), `select a, b, c from t`)
	if err == nil {
		for rows.Next() {
			var a, b, c any
			if err = rows.Scan(&a, &b, &c); err != nil {
				break
			}
		}
		err = errors.Join(err, rows.Err(), rows.Close())
	}
	return errors.Join(err, sqldb.Close())
}

var ruleNumber = regexp.MustCompile(`(?m)^- \*\*([A-Z][0-9]+)\*\* `)

// TestEveryRuleIsTested looks for a vector, or for a test that names the rule,
// for each numbered rule of FORMAT.md.
func TestEveryRuleIsTested(t *testing.T) {
	b, err := os.ReadFile("../../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := ruleNumber.FindAllSubmatch(b, -1)
	if len(rules) < 50 {
		t.Fatalf("only %d rules were found", len(rules))
	}
	covered := map[string]bool{}
	for _, v := range vectors() {
		covered[v.rule] = true
	}
	cited := regexp.MustCompile(`\b[A-Z][0-9]+\b`)
	err = fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal/formatreader/vector") {
			return err
		}
		b, err := os.ReadFile(filepath.Join("../..", path))
		for _, c := range cited.FindAll(b, -1) {
			if c[0] != 'S' || strings.HasPrefix(path, "internal/formatreader/") { // elsewhere S2 is a way to compress
				covered[string(c)] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if !covered[string(r[1])] {
			t.Errorf("%s has neither a vector nor a test that names it", r[1])
		}
	}
}
