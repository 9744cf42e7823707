package formatreader

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A target is a fuzz target and its committed seeds: genuine parts of files,
// and the same parts with a vector's defect.
type target struct {
	dir, name string
	seeds     [][]any
}

// TestFuzzCorpora compares the committed seeds of the fuzz targets with those
// that the format vectors give; -update writes them. Every target of the module
// must have some.
func TestFuzzCorpora(t *testing.T) {
	for _, g := range targets(t) {
		dir := filepath.Join("../..", g.dir, "testdata", "fuzz", g.name)
		want := map[string]string{}
		for _, args := range g.seeds {
			text := encodeSeed(args)
			want[text] = fmt.Sprintf("seed-%016x", xxhash64([]byte(text)))
		}
		if len(want) < 3 {
			t.Errorf("%s: only %d seeds", g.name, len(want))
		}
		if *updateVectors {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			for text, name := range want {
				writeFile(t, filepath.Join(dir, name), []byte(text))
			}
		}
		for text, name := range want {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
				t.Errorf("%s: seed %s is missing or another (%v): run with -update", g.name, name, err)
			}
		}
	}
	everyTargetHasSeeds(t)
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

func everyTargetHasSeeds(t *testing.T) {
	t.Helper()
	n := 0
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(filepath.Join("../..", path))
		for _, m := range fuzzTarget.FindAllSubmatch(b, -1) {
			n++
			dir := filepath.Join("../..", filepath.Dir(path), "testdata", "fuzz", string(m[1]))
			if seeds, err := os.ReadDir(dir); err != nil || len(seeds) == 0 {
				t.Errorf("%s of %s has no committed seeds in %s", m[1], path, dir)
			}
		}
		return err
	})
	if err != nil || n < 20 {
		t.Errorf("%d fuzz targets were found: %v", n, err)
	}
}

// encodeSeed writes a seed as the go command reads it.
func encodeSeed(args []any) string {
	var b strings.Builder
	b.WriteString("go test fuzz v1\n")
	for _, a := range args {
		switch v := a.(type) {
		case []byte:
			fmt.Fprintf(&b, "[]byte(%q)\n", v)
		case string:
			fmt.Fprintf(&b, "string(%q)\n", v)
		case byte:
			fmt.Fprintf(&b, "byte(%q)\n", rune(v))
		default:
			fmt.Fprintf(&b, "%T(%v)\n", v, v)
		}
	}
	return b.String()
}

// parts returns how parts are written in the sound database and in every
// vector that edits a part of the family, each form once. The family is the
// beginning of a part's name.
func parts(t *testing.T) func(family string, names ...string) [][]byte {
	t.Helper()
	forms := map[string]map[string][]string{} // part, form, parts edited
	for _, v := range append([]vector{{name: sound}}, vectors()...) {
		a := v.author
		a.parts = map[string][]byte{}
		a.pass("run.file", a.runFile())
		a.segments()
		a.records()
		for name, b := range a.parts {
			if forms[name] == nil {
				forms[name] = map[string][]string{}
			}
			forms[name][string(b)] = append(forms[name][string(b)], v.part)
		}
	}
	return func(family string, names ...string) (list [][]byte) {
		for _, name := range names {
			if len(forms[name]) == 0 {
				t.Errorf("there is no part %q", name)
			}
			for _, form := range slices.Sorted(maps.Keys(forms[name])) {
				accepted := slices.ContainsFunc(forms[name][form], func(edited string) bool {
					return edited == "" || strings.HasPrefix(edited, family)
				})
				if accepted && len(form) <= 8192 {
					list = append(list, []byte(form))
				}
			}
		}
		return list
	}
}

// one makes seeds of one argument.
func one[T any](list ...T) (seeds [][]any) {
	for _, v := range list {
		seeds = append(seeds, []any{v})
	}
	return seeds
}

