// Command memtest is the program whose memory the tests of package memtest
// search. It reads commands from stdin and answers each with a line: ok, or what
// went wrong.
//
//	memtest DIR KEY MARKS
//
//	open            open the database
//	refuse POSITION open it with a position that it has not reached
//	work, hold      write and read rows; keep transactions and statements open
//	refused, check  what is held was refused; all rows are there
//	status          the state of the key and of the last wipe, as JSON
//	release, close  let go of what is held; close the database
//	what ADDRESS…   the kinds of memory there
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/memtest"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: memtest DIR KEY MARKS")
		os.Exit(2)
	}
	marks, err := memtest.ParseMarks(os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "memtest:", err)
		os.Exit(2)
	}
	runtime.LockOSThread() // a thread that waits for input is not reached by a scrub: it shall have touched no row
	s := &server{marks: marks}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		// In a goroutine of its own: this one's stack stays free of rows.
		done := make(chan []byte)
		go func() { done <- s.serve(in.Text()) }()
		fmt.Printf("%s\n", <-done)
	}
}

type server struct {
	marks   *memtest.Marks
	program *memtest.Program
}

// whatIs tells what kind of memory is at addresses, in a build that can.
var whatIs func(addresses string) string

func (s *server) serve(command string) []byte {
	if a, ok := strings.CutPrefix(command, "what "); ok && whatIs != nil {
		return []byte(whatIs(a))
	}
	if command == "status" {
		return s.status()
	}
	if err := s.run(context.Background(), command); err != nil {
		return []byte("failed: " + err.Error())
	}
	return []byte("ok")
}

func (s *server) run(ctx context.Context, command string) (err error) {
	p := s.program
	command, argument, _ := strings.Cut(command, " ")
	switch command {
	case "open":
		s.program, err = memtest.Open(ctx, os.Args[1], os.Args[2], s.marks, engine.Options{})
		return err
	case "refuse":
		return s.refuse(ctx, argument)
	case "work":
		return errors.Join(p.Records(ctx), p.Rows(ctx))
	case "hold":
		return p.Hold(ctx)
	case "refused":
		return p.Refused()
	case "check":
		return p.Check(ctx)
	case "release":
		return p.Release()
	case "close":
		err := p.Close()
		s.program = nil
		return err
	}
	return errors.New("unknown command")
}

// refuse opens the database with a position that it has not reached, which it
// finds out when the runs are open and the log is replayed.
func (s *server) refuse(ctx context.Context, position string) error {
	var p engine.Position
	if err := p.UnmarshalText([]byte(position)); err != nil {
		return err
	}
	p.Commit += 1_000_000
	program, err := memtest.Open(ctx, os.Args[1], os.Args[2], s.marks, engine.Options{MinPosition: p})
	switch {
	case err == nil:
		return errors.Join(errors.New("not refused"), program.Close())
	case !errors.Is(err, engine.ErrStale):
		return err
	}
	return nil
}

// status is never a string: one that lives while a scrub runs would keep what was
// behind it in its slot.
func (s *server) status() []byte {
	st := s.program.Engine.Status()
	b, err := json.Marshal(st)
	if err != nil {
		return []byte("failed: " + err.Error())
	}
	return b
}
