package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/pager"
)

var (
	matrixFull = flag.Bool("matrix.full", false, "tamper with every byte, and open many more of the databases: minutes")
	update     = flag.Bool("update", false, "rewrite the tamper matrix in docs/security.md; with -matrix.full")
)

// An outcome is what follows an attack. Its text is in the published table.
type outcome string

const (
	outcomeHarmless = outcome("unnoticed, and every row is read right")
	outcomeOlder    = outcome("with `MinPosition` refused at opening: `ErrStale`; without, an **older genuine state** is read")
	outcomeTwin     = outcome("with `MinPosition` refused at opening: `ErrStale`; without, it is read as the **other database** that it is")
	outcomeVerify   = outcome("every row is read right; `Verify` says `ErrCorrupt`")
	outcomeRead     = outcome("`ErrCorrupt` when its rows are read; all others are read right")
	outcomeFork     = outcome("with `MinPosition` refused at opening: `ErrStale`; without, the **fork** is read")
	outcomeErased   = outcome("refused at opening: `ErrErased`; **everything is destroyed**, as after a denial over the whole deadline")
	outcomeRefused  = "refused at opening: " // and the error

	// outcomeFound is that of a case that was verified and not opened.
	outcomeFound = outcome("found")
)

// genuine reports whether everything that is there is genuine.
func (o outcome) genuine() bool {
	return slices.Contains([]outcome{outcomeHarmless, outcomeOlder, outcomeTwin, outcomeFork}, o)
}

// matrix is the table of attacks and outcomes.
type matrix struct {
	*exhibit
	t     *testing.T
	dir   string // holds base but for the change under way
	base  image
	rows  []*matrixRow
	cases int
	opens int
}

type matrixRow struct {
	file, part, attack string
	outcomes           map[outcome]bool
	nCases, nOpened    int
}

// TestTamperMatrix carries out every attack on every kind of file, and compares
// what follows with the table in docs/security.md. Nothing may go unnoticed but
// what the table says; no row may be read wrong, whatever was attacked.
func TestTamperMatrix(t *testing.T) {
	m := &matrix{exhibit: newExhibit(t), t: t, dir: filepath.Join(t.TempDir(), "m.byok")}
	for _, part := range []func(){
		m.intact, m.catalogFile, m.clearRecord, m.otherRecords, m.foreignRecords, m.runPages, m.runFiles,
		m.segmentBytes, m.segmentFrames, m.segmentFiles, m.otherFiles, m.directory, m.keys,
	} {
		part()
	}
	t.Logf("%d attacks, %d of the databases opened", m.cases, m.opens)
	m.compare(filepath.Join("..", "docs", "security.md"))
}

// try carries out one attack: change makes files of base others.
func (m *matrix) try(file, part, attack string, base, change image) {
	m.t.Helper()
	m.tryKey(file, part, attack, base, change, m.key)
}

func (m *matrix) tryKey(file, part, attack string, base, change image, key crypt.Provider) {
	m.t.Helper()
	row := m.row(file, part, attack)
	row.nCases++
	m.cases++
	what := fmt.Sprintf("%s, %s: %s, case %d", file, part, attack, row.nCases)
	if !sameImage(m.base, base) {
		m.base = base
		if err := os.RemoveAll(m.dir); err != nil {
			m.t.Fatal(err)
		}
		base.put(m.t, m.dir)
	}
	change.put(m.t, m.dir)
	found, err := m.verify(what, key)
	undo := image{}
	for path := range change {
		undo[path] = base[path]
	}
	undo.put(m.t, m.dir)
	out := outcomeFound
	if err == nil {
		out = m.state(what, found)
	}
	// A case is opened where it is one of the first, or of every so many.
	if n := row.nCases - 1; n == 0 || *matrixFull && (n < 64 || n%64 == 0) || !testing.Short() && (n == 3 || n == 10) {
		row.nOpened++
		m.opens++
		opened := m.open1(what, base, change, key, row)
		if opened.genuine() != (err == nil) {
			m.t.Errorf("%s: %s, but VerifyDir says %v", what, opened, err)
		}
		if err == nil && opened != out {
			m.t.Errorf("%s: %s, but VerifyDir finds it %s", what, opened, out)
		}
		out = opened
	}
	row.outcomes[out] = true
}