func targets(t *testing.T) []target {
	t.Helper()
	part := parts(t)
	var nodes, segments, headers, walHeaders [][]any
	for _, b := range part("run.", "run.leaf0", "run.leaf1", "run.inner") {
		kind := byte(pageLeaf)
		if len(b) > 0 && b[0] == pageInner {
			kind = pageInner
		}
		nodes = append(nodes, []any{b, kind, append(be32(1), "banana"...)})
	}
	for _, b := range part("run.", "run.whole header") {
		headers = append(headers, []any{withChecksum(b)})
	}
	for _, b := range part("wal2.header", "wal2.header") {
		walHeaders = append(walHeaders, []any{append(b, make([]byte, 40)...)})
	}
	for _, b := range part("wal3", "wal3.file") { // sealed under another key: nothing of it may open
		if len(b) > firstFrame {
			segments = append(segments, []any{bytes.TrimRight(b[firstFrame:], "\x00"), uint16(len(segments) % 2 * 513)})
		}
	}
	list := []target{
		{"pager", "FuzzNode", nodes},
		{"pager", "FuzzContent", one(part("run.", "run.leaf0.plain", "run.leaf1.plain", "run.filter.plain", "run.properties.plain")...)},
		{"pager", "FuzzFixed", append(headers, one(part("run.", "run.trailer", "run.properties")...)...)},
		{"engine", "FuzzBatch", one(part("wal.payload", "wal.payload4", "wal.payload5", "wal.payload6", "wal.payload7")...)},
		{"engine/internal/wal", "FuzzHeader", walHeaders},
		{"engine/internal/wal", "FuzzSegment", segments},
		{"engine/internal/catalog", "FuzzManifest", one(part("manifest", "manifest")...)},
		{"engine/internal/catalog", "FuzzRecords", append(one(part("clear", "clear", "journal.hash1")...),
			[]any{slices.Concat(be64(1790000000), long([]byte("denied")), long([]byte("request 1")))})},
		{"engine/internal/catalog", "FuzzScan", scanSeeds()},
		{"crypt", "FuzzEnvelope", one(part("envelope", "envelope")...)},
		{"crypt/guard", "FuzzRecord", one(part("guard", "guard")...)},
		{"crypt/guard", "FuzzPolicy", one(part("policy", "policy")...)},
		{"crypt/localkey", "FuzzParseKeyFile", one(keyFile(), keyFile()[:73], flip(30)(keyFile()), set(24, '2')(keyFile()), append(keyFile(), 0))},
	}
	list = append(list, backupTargets()...)
	return append(append(list, sqlTargets(t)...), textTargets(t)...)
}

// backupTargets are positions, and the marker and index of a backup.
func backupTargets() []target {
	body := slices.Concat(fixedID[:], be64(9), floorTag[:], be64(8), floorTag[:], be64(9))
	position := "byokpos1." + base64.RawURLEncoding.EncodeToString(withChecksum(bytes.Clone(body)))
	marker := fmt.Sprintf(`{"format":"byokdb backup","version":1,"database":"%x"}`+"\n", fixedID)
	index := func(edit func(string) string) []byte {
		raw := edit(fmt.Sprintf(`{"format":"byokdb backup","version":1,"database":"%x","set":1,"generation":9,"position":%q,"created":"2026-11-23T12:00:00Z",`+
			`"files":[{"name":"catalog.bolt","size":32768,"sha256":"%x"},{"name":"wal/00000002.wal","size":5632,"sha256":"%x"},`+
			`{"name":"runs/00000001.run","size":2600,"sha256":"%x","pool":"00000001-%x.run"}]}`,
			fixedID, position, fixedKEK, fixedDEK, fixedDEK, floorTag))
		return fmt.Appendf(nil, `{"index":%s,"sha256":"%x"}`+"\n", raw, sha256.Sum256([]byte(raw)))
	}
	change := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	return []target{
		{"engine", "FuzzPosition", one([]byte(position), []byte(position[:60]), []byte("byokpos2"+position[8:]), []byte(nil),
			[]byte("byokpos1."+base64.RawURLEncoding.EncodeToString(body)))},
		{"engine", "FuzzIndex", one(
			[]byte(marker), []byte(strings.Replace(marker, "1", "2", 1)), []byte(strings.TrimSpace(marker)),
			index(strings.TrimSpace), index(change(`"version":1`, `"version":2`)), index(change("wal/", "../")), index(change(".run\"", "/x\"")),
			index(change("32768", "-1")), index(change("catalog.bolt", "catalog.tmp")), index(change("}]", "},null]")))},
	}
}

