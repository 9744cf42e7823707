package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	killCycles = flag.Int("kill.cycles", 4, "how often TestKilledTransfers kills the process")
	killSeed   = flag.Uint64("kill.seed", 0, "repeat the kills of a seed; 0 draws one")
)

// program returns the path of a byokdb that is this test binary under another
// name, as testscript has it.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "byokdb")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if err := os.Link(self, path); err == nil {
		return path
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// killed starts byokdb, calls fn, and then kills the process without warning.
func killed(t *testing.T, fn func(stdin io.Writer, stdout *bufio.Reader), args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fn(stdin, bufio.NewReader(stdout))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself before it was killed")
	}
}

// number runs a query of one number.
func number(t *testing.T, dir, query string) int {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(mustRun(t, "exec", dir, "--format", "csv", query)), "\n")
	n, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKilledProcessKeepsWhatWasAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	mustRun(t, "exec", dir, "create table t (id integer primary key)")
	acknowledged := 0
	for round := range 3 {
		killed(t, func(stdin io.Writer, stdout *bufio.Reader) {
			for range 20 * (round + 1) {
				acknowledged++
				fmt.Fprintf(stdin, "insert into t values (%d) returning id;\n", acknowledged)
				if text, err := stdout.ReadString('\n'); err != nil || strings.TrimSpace(text) != fmt.Sprintf(`{"id":%d}`, acknowledged) {
					t.Fatalf("row %d is answered with %q, %v", acknowledged, text, err)
				}
			}
			fmt.Fprintf(stdin, "insert into t select id + 1000000 from t;\n") // under way when it is killed
		}, "exec", dir, "--format", "ndjson", "-")
		if got := number(t, dir, "select count(*) from t where id < 1000000"); got != acknowledged {
			t.Fatalf("round %d: %d rows of %d acknowledged", round, got, acknowledged)
		}
		if got := number(t, dir, "select count(*) from t where id > 1000000"); got != 0 && got != acknowledged {
			t.Fatalf("round %d: the last statement is half there: %d of %d rows", round, got, acknowledged)
		}
		mustRun(t, "exec", dir, "delete from t where id > 1000000")
	}
	mustRun(t, "verify", dir)
}

// TestKilledImportIsWholeOrGoesOn kills imports at many places: what is there is
// nothing, or a part that the same command completes.
func TestKilledImportIsWholeOrGoesOn(t *testing.T) {
	const rows = 3000
	var b strings.Builder
	b.WriteString("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);\n")
	for i := range rows {
		fmt.Fprintf(&b, "INSERT INTO t VALUES(%d,'row; %d');\n", i+1, i+1)
	}
	b.WriteString("CREATE INDEX ti ON t(v);\nCOMMIT;\n")
	text := b.String()
	key := filepath.Join(t.TempDir(), "dev.key")
	for i, part := range []float64{0.02, 0.3, 0.7, 0.999} {
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("%d.byok", i))
		mustRun(t, "init", dir, "--key", "local:"+key)
		killed(t, func(stdin io.Writer, _ *bufio.Reader) {
			if _, err := io.WriteString(stdin, text[:int(float64(len(text))*part)]); err != nil {
				t.Fatal(err)
			}
		}, "import", dir, "--sql", "-", "--batch-size", "4000")
		tables := number(t, dir, "select count(*) from sqlite_master where type = 'table'")
		if tables != 0 && tables != 2 {
			t.Fatalf("%d tables after %v of the text", tables, part)
		}
		if tables == 2 {
			if n, done := number(t, dir, "select count(*) from t"), number(t, dir, "select statements - 3 from byokdb_import"); n != done {
				t.Fatalf("%d rows, %d are on record", n, done)
			}
		}
		c := start(t.Context(), "import", dir, "--sql", "-", "--batch-size", "50000")
		if _, err := io.WriteString(c.stdin, text); err != nil {
			t.Fatal(err)
		}
		if err := c.stdin.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.wait(t); err != nil {
			t.Fatal(err)
		}
		if n := number(t, dir, "select count(*) from t indexed by ti where v like 'row; %'"); n != rows {
			t.Errorf("%d rows after going on from %v of the text", n, part)
		}
		if n := number(t, dir, "select count(*) from sqlite_master"); n != 2 {
			t.Errorf("%d objects are left", n)
		}
		mustRun(t, "verify", dir)
	}
}