// sameImage reports whether two images are the same map.
func sameImage(a, b image) bool {
	return len(a) == len(b) && maps.EqualFunc(a, b, func(x, y []byte) bool { return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0]) })
}

func (m *matrix) row(file, part, attack string) *matrixRow {
	for _, r := range m.rows {
		if r.file == file && r.part == part && r.attack == attack {
			return r
		}
	}
	r := &matrixRow{file: file, part: part, attack: attack, outcomes: map[outcome]bool{}}
	m.rows = append(m.rows, r)
	return r
}

// heapMax bounds what one verification may allocate on the Go heap in bytes: a
// damaged size must not be believed.
const heapMax = 64 << 20

// verify verifies the directory as it is, and returns a digest of its contents
// if there is nothing wrong with it.
func (m *matrix) verify(what string, key crypt.Provider) (d digest, err error) {
	m.t.Helper()
	before := heapAllocated()
	v := newDirVerification(m.t.Context(), m.dir, key, &Options{CacheSize: pager.CacheBudgetMin})
	h := sha256.New()
	v.visit = func(name string, key, value []byte) { hashRecord(h, []byte(name), key, value) }
	report, err := v.run()
	if n := heapAllocated() - before; n > heapMax {
		m.t.Errorf("%s: %d bytes were allocated", what, n)
	}
	if err == nil && len(report.Faults) > 0 || err != nil && errorName(err) == "" {
		m.t.Errorf("%s: %d faults and error %v", what, len(report.Faults), err)
	}
	return digest(h.Sum(nil)), err
}

func heapAllocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// state says whether contents are the newest, or those of an earlier commit.
func (m *matrix) state(what string, d digest) outcome {
	m.t.Helper()
	switch {
	case d == m.model.digest():
		return outcomeHarmless
	case m.past[d]:
		return outcomeOlder
	case d == m.twinDigest:
		return outcomeTwin
	case d == m.forkDigest:
		return outcomeFork
	}
	m.t.Errorf("%s: contents that never were, unnoticed", what)
	return "undetected"
}

// open1 opens a copy and reads all of it.
func (m *matrix) open1(what string, base, change image, key crypt.Provider, row *matrixRow) outcome {
	m.t.Helper()
	dir := m.dir + ".open"
	if err := os.RemoveAll(dir); err != nil {
		m.t.Fatal(err)
	}
	after := maps.Clone(base)
	maps.Copy(after, change)
	maps.DeleteFunc(after, func(_ string, b []byte) bool { return b == nil })
	for _, sub := range []string{walDir, runDir} { // a deleted file leaves its directory
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			m.t.Fatal(err)
		}
	}
	after.put(m.t, dir)
	db, err := openTampered(m.t.Context(), dir, key, Position{})
	if err != nil {
		name := errorName(err)
		if name == "" {
			m.t.Errorf("%s: opening says %v", what, err)
		}
		if name == "ErrErased" {
			if rest := readImage(m.t, dir); len(rest) != 1 {
				m.t.Errorf("%s: erased, and %d files are left", what, len(rest))
			}
			return outcomeErased
		}
		m.untouched(what, dir, after)
		return outcomeRefused + outcome("`"+name+"`")
	}
	out := m.readTampered(what, db, row)
	if err := db.Close(); err != nil {
		m.t.Errorf("%s: close: %v", what, err)
	}
	if out.genuine() {
		m.checkPosition(what, dir, after, key, out)
	}
	return out
}

