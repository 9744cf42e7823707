package torture

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

var (
	killCycles = flag.Int("kill.cycles", 12, "how often the writing process is killed")
	killSeed   = flag.Uint64("kill.seed", 0, "repeat the kills of a seed; 0 draws one")
)

// asWriter makes the test binary a writing process.
const asWriter = "BYOKDB_TORTURE_WRITE"

func TestMain(m *testing.M) {
	if s := os.Getenv(asWriter); s != "" {
		var cfg Config
		if _, err := fmt.Sscanf(s, "%d %d %d %d", &cfg.Plan.Seed, &cfg.Plan.Writers, &cfg.Run, &cfg.Sync); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		cfg.Dir, cfg.Key = os.Args[1], os.Args[2]
		if err := Write(context.Background(), cfg, NewReporter(os.Stdout)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A cut is the moment when a process is killed: at a number of bytes of its
// report, or of time, whichever comes first.
type cut struct {
	bytes int
	after time.Duration
}

// randomCut hits an opening, the first commits or a full life about equally.
func randomCut(rng *rand.Rand) cut {
	switch rng.IntN(4) {
	case 0: // mostly before it is open
		return cut{bytes: 1 << 30, after: time.Duration(rng.IntN(30_000)) * time.Microsecond}
	case 1:
		return cut{bytes: 1 + rng.IntN(400), after: 2 * time.Second}
	default:
		return cut{bytes: 1 + rng.IntN(100_000), after: time.Duration(rng.IntN(700)) * time.Millisecond}
	}
}

// tap kills a process when it has reported enough.
type tap struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	limit  int
	kill   func()
	killed bool
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf.Write(b)
	if p.buf.Len() >= p.limit {
		p.killed = true
		p.kill()
	}
	return len(b), nil
}

// end kills the process, at the latest now.
func (p *tap) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	p.kill()
}

// writeAndKill runs a writing process until the cut and adds its report.
func writeAndKill(t *testing.T, cfg Config, c cut, report *Report) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, cfg.Dir, cfg.Key)
	cmd.Env = append(os.Environ(), asWriter+fmt.Sprintf("=%d %d %d %d", cfg.Plan.Seed, cfg.Plan.Writers, cfg.Run, cfg.Sync))
	var stderr bytes.Buffer
	out := &tap{limit: c.bytes}
	out.kill = func() { _ = cmd.Process.Kill() } // it may have ended
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(c.after, out.end)
	err = cmd.Wait()
	timer.Stop()
	if !out.killed || stderr.Len() > 0 {
		t.Fatalf("the process ended by itself: %v: %s", err, stderr.Bytes())
	}
	if err := report.Read(&out.buf); err != nil {
		t.Fatal(err)
	}
}

// TestKilledProcess kills writing processes at random moments, several times in
// a row now and then, and checks what is there.
func TestKilledProcess(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat the plan with: go test ./internal/torture -run TestKilledProcess -kill.seed %d -kill.cycles %d", seed, *killCycles)
	rng := rand.New(rand.NewPCG(seed, 0))
	base := t.TempDir()
	cfg := Config{
		Dir: filepath.Join(base, "t.byok"), Key: "local:" + filepath.Join(base, "dev.key"),
		Plan: Plan{Seed: seed, Writers: 4},
	}
	cycles := *killCycles
	if testing.Short() {
		cycles = min(cycles, 4)
	}
	var sum Outcome
	var all, since Report
	for cycle := range cycles {
		cfg.Run++
		// A kill keeps what the system has, so no mode may lose anything.
		cfg.Sync = []engine.SyncMode{engine.SyncFull, engine.SyncFull, engine.SyncInterval, engine.SyncOff}[rng.IntN(4)]
		writeAndKill(t, cfg, randomCut(rng), &since)
		if rng.IntN(4) == 0 && cycle < cycles-1 {
			continue // kill the recovery too
		}
		o := checkDir(t, cfg, &since)
		sum.Head = o.Head
		sum.Acked += o.Acked
		sum.Kept += o.Kept
		sum.Dropped += o.Dropped
		sum.Records += o.Records
		all.Opened = append(all.Opened, since.Opened...)
		all.Closed += since.Closed
		since = Report{}
	}
	t.Logf("%d kills, %d openings reported, %d orderly closings begun: %d commits there, %d acknowledged, 0 lost; in flight: %d kept, %d dropped; %d records compared",
		cycles, len(all.Opened), all.Closed, sum.Head, sum.Acked, sum.Kept, sum.Dropped, sum.Records)
	if sum.Acked == 0 || sum.Records == 0 {
		t.Error("nothing was acknowledged or compared: this checked nothing")
	}
}

// checkDir opens the database and checks it against the reports.
func checkDir(t *testing.T, cfg Config, report *Report) Outcome {
	t.Helper()
	db := open(t, cfg)
	o, err := cfg.Plan.Check(t.Context(), db, report)
	if err != nil {
		t.Fatalf("%v: after %d acknowledged commits", err, len(report.Acked))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

func open(t *testing.T, cfg Config) *engine.DB {
	t.Helper()
	key, err := keyuri.Open(t.Context(), cfg.Key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := engine.Open(t.Context(), cfg.Dir, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