func TestKilledIngestLeavesWholeBatches(t *testing.T) {
	const batch, rows = 500, 20000
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	c := start(t.Context(), "ingest", dir, "t", "-")
	if _, err := io.WriteString(c.stdin, strings.Repeat("{\"a\":0}\n", 1234)); err != nil {
		t.Fatal(err)
	}
	if err := c.wait(t); err != nil {
		t.Fatal(err)
	}
	killed(t, func(stdin io.Writer, _ *bufio.Reader) {
		for i := range rows { // all but what fits into the pipes has been taken when this returns
			if _, err := fmt.Fprintf(stdin, "{\"a\":1,\"b\":\"row %d\"}\n", i); err != nil {
				t.Fatal(err)
			}
		}
	}, "ingest", dir, "t", "-", "--batch-rows", strconv.Itoa(batch))
	if got := number(t, dir, "select count(*) from t where a = 0"); got != 1234 {
		t.Errorf("%d rows of the first ingestion, want 1234", got)
	}
	got := number(t, dir, "select count(*) from t where a = 1")
	if got == 0 || got%batch != 0 || got > rows {
		t.Errorf("%d rows of the killed ingestion, want whole batches of %d", got, batch)
	}
	mustRun(t, "verify", dir)
}

// A bank is a table whose balances must add up, and what was asked of it.
type bank struct {
	dir      string
	rng      *rand.Rand
	sent     int // number of the last move that was sent
	answered int // and of the last one that was answered
	nAnswers int
}

const (
	nAccounts = 40
	bankTotal = nAccounts * 1000
	movesMax  = 200 // at most, before the process is killed
)

// TestKilledTransfers moves amounts between the rows of an indexed table, in
// transactions, and kills the process at a random moment. The sum must stay, the
// moves that were answered must be there, and the index must agree with the
// table.
func TestKilledTransfers(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat the plan with: go test ./cmd/byokdb -run TestKilledTransfers -kill.seed %d -kill.cycles %d", seed, *killCycles)
	b := &bank{dir: filepath.Join(t.TempDir(), "a.byok"), rng: rand.New(rand.NewPCG(seed, 0))}
	mustRun(t, "init", b.dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	rows := make([]string, nAccounts)
	for id := range rows {
		rows[id] = fmt.Sprintf("(%d, 1000)", id)
	}
	mustRun(t, "exec", b.dir, "create table account (id integer primary key, balance integer not null); "+
		"create index by_balance on account (balance); create table moved (n integer primary key, amount integer); "+
		"insert into account values "+strings.Join(rows, ", "))
	for range *killCycles {
		late := time.After(time.Duration(b.rng.IntN(800)) * time.Millisecond)
		killed(t, func(stdin io.Writer, stdout *bufio.Reader) {
			b.move(t, stdin, stdout, late)
		}, "exec", b.dir, "--format", "ndjson", "-")
		b.check(t)
	}
	if b.nAnswers == 0 {
		t.Error("no move was answered: this checked nothing")
	}
	mustRun(t, "verify", b.dir)
}

// move sends moves until late, each after the answer to the one before.
func (b *bank) move(t *testing.T, stdin io.Writer, stdout *bufio.Reader, late <-chan time.Time) {
	t.Helper()
	answers := make(chan string, movesMax) // with room for all: the reader never waits
	go func() {
		defer close(answers)
		for { // until the process is dead
			line, err := stdout.ReadString('\n')
			if err != nil {
				return
			}
			answers <- strings.TrimSpace(line)
		}
	}()
	for range 1 + b.rng.IntN(movesMax) {
		b.sent++
		from, to, amount := b.rng.IntN(nAccounts), b.rng.IntN(nAccounts), b.rng.IntN(100)
		fmt.Fprintf(stdin, "begin; update account set balance = balance - %d where id = %d; "+
			"update account set balance = balance + %d where id = %d; "+
			"insert into moved values (%d, %d); commit; select %d as done;\n",
			amount, from, amount, to, b.sent, amount, b.sent)
		select {
		case line := <-answers:
			if line != fmt.Sprintf(`{"done":%d}`, b.sent) {
				t.Fatalf("move %d is answered with %q", b.sent, line)
			}
			b.answered = b.sent
			b.nAnswers++
		case <-late:
			return
		}
	}
}

// check looks at what a killed process left.
func (b *bank) check(t *testing.T) {
	t.Helper()
	last := number(t, b.dir, "select coalesce(max(n), 0) from moved")
	if last < b.answered || last > b.sent {
		t.Fatalf("the last move is %d; %d was answered, %d sent", last, b.answered, b.sent)
	}
	for query, want := range map[string]int{
		"select count(*) from moved":       last,
		"select sum(balance) from account": bankTotal,
		"select sum(balance) from account indexed by by_balance where balance > -1000000000": bankTotal,
		"select count(*) from account indexed by by_balance where balance > -1000000000":     nAccounts,
	} {
		if got := number(t, b.dir, query); got != want {
			t.Fatalf("%s: %d, want %d: part of a transaction is there", query, got, want)
		}
	}
	b.sent, b.answered = last, last // a move that is not there is sent again
}