// scanSeeds patch a page's number, type, count, overflow, and its first element.
func scanSeeds() (seeds [][]any) {
	for page := range 8 {
		for _, p := range []struct {
			at    int
			patch []byte
		}{
			{0, []byte{9}},
			{8, []byte{1, 0}},
			{8, []byte{2, 0}},
			{10, []byte{0, 0}},
			{10, []byte{0xff, 0xff}},
			{12, []byte{1, 0, 0, 0}},
			{16, []byte{1}},
			{20, []byte{0, 1}},
			{24, []byte{0xff, 0, 0, 0, 0xff}},
		} {
			seeds = append(seeds, []any{uint16(4096*page + p.at), p.patch})
		}
	}
	return seeds
}

// sqlTargets take their seeds from the kept database that has every form of row and key.
func sqlTargets(t *testing.T) []target {
	t.Helper()
	dir := filepath.Join(keptDir, "v0.1")
	copied, key := filepath.Join(t.TempDir(), "sql.byok"), filepath.Join(t.TempDir(), "dev.key")
	writeTree(t, copied, readTree(t, filepath.Join(dir, "sql")))
	b, err := os.ReadFile(filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, key, b)
	db, err := Open(copied, key)
	if err != nil {
		t.Fatal(err)
	}
	var rows, keys, objects [][]any
	for _, c := range db.Collections {
		for i, r := range c.Records {
			switch {
			case c.Name == "sql/schema" && r.Key[0] == 'o':
				objects = append(objects, []any{r.Value})
			case strings.HasPrefix(c.Name, "sql/t/") && len(r.Value) < 1000 && i < 20:
				rows = append(rows, []any{r.Value}, []any{r.Value[:len(r.Value)-1]})
			case strings.HasPrefix(c.Name, "sql/i/") && i < 20:
				keys = append(keys, []any{r.Key, false}, []any{r.Key, true})
			}
		}
	}
	for _, r := range rows {
		b, _ := r[0].([]byte)
		objects = append(objects, []any{append([]byte{1}, b...)})
	}
	residues := one([]byte{}, []byte{1, 1, 2, 17 + 2*1, 'A'}, []byte{5, 1, 3, 10, 19, 2, 'B'}, []byte{0x80}, []byte{2, 1, 2, 9}, []byte{8, 1, 2, 9}, []byte{1, 2, 1, 0})
	return []target{
		{"sql/record", "FuzzDecode", rows},
		{"sql/record", "FuzzDecodeKey", keys},
		{"sql/record", "FuzzResidue", residues},
		{"sql/schema", "FuzzObject", objects},
	}
}

