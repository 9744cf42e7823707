package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	bolt "go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/testdata"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"byokdb": main})
}

// TestScripts runs testdata/script. Beside testscript's own commands there are
//
//	exits CODE COMMAND…   the command ends with that code
//	kms                   start a KMS for development; sets $KMS_ENDPOINT, $KMS_ARN and $KMS_URI
//	golist FILE           write go list -json std to FILE
//	damage DIR            flip a bit in the sealed bytes of a run or of the log
//	value FILE NAME       set $NAME to what FILE holds, without the line's end
//	position DIR          set $POSITION to the database's position
//	journalcut DIR        remove the last entry of the journal
//	journaledit DIR A B   replace A by B in its first entry, the checksum made right
//	journaladd DIR JSON   add an entry to it
//	boltfile FILE BUCKET/KEY=VALUE…   make a bbolt file; BUCKET may hold buckets: a/b/k=v
//	holder DIR            hold the database open until release DIR
//
// and $DATA holds airports.csv and routes.csv.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", env.Cd+"/data")
			env.Values[holdersKey{}] = map[string]held{}
			if err := os.Mkdir(env.Cd+"/data", 0o700); err != nil {
				return err
			}
			for name, text := range map[string]string{"airports.csv": testdata.Airports, "routes.csv": testdata.Routes} {
				if err := os.WriteFile(env.Cd+"/data/"+name, []byte(text), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  scriptExits,
			"kms":    scriptKMS,
			"golist": scriptGoList,
			"damage": scriptDamage,

			"position": scriptPosition,
			"value":    scriptValue,

			"journalcut":  scriptJournalCut,
			"journaledit": scriptJournalEdit,
			"journaladd":  scriptJournalAdd,
			"holder":      scriptHolder,
			"boltfile":    scriptBoltFile,
			"release":     scriptRelease,
		},
	})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ee, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = ee.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptBoltFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: boltfile FILE BUCKET/KEY=VALUE…")
	}
	db, err := bolt.Open(ts.MkAbs(args[0]), 0o600, nil)
	ts.Check(err)
	ts.Check(db.Update(func(tx *bolt.Tx) error {
		for _, arg := range args[1:] {
			path, value, _ := strings.Cut(arg, "=")
			names := strings.Split(path, "/")
			b, err := tx.CreateBucketIfNotExists([]byte(names[0]))
			for _, n := range names[1 : len(names)-1] {
				if err == nil {
					b, err = b.CreateBucketIfNotExists([]byte(n))
				}
			}
			if err == nil {
				_, err = b.NextSequence()
			}
			if err == nil {
				err = b.Put([]byte(names[len(names)-1]), []byte(value))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
	ts.Check(db.Close())
}

func scriptKMS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: kms")
	}
	server, err := devkms.New("")
	ts.Check(err)
	arn, err := server.CreateKey()
	ts.Check(err)
	l, err := devkms.Listen("127.0.0.1:0")
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-served)
	})
	endpoint := devkms.Endpoint(l)
	ts.Setenv("KMS_ENDPOINT", endpoint)
	ts.Setenv("KMS_ARN", arn)
	ts.Setenv("KMS_URI", devKeyURI(endpoint, arn))
}

func scriptGoList(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: golist FILE")
	}
	out, err := exec.Command("go", "list", "-json", "std").Output()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out, 0o600))
}

func scriptValue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: value FILE NAME")
	}
	ts.Setenv(args[1], strings.TrimSpace(ts.ReadFile(args[0])))
}

func scriptPosition(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: position DIR")
	}
	ts.Check(ts.Exec("byokdb", "status", "--json", args[0]))
	var r report
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &r))
	if r.Storage == nil || r.Storage.Position == "" {
		ts.Fatalf("status shows no position")
	}
	ts.Setenv("POSITION", r.Storage.Position)
}

// scriptDamage flips a bit behind the header of the first run that holds
// sealed bytes, or of the first log segment when there is no run.
func scriptDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage DIR")
	}
	const at = 700
	for _, pattern := range []string{"runs/*.run", "wal/*.wal"} {
		files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), pattern))
		ts.Check(err)
		for _, name := range files {
			b, err := os.ReadFile(name)
			ts.Check(err)
			if len(b) <= at { // a header alone
				continue
			}
			b[at] ^= 1
			ts.Check(os.WriteFile(name, b, 0o600))
			return
		}
	}
	ts.Fatalf("%s has no files to damage", args[0])
}
