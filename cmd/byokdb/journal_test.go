package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// Commands of the journal's script: they do to a catalog what an attacker, or a
// newer version, would.

// journalRecord returns a journal entry in the catalog's frame, its checksum made
// right. FORMAT.md §3.
func journalRecord(key, value []byte) []byte {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, b := range [][]byte{[]byte("journal"), {0}, key, {0}, value} {
		_, _ = sum.Write(b) // never fails
	}
	return binary.BigEndian.AppendUint32(slices.Clone(value), sum.Sum32())
}

// changeJournal changes the journal of the database that args[0] names. fn gets
// its last key and value, without the checksum.
func changeJournal(ts *testscript.TestScript, dir string, fn func(b *bbolt.Bucket, key, value []byte) error) {
	db, err := bbolt.Open(filepath.Join(ts.MkAbs(dir), "catalog.bolt"), 0o600, nil)
	ts.Check(err)
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("journal"))
		k, v := b.Cursor().Last()
		return fn(b, slices.Clone(k), slices.Clone(v[:len(v)-4]))
	})
	ts.Check(err)
	ts.Check(db.Close())
}

func scriptJournalCut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: journalcut DIR")
	}
	changeJournal(ts, args[0], func(b *bbolt.Bucket, key, _ []byte) error { return b.Delete(key) })
}

func scriptJournalEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: journaledit DIR OLD NEW")
	}
	changeJournal(ts, args[0], func(b *bbolt.Bucket, _, _ []byte) error {
		key, v := b.Cursor().First()
		edited := strings.Replace(string(v[:len(v)-4]), args[1], args[2], 1)
		return b.Put(slices.Clone(key), journalRecord(slices.Clone(key), []byte(edited)))
	})
}

func scriptJournalAdd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: journaladd DIR JSON")
	}
	changeJournal(ts, args[0], func(b *bbolt.Bucket, key, value []byte) error {
		next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(key)+1)
		sum := sha256.Sum256(slices.Concat([]byte("byokdb journal v1"), next, value[:sha256.Size], []byte(args[1])))
		return b.Put(next, journalRecord(next, slices.Concat(sum[:], []byte(args[1]))))
	})
}

// held are the databases that scripts hold open, by directory.
type held struct {
	eng *engine.DB
	end func() error
}

func scriptHolder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: holder DIR")
	}
	dir := ts.MkAbs(args[0])
	info, err := engine.Stat(dir)
	ts.Check(err)
	key, err := keyuri.Open(context.Background(), info.KeyURI)
	ts.Check(err)
	eng, err := engine.Open(context.Background(), dir, key, nil)
	ts.Check(err)
	ended := false
	h := held{eng: eng, end: func() error {
		if ended {
			return nil
		}
		ended = true
		if err := eng.Close(); err != nil {
			return err
		}
		return key.Close()
	}}
	ts.Defer(func() { ts.Check(h.end()) })
	holders(ts)[dir] = h
}

// holdersKey is where a script keeps its holders.
type holdersKey struct{}

func holders(ts *testscript.TestScript) map[string]held {
	m, ok := ts.Value(holdersKey{}).(map[string]held)
	if !ok {
		ts.Fatalf("the script was set up without holders")
	}
	return m
}

func scriptRelease(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: release DIR")
	}
	h, ok := holders(ts)[ts.MkAbs(args[0])]
	if !ok {
		ts.Fatalf("nobody holds %s", args[0])
	}
	ts.Check(h.end())
}

// TestJournalFits: a table is as wide as the terminal, whatever the messages say.
func TestJournalFits(t *testing.T) {
	j := &engine.Journal{}
	for i, text := range []string{
		`{"sequence":1,"time":"2026-11-26T10:00:00Z","from":"active","to":"suspended","class":"denied","message":"` + strings.Repeat("long ", 60) + `","request_id":"0b64f94f-6f58-4b8c-a0c5-7d1ac2e9a4ea"}`,
		`{"sequence":2,"message":"line\nbreak \u001b[31mred"}`, `[]`, `{`, `{}`,
	} {
		j.Entries = append(j.Entries, engine.JournalEntry{Number: uint64(i + 1), JSON: json.RawMessage(text)})
	}
	var out strings.Builder
	if err := journalTable(&out, j, 80); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2+5+1 {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 80 || strings.ContainsRune(line, '\x1b') {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}
