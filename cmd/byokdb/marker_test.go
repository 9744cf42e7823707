package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/internal/marker"
)

// TestMarkerIsInNoFile puts a marker into names and rows through the command
// line: ingestion, statements, a shell that ends and one that is killed. Then it
// looks for it in every file below the directory that is all the processes'
// world: database, working directory, home and temporary files.
func TestMarkerIsInNoFile(t *testing.T) {
	world := t.TempDir()
	dir, work := filepath.Join(world, "m.byok"), filepath.Join(world, "work")
	for _, d := range []string{work, filepath.Join(world, "home"), filepath.Join(world, "tmp")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := program(t)
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Dir, cmd.Stdin = work, strings.NewReader(stdin)
		cmd.Env = worldly(world)
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		if err := cmd.Run(); err != nil {
			t.Fatalf("byokdb %s: %v: %s", args[0], err, &errOut)
		}
		return out.String()
	}
	scanner, nLooked := marker.New(marker.Text), int64(0)
	look := func(when string) {
		t.Helper()
		found, n, err := scanner.Tree(world)
		if err != nil || n == 0 {
			t.Fatalf("%s: %d bytes: %v", when, n, err)
		}
		for _, f := range found {
			t.Errorf("%s: %s", when, f)
		}
		nLooked += n
	}
	name := func(what string) string { return `"` + what + " " + marker.Text + `"` }

	run("", "init", dir, "--key", "local:"+filepath.Join(world, "dev.key"))
	var csv strings.Builder
	fmt.Fprintf(&csv, "id,%s\n", marker.Text)
	for i := range 3000 {
		fmt.Fprintf(&csv, "%d,%s %d\n", i, marker.Text, i%7)
	}
	run(csv.String(), "ingest", dir, "people "+marker.Text, "-", "--format", "csv")
	look("ingest")
	run("", "exec", dir, fmt.Sprintf(`create table %s (%s integer primary key, %s text default '%s' check (%s <> 'x'))`,
		name("t"), name("id"), name("c"), marker.Text, name("c")))
	run("", "exec", dir, fmt.Sprintf(`create index %s on %s (%s); create view %s as select '%s'`, name("i"), name("t"), name("c"), name("v"), marker.Text))
	run("", "exec", dir, fmt.Sprintf(`insert into %s (%s) select %s from %s`, name("t"), name("c"), `"`+marker.Text+`"`, name("people")))
	look("exec")
	out := run(fmt.Sprintf("select count(*), max(%s) from %s;\nselect * from %s order by %s desc, %s limit 1;\nselect '%s';\n",
		name("c"), name("t"), name("t"), name("c"), name("id"), marker.Text), "shell", dir)
	if !strings.Contains(out, "3000") || !strings.Contains(out, marker.Text) {
		t.Errorf("the shell shows %q: nothing was put into the database", out)
	}
	look("shell")
	killedShell(t, world, path, dir, fmt.Sprintf("insert into %s (%s) values ('%s killed');\nselect 'done';\n", name("t"), name("c"), marker.Text))
	look("killed")
	run("", "exec", dir, fmt.Sprintf(`update %s set %s = '%s again'; delete from %s where %s %% 2 = 0; drop table %s`,
		name("t"), name("c"), marker.Text, name("t"), name("id"), name("people")))
	for _, args := range [][]string{{"verify", dir}, {"inspect", dir}, {"status", dir}, {"key", "probe", dir}} {
		run("", args...)
	}
	look("verify, inspect, status, probe")

	if nLooked < 100_000 {
		t.Errorf("only %d bytes were looked at", nLooked)
	}
	if err := os.WriteFile(filepath.Join(world, "tmp", "planted"), []byte(marker.Text[5:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, _, err := scanner.Tree(world); len(found) != 1 || err != nil {
		t.Errorf("what was planted was found %d times: %v", len(found), err)
	}
}

// killedShell kills a shell once it has answered a text whose last answer is done.
func killedShell(t *testing.T, world, path, dir, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, "shell", dir)
	cmd.Dir, cmd.Env = filepath.Join(world, "work"), worldly(world)
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
	if _, err := io.WriteString(stdin, text); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "done") {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself before it was killed")
	}
}

// worldly is an environment in which all that a process finds lies below world.
func worldly(world string) []string {
	env := append(os.Environ(), "HOME="+filepath.Join(world, "home"), "USERPROFILE="+filepath.Join(world, "home"))
	for _, name := range []string{"TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"} {
		env = append(env, name+"="+filepath.Join(world, "tmp"))
	}
	return env
}