// readTampered reads all of a database that opened.
func (m *matrix) readTampered(what string, db *DB, row *matrixRow) outcome {
	m.t.Helper()
	d, err := readAll(db)
	if err == nil {
		out := m.state(what, d)
		if verr := db.Verify(m.t.Context()); verr != nil {
			if out != outcomeHarmless || !errors.Is(verr, ErrCorrupt) {
				m.t.Errorf("%s: %s, Verify says %v", what, out, verr)
			}
			return outcomeVerify
		}
		return out
	}
	if !errors.Is(err, ErrCorrupt) {
		m.t.Errorf("%s: reading says %v", what, err)
	}
	m.readRest(what, db, row)
	if err := db.Verify(m.t.Context()); !errors.Is(err, ErrCorrupt) {
		m.t.Errorf("%s: reading fails, and Verify says %v", what, err)
	}
	return outcomeRead
}

// untouched checks that whoever refuses a directory leaves it as it is: what is
// not damaged may be all that somebody has.
func (m *matrix) untouched(what, dir string, want image) {
	m.t.Helper()
	got := readImage(m.t, dir)
	for path, b := range want {
		if have, ok := got[path]; !ok || !bytes.Equal(have, b) {
			m.t.Errorf("%s: was refused, and %s was changed or removed", what, path)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			m.t.Errorf("%s: was refused, and %s was made", what, path)
		}
	}
}

// openTampered opens a directory that was tampered with.
func openTampered(ctx context.Context, dir string, key crypt.Provider, least Position) (*DB, error) {
	return Open(ctx, dir, key, &Options{MustExist: true, CacheSize: pager.CacheBudgetMin, MinPosition: least, scrub: noScrub})
}

// checkPosition opens a fresh copy in the way of somebody who kept the newest
// position: what is older, or another's, is ErrStale, and nothing else is.
func (m *matrix) checkPosition(what, dir string, files image, key crypt.Provider, want outcome) {
	m.t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		m.t.Fatal(err)
	}
	files.put(m.t, dir)
	db, err := openTampered(m.t.Context(), dir, key, m.position)
	if stale := want != outcomeHarmless; stale != errors.Is(err, ErrStale) {
		m.t.Errorf("%s: %s, and with MinPosition: %v", what, want, err)
	}
	if err == nil {
		err = db.Close()
	} else {
		m.untouched(what, dir, files)
		err = nil
	}
	if err != nil {
		m.t.Errorf("%s: close: %v", what, err)
	}
}

