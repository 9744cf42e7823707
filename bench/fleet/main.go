// Command fleet opens many idle databases in one process, and measures what each
// of them takes, how often the KMS is asked, and how long it takes until the
// customer's switch shows and until service is back.
//
//	go run ./bench/fleet -n 1000 -keys each
//
// Keys are asked through the AWS SDK, over HTTP, at a KMS for development in a
// process of its own: "each" database has a key of its own, or "one" key is for
// all. The report goes to stdout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// config is what the command line says.
type config struct {
	n       int
	keys    string
	dir     string
	policy  engine.Policy
	measure time.Duration
	profile string
}

func main() {
	if os.Getenv(kmsEnv) != "" {
		if err := serveKMS(); err != nil {
			fmt.Fprintln(os.Stderr, "fleet: KMS:", err)
			os.Exit(1)
		}
		return
	}
	var c config
	flag.IntVar(&c.n, "n", 1000, "databases")
	flag.StringVar(&c.keys, "keys", "each", "each or one: a key for each database, or one for all")
	flag.StringVar(&c.dir, "dir", "", "directory for the databases; a temporary one if empty")
	flag.DurationVar(&c.policy.ProbeInterval, "interval", time.Minute, "probe interval")
	flag.DurationVar(&c.policy.ProbeTimeout, "timeout", 10*time.Second, "probe timeout")
	flag.DurationVar(&c.policy.Deadline, "deadline", 3*time.Minute, "from unavailable to wiped")
	flag.DurationVar(&c.measure, "measure", time.Minute, "for how long calls of the KMS are counted in each state")
	flag.StringVar(&c.profile, "heapprofile", "", "write a heap profile of the open databases to this file")
	flag.Parse()
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) (err error) {
	if c.n < 1 || c.keys != "each" && c.keys != "one" {
		return errors.New("-n is 1 or more, -keys is each or one")
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "byokdb-fleet-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	}
	nKeys := 1
	if c.keys == "each" {
		nKeys = c.n
	}
	k, err := startKMS(ctx, nKeys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	fleet, err := engine.NewFleet(nil)
	if err != nil {
		return err
	}
	f := &fleetRun{config: c, kms: k, fleet: fleet}
	defer func() { err = errors.Join(err, f.close()) }()
	before := measureUsage()
	if err := f.open(ctx); err != nil {
		return err
	}
	return f.life(ctx, before)
}

// fleetRun is a fleet and what it is measured with.
type fleetRun struct {
	config
	kms   *kms
	fleet *engine.Fleet
	keys  []crypt.Provider
	dbs   []*engine.DB
}

// open opens the databases; each has a provider of its own and holds a record.
func (f *fleetRun) open(ctx context.Context) error {
	from := time.Now()
	for i := range f.n {
		uri := fmt.Sprintf("awskms:%s?endpoint=%s", f.kms.arns[i%len(f.kms.arns)], f.kms.endpoint)
		key, err := keyuri.Open(ctx, uri)
		if err != nil {
			return err
		}
		f.keys = append(f.keys, key)
		o := &engine.Options{Fleet: f.fleet, Policy: f.policy}
		db, err := engine.Open(ctx, filepath.Join(f.dir, fmt.Sprintf("%04d.byok", i)), key, o)
		if err != nil {
			return err
		}
		f.dbs = append(f.dbs, db)
		err = db.Update(func(tx *engine.Tx) error {
			col, err := tx.CreateCollection("c")
			if err != nil {
				return err
			}
			return col.Put([]byte("key"), []byte("value"))
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("%d databases, keys: %s, made and opened in %v\n", f.n, f.config.keys, time.Since(from).Round(time.Millisecond))
	return nil
}

// life disables and enables the keys, twice: for a moment, and beyond the deadline.
func (f *fleetRun) life(ctx context.Context, before usage) error {
	u := measureUsage()
	fmt.Println("open,", u.per(before, f.n))
	if f.profile != "" {
		if err := writeHeapProfile(f.profile); err != nil {
			return err
		}
	}
	if err := f.count(ctx, "active"); err != nil {
		return err
	}
	for _, step := range []struct {
		what, op string
		want     engine.State
		count    string
	}{
		{"disabled: refused", "DisableKey", engine.Suspended, "suspended"},
		{"enabled: served", "EnableKey", engine.Active, ""},
		{"disabled: refused", "DisableKey", engine.Suspended, ""},
		{"deadline: wiped", "", engine.Paused, "paused"},
		{"enabled: served", "EnableKey", engine.Active, ""},
	} {
		if step.op != "" {
			if err := f.kms.each(ctx, step.op); err != nil {
				return err
			}
		}
		limit, cancel := context.WithTimeout(ctx, 10*time.Minute)
		t, err := reached(limit, f.dbs, step.want)
		cancel()
		if err != nil {
			return err
		}
		fmt.Printf("%s: %v\n", step.what, t)
		if step.count != "" {
			if err := f.count(ctx, step.count); err != nil {
				return err
			}
		}
		if step.want == engine.Paused {
			fmt.Println("paused,", measureUsage().per(before, f.n))
		}
	}
	fmt.Println("resumed,", measureUsage().per(before, f.n))
	return nil
}

// count counts the calls of the KMS for a while.
func (f *fleetRun) count(ctx context.Context, state string) error {
	n, err := f.kms.calls(ctx)
	if err != nil {
		return err
	}
	time.Sleep(f.measure)
	after, err := f.kms.calls(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.0f calls of the KMS a minute\n", state, float64(after-n)*float64(time.Minute)/float64(f.measure))
	return nil
}

func writeHeapProfile(name string) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(out), out.Close())
}

// close closes all databases side by side: they share scrubs of the heap then.
func (f *fleetRun) close() error {
	var mu sync.Mutex
	var all sync.WaitGroup
	var err error
	for _, db := range f.dbs {
		all.Go(func() {
			cerr := db.Close()
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, cerr)
		})
	}
	all.Wait()
	for _, key := range f.keys {
		err = errors.Join(err, key.Close())
	}
	return errors.Join(err, f.fleet.Close())
}
