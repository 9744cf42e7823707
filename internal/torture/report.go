package torture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A Reporter writes one line for every step of a writing process, in one call
// each, before the process goes on: who reads them knows what was begun and
// what was acknowledged, whenever the process ends.
//
//	b N W S   the commit N, transaction S of writer W, is about to be made
//	a N W S   it was acknowledged
//	o NS      the database was opened, in NS nanoseconds
//	c         it is about to be closed
//	f         a commit failed, and writes are refused since
//	x         an opening or a closing failed with the disk's error
//	v         what is committed was read and compared after the failure
type Reporter struct {
	mu sync.Mutex
	w  io.Writer
}

// NewReporter returns a reporter that writes to w.
func NewReporter(w io.Writer) *Reporter { return &Reporter{w: w} }

func (r *Reporter) line(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintf(r.w, format+"\n", args...); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (r *Reporter) begun(c Commit) error { return r.line("b %d %d %d", c.N, c.Writer, c.Seq) }
func (r *Reporter) acked(c Commit) error { return r.line("a %d %d %d", c.N, c.Writer, c.Seq) }

// Report is what a writing process said of itself, or several one after the
// other.
type Report struct {
	Begun    []Commit
	Acked    []Commit
	Late     []Commit        // acknowledged while the disk was failing, see [Plan.Check]
	Opened   []time.Duration // how long each opening took
	Closed   int             // orderly ends that were begun
	Failed   int             // times that writes were refused, or opening or closing failed
	Verified int             // of the former, how often the contents were compared
}

// Read adds the lines of r. What stands behind the last line end was cut off
// by the end of the process and is ignored.
func (p *Report) Read(r io.Reader) error {
	br := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := br.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		if err := p.take(strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("read report: line %d: %w", n, err)
		}
	}
}

func (p *Report) take(line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	var err error
	switch kind {
	case "b", "a":
		var c Commit
		if _, err = fmt.Sscanf(rest, "%d %d %d", &c.N, &c.Writer, &c.Seq); kind == "b" {
			p.Begun = append(p.Begun, c)
		} else {
			p.Acked = append(p.Acked, c)
		}
	case "o":
		var took time.Duration
		_, err = fmt.Sscanf(rest, "%d", &took)
		p.Opened = append(p.Opened, took)
	case "c":
		p.Closed++
	case "f", "x":
		p.Failed++
	case "v":
		p.Verified++
	default:
		err = fmt.Errorf("unknown step %q", kind)
	}
	return err
}