// readAll walks every collection and returns the digest of what it read.
func readAll(db *DB) (d digest, err error) {
	h := sha256.New()
	err = db.View(func(tx *Tx) error {
		names, err := tx.Collections()
		if err != nil {
			return err
		}
		for _, name := range names {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			cur := c.Cursor(nil, nil)
			for cur.Next() {
				key, value := cur.Key(), cur.Value()
				if value == nil {
					break
				}
				if got, err := c.Get(key); err != nil || !bytes.Equal(got, value) {
					return errors.Join(err, cur.Close())
				}
				hashRecord(h, []byte(name), key, value)
			}
			if err := errors.Join(cur.Err(), cur.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	return digest(h.Sum(nil)), err
}

// readRest reads every row by its key, in a database of which something cannot
// be read: each is right or ErrCorrupt, and those that have nothing to do with
// the damaged run are right.
func (m *matrix) readRest(what string, db *DB, row *matrixRow) {
	m.t.Helper()
	err := db.View(func(tx *Tx) error {
		for name, rows := range m.model {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			for key, want := range rows {
				got, err := c.Get([]byte(key))
				switch {
				case err == nil && string(got) != want:
					m.t.Errorf("%s: a row is read wrong", what)
				case err != nil && (!errors.Is(err, ErrCorrupt) || name != collFirst):
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		return nil
	})
	if err != nil || row.file != "run" {
		m.t.Errorf("%s: what is not damaged: %v", what, err)
	}
}

// errorName returns the name of the error that tells why a database is refused.
func errorName(err error) string {
	for _, e := range []struct {
		name string
		err  error
	}{
		{"ErrStale", ErrStale},
		{"ErrErased", ErrErased},
		{"ErrTooNew", ErrTooNew},
		{"ErrWrongKey", ErrWrongKey},
		{"ErrCorrupt", ErrCorrupt},
		{"ErrNotDatabase", ErrNotDatabase},
		{"ErrNotExist", ErrNotExist},
	} {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return ""
}

// sample returns some of the numbers below n, the first and the last among
// them, all of them in the full form.
func sample(n, nSome int) []int {
	if n <= 0 {
		return nil
	}
	if *matrixFull {
		nSome = n
	} else if testing.Short() {
		nSome = min(nSome, 4)
	}
	var out []int
	for i := range min(n, nSome) {
		out = append(out, i*(n-1)/max(min(n, nSome)-1, 1))
	}
	return slices.Compact(out)
}

// The table is between these lines of docs/security.md.
const (
	matrixBegin = "<!-- tamper matrix: made by go test ./engine -run TestTamperMatrix -matrix.full -update -->\n"
	matrixEnd   = "<!-- end of the tamper matrix -->\n"
)

// compare compares what happened with the published table. The full form must
// have met all that the table says, a sample nothing else.
func (m *matrix) compare(path string) {
	m.t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(doc), matrixBegin)
	table, after, ok2 := strings.Cut(rest, matrixEnd)
	if !ok1 || !ok2 {
		m.t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if !*matrixFull {
			m.t.Fatal("-update needs -matrix.full: a sample is not the table")
		}
		if m.t.Failed() {
			m.t.Fatal("the table stays as it is")
		}
		if err := os.WriteFile(path, []byte(before+matrixBegin+m.render()+matrixEnd+after), 0o600); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	if *matrixFull && table != m.render() {
		m.t.Errorf("the table in %s is not what happened; -update makes it anew:\n%s", path, m.render())
	}
	published := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimPrefix(line, "| "), " | ")
		if len(cells) != 4 {
			continue
		}
		for file := range strings.SplitSeq(cells[0], "; ") {
			for part := range strings.SplitSeq(cells[1], "; ") {
				for attack := range strings.SplitSeq(cells[2], "; ") {
					published[file+" | "+part+" | "+attack] = strings.TrimSuffix(cells[3], " |\n")
				}
			}
		}
	}
	if len(published) != len(m.rows)+2 && !testing.Short() { // and the head
		m.t.Errorf("the table has %d rows, %d were tried", len(published)-2, len(m.rows))
	}
	for _, r := range m.rows {
		have, ok := published[r.file+" | "+r.part+" | "+r.attack]
		for out := range r.outcomes {
			if out == outcomeFound {
				ok = ok && strings.Contains(strings.ReplaceAll(have, "`ErrStale`", ""), "`Err") // one of the others
			} else {
				ok = ok && slices.Contains(strings.Split(have, " **or** "), string(out))
			}
		}
		if !ok {
			m.t.Errorf("%s, %s: %s: %v, the table says %q", r.file, r.part, r.attack, slices.Sorted(maps.Keys(r.outcomes)), have)
		}
	}
}

// render returns the table. Attacks on a part of a file that fare alike share a
// line, then parts, then files.
func (m *matrix) render() string {
	lines := make([][4]string, 0, len(m.rows))
	for _, r := range m.rows {
		var cells []string
		for _, out := range slices.Sorted(maps.Keys(r.outcomes)) {
			if out != outcomeFound || len(r.outcomes) == 1 {
				cells = append(cells, string(out))
			}
		}
		lines = append(lines, [4]string{r.file, r.part, r.attack, strings.Join(cells, " **or** ")})
	}
	for _, column := range []int{2, 1, 0} {
		lines = joined(lines, column)
	}
	var b strings.Builder
	b.WriteString("| file | part | attack | what follows |\n| --- | --- | --- | --- |\n")
	for _, line := range lines {
		b.WriteString("| " + strings.Join(line[:], " | ") + " |\n")
	}
	return b.String()
}

// joined makes one line of those that differ in one column alone.
func joined(lines [][4]string, column int) [][4]string {
	var out [][4]string
	at := map[[4]string]int{}
	for _, line := range lines {
		rest := line
		rest[column] = ""
		i, ok := at[rest]
		if !ok {
			at[rest] = len(out)
			out = append(out, line)
			continue
		}
		out[i][column] += "; " + line[column]
	}
	return out
}