// textTargets read what people write.
func textTargets(t *testing.T) []target {
	t.Helper()
	var statements [][]any
	files, err := filepath.Glob("../../sql/exec/testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(b, []byte("\n"))
		const perFile = 20
		step := max(4, len(lines)/perFile)
		for i, line := range lines {
			if i%step == 0 && len(bytes.TrimSpace(line)) > 0 {
				statements = append(statements, []any{string(line)})
			}
		}
	}
	statements = append(statements, []any{"create trigger t after insert on x begin select case 1 when 2 then 3 end; delete from y; end; select ';' -- ;\n/* ; */"})
	arn := "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	return []target{
		{"sql/parse", "FuzzStatements", statements},
		{"sql/parse", "FuzzLiterals", one(
			"SELECT a, 'x' FROM t WHERE b = 1 AND c = 'it''s' ORDER BY 1 LIMIT 2", "SELECT 1_0, 0x1F, 1.e5, .5, 9223372036854775808, 1a FROM t WHERE -1 = - 1",
			"WITH c(n) AS (VALUES (1)) SELECT n FROM c WHERE n IN (SELECT 1 UNION SELECT n FROM c)", "DELETE FROM t WHERE a = X'0g' OR b = 'no end",
			"UPDATE t SET \"a\"\"b\" = [c]1, `d` = 1 WHERE a -- 2\n= 3;;")},
		{"sql/exec", "FuzzLift", one(
			"SELECT id, 'x' FROM t WHERE a = 3 AND b LIKE 'text%' ORDER BY 2 LIMIT 4", "INSERT INTO t(id, a) VALUES (77, 1), (78, -2) ON CONFLICT (id) DO UPDATE SET a = 9",
			"SELECT sum(a) OVER (PARTITION BY a % 3), a + 1 FROM t WHERE a IN (1, 2.0, '3') GROUP BY 1 + 1", "UPDATE t SET a = CAST('4' AS REAL) WHERE id BETWEEN 2 AND 3 RETURNING a, 5")},
		{"cmd/byokdb", "FuzzSplit", statements},
		{"cmd/byokdb", "FuzzPrintable", one("plain", "\x1b]0;title\a", "größer\u202e\u200b", "\xff\xfe\x00", strings.Repeat("\u0301", 9))},
		{"sql/ingest", "FuzzSources", one(
			"a,\"b\"\"c\",d\r\n1,\"x\ny\",\n2,,z\n", "\ufeffid;name\n1;x\n", "[{\"a\":[1,{\"b\":null}]},{\"c\":\"\\ud83c\\udf89\"}]",
			"{\"a\":1}{\"a\":2}\n\n{\"a\":1e400}", "{\"a\":1,\"a\":2}", "[", "{\"a\":\"", "a,a\n1,2\n", strings.Repeat("[", 200), "x\ty\n1\t2\n")},
		{"sql/ingest", "FuzzStatements", [][]any{
			{[]byte("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a, \"b c\");\nINSERT INTO t VALUES(-1.5e-3,'it''s; one');\nCOMMIT;\n")},
			{[]byte("CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM u; END;;; -- end")},
			{[]byte("INSERT INTO [a]]b] VALUES(X'00ff',NULL,9223372036854775808);/* ; */INSERT INTO \"x\"(y) VALUES(replace('a\\n','\\n',char(10)));")},
			{[]byte("INSERT INTO t VALUES('no end")},
		}},
		{"sql/fn", "FuzzLike", [][]any{{"%a%b%c%", "abcabcabc"}, {"[^a-c]*?", "dxx"}, {"_%_", "ab"}, {"%%%", ""}, {"a\\%", "a%"}, {"É%", "éa"}}},
		{"sql/fn", "FuzzJSON", one(`[1,[2,[3,{"a":{"b":[]}}]]]`, `{"a":1,"a":2}`, `/*c*/{a:'x',}`, `-0.0e-0`, `"\ud800"`, strings.Repeat("[", 1100), `{"":null}`, "1 2")},
		{"sql/fn", "FuzzCalls", [][]any{
			{"%08.3lld%%%c%s%z", "12:30:15.123", "-7 days", int64(-9)},
			{`[{"a":1},{"b":[2,3]}]`, `$[1].b[#-2]`, "$.a", int64(7)},
			{"2024-02-29T23:59:60Z", "start of month", "weekday 6", int64(1 << 40)},
			{"\x00\xff", "%Y-%m-%dT%H:%M:%f", "unixepoch", int64(0)},
		}},
		{"sql/fn", "FuzzJSONB", [][]any{
			{"\xcc\x0f\x17a\x7b\x131\x26.5\x39a\"b\x17b\x00", `{"b":[null]}`, "$.a[#-1]"},
			{"\xcb\x04\x131\x931", "[]", "$[1]"},                            // an element that goes beyond the end
			{"\xfc\x00\x00\x00\x00\x00\x00\x00\x04\x17a\x131", "{}", "$.a"}, // a head of 9 bytes
			{"\x5b\x0b\x00\x01\x02\x0c", "[0x1F,'x\\v']", "$[4].a.b[0]"},
			{"\xcc\x02\x17a", "null", "$.a"},         // a label without a value
			{"[123]", "1", "$[0]"},                   // text in a blob
			{"\x4b\x1b\x0b\x13\x31", "2", "$[0][0]"}, // an element beyond its array
			{strings.Repeat("\xdb\x10\x00", 1100), `{"a":1}`, "$" + strings.Repeat("[0]", 1100)},
		}},
		{"crypt/localkey", "FuzzParseURI", one("local:/a b%23%3F?id=00112233445566778899aabbccddeeff", "local:", "local:~/x", "local:a?id=1&id=2", "local:a#b", "local:%zz", "LOCAL:x")},
		{"crypt/awskms", "FuzzParseURI", one(
			"awskms:"+arn, "awskms:"+arn+"?region=us-east-1", "awskms:arn:aws:kms:eu-west-1:111122223333:alias/x", "awskms:arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234",
			"awskms:"+arn+"?endpoint=http://[::1]:8080&unknown=1", "awskms:"+arn+"?role_arn=arn:aws:iam::444455556666:role/a/b&external_id=%20")},
	}
}
