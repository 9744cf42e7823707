package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a pseudoterminal of 70 columns.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudoterminals here: %v", err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 70}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestConversation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	mustRun(t, "exec", dir, "create table routes (origin text, flights int)", "insert into routes values ('ABE', 853)")
	master, slave := openTerminal(t)
	screen := &buffer{}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if n > 0 {
				if _, err := screen.Write(b[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	root := newRoot()
	root.SetArgs([]string{"shell", dir})
	root.SetIn(slave)
	root.SetOut(slave)
	root.SetErr(slave)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(t.Context()) }()

	at := 0
	expect := func(want string) {
		t.Helper()
		err := poll(t.Context(), 20*time.Second, func() bool { return strings.Contains(screen.String()[at:], want) })
		if err != nil {
			t.Fatalf("the screen does not show %q: %q", want, screen.String()[at:])
		}
		at += strings.Index(screen.String()[at:], want) + len(want)
	}
	send := func(keys string) {
		t.Helper()
		if _, err := master.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	expect("development key")
	expect(promptNew)
	send("sel\tflights\r") // completed to "select flights"
	expect(promptMore)
	send("from rou\t;\r")
	expect("853")
	expect("1 row in ")
	expect(promptNew)
	send("select broken\r")
	expect(promptMore)
	send("'\x03") // drops the statement and the line
	expect(promptNew)
	send("insert into routes values ('ATL', 1);\r")
	expect("1 row changed in ")
	expect(promptNew)
	send("select * from nowhere;\r")
	expect("error: ")
	expect(promptNew)
	send("\x1b[A\x1b[A\r") // two up in the history: the insert again
	expect("1 row changed in ")
	expect(promptNew)
	send("\x04")
	if err := <-done; err != nil {
		t.Errorf("the shell ends with %v", err)
	}
	if err := slave.Close(); err != nil {
		t.Error(err)
	}
	if err := master.Close(); err != nil {
		t.Error(err)
	}
	if got := number(t, dir, "select count(*) from routes"); got != 3 {
		t.Errorf("%d rows, want 3", got)
	}
}
