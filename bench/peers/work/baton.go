package work

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Message is what a turn tells the program that began it, one in a line.
type Message struct {
	Event   Event    `json:"event"`
	Figures []Figure `json:"figures,omitempty"` // with End
}

// Event says why a turn waits, or that it has ended.
type Event string

// The events. After Pass and Meet the turn waits for an empty line, which gives it
// the baton; nobody works without.
const (
	Pass Event = "pass" // the others may do as much
	Meet Event = "meet" // go on when all have come as far
	End  Event = "end"
)

// baton is how turns of one round take turns in slices. Nil is that of a turn by
// itself, which never waits.
type baton struct {
	out *json.Encoder
	in  *bufio.Reader
}

func (b *baton) say(e Event) error {
	if b == nil {
		return nil
	}
	if err := b.out.Encode(Message{Event: e}); err != nil {
		return fmt.Errorf("give the baton away: %w", err)
	}
	if _, err := b.in.ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the baton: %w", err)
	}
	return nil
}

// pass lets the other turns of the round do a slice.
func (t *turn) pass() error { return t.baton.say(Pass) }

// meet waits until the other turns have come as far.
func (t *turn) meet() error { return t.baton.say(Meet) }

// Serve runs one turn, whose Spec is read from r as JSON, and writes Messages to w,
// the last one with its figures.
func Serve(r io.Reader, w io.Writer, stores []Engine, sqls []SQLEngine) error {
	in, out := bufio.NewReader(r), json.NewEncoder(w)
	line, err := in.ReadBytes('\n')
	var s Spec
	if err == nil || errors.Is(err, io.EOF) {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	if s.Shared {
		s.baton = &baton{out, in}
	}
	figures, err := Run(s, stores, sqls)
	if err != nil {
		return err
	}
	return out.Encode(Message{Event: End, Figures: figures})
}
