package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
)

var errInterrupted = errors.New("interrupted")

// A player is a turn under way, in a process of its own. One player of several has
// the baton, and works; the others wait.
type player struct {
	peer
	spec    work.Spec
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
	faults  bytes.Buffer
	last    work.Event // why it waits, or End
	figures []work.Figure
	took    time.Duration // with the baton
	err     error
}

// play runs turns together until all have ended. What failed says so in err. A
// signal ends all of them, with errInterrupted.
func (b *bench) play(players []*player) error {
	for _, p := range players {
		if err := p.prepare(); err != nil {
			killAll(players)
			return err
		}
	}
	var interrupted atomic.Bool
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-b.stop:
			interrupted.Store(true)
			killAll(players)
		case <-ended:
		}
	}()
	for _, p := range players {
		p.do(p.begin)
	}
	for !interrupted.Load() {
		playing := slices.DeleteFunc(slices.Clone(players), func(p *player) bool { return p.last == work.End })
		if len(playing) == 0 {
			break
		}
		all := !slices.ContainsFunc(playing, func(p *player) bool { return p.last != work.Meet })
		for _, p := range playing {
			if all || p.last == work.Pass {
				p.do(p.goOn)
			}
		}
	}
	if interrupted.Load() {
		return errInterrupted
	}
	return nil
}

// prepare makes the process's pipes. Nothing runs yet.
func (p *player) prepare() error {
	p.cmd = exec.Command(p.program[0], p.program[1:]...)
	p.cmd.Stderr = &p.faults
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's interrupt is for this program to handle
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = json.NewDecoder(out)
	return p.cmd.Start()
}

func killAll(players []*player) {
	for _, p := range players {
		if p.cmd != nil && p.cmd.Process != nil {
			_ = p.cmd.Process.Kill() // it may have ended
		}
	}
}

// begin tells the turn what to do, which gives it the baton.
func (p *player) begin() error { return json.NewEncoder(p.in).Encode(p.spec) }

func (p *player) goOn() error {
	_, err := io.WriteString(p.in, "\n")
	return err
}

// do gives the baton by give, and waits until it is given back.
func (p *player) do(give func() error) {
	began := time.Now()
	var m work.Message
	err := give()
	if err == nil {
		err = p.out.Decode(&m)
	}
	p.took += time.Since(began)
	p.last, p.figures = m.Event, m.Figures
	if err == nil && m.Event != work.End {
		return
	}
	p.last = work.End
	if werr := p.cmd.Wait(); werr != nil {
		err = werr // why it says nothing any more
	}
	if err != nil {
		p.err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(p.faults.Bytes()))
	}
}

// round runs one part of several engines, each on a directory of its own: together,
// slice by slice, where the part has slices. A part that fails is not tried again;
// those of byokdb must not fail.
func (b *bench) round(peers []peer, round, rows int, part string, dirs map[string]string) error {
	var players []*player
	for _, p := range peers {
		if _, gone := b.results.Missing[p.name+", "+part]; gone {
			continue
		}
		players = append(players, &player{peer: p, spec: work.Spec{
			Engine: p.name, Part: part, Dir: dirs[p.name], Round: round, Rows: rows, Cache: b.cache, Time: b.time, Limit: b.limit, Shared: len(peers) > 1,
		}})
	}
	if err := b.play(players); err != nil {
		return err
	}
	for _, p := range players {
		if p.err != nil && p.name == "byokdb" {
			return p.err
		}
		if p.err != nil {
			b.miss(p.name, part, p.err)
			continue
		}
		_, _ = p.faults.WriteTo(os.Stderr) // what it says beside its figures
		b.results.Figures = append(b.results.Figures, p.figures...)
		fmt.Fprintf(os.Stderr, "round %d: %s, %s: %.1f s\n", round, p.name, part, p.took.Seconds())
	}
	return nil
}

// directories makes one for each engine. remove removes them.
func (b *bench) directories(peers []peer) (dirs map[string]string, remove func() error, err error) {
	dirs = map[string]string{}
	remove = func() error {
		var err error
		for _, dir := range dirs {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}
	for _, p := range peers {
		if dirs[p.name], err = os.MkdirTemp(b.dir, "turn-"); err != nil {
			return nil, nil, errors.Join(err, remove())
		}
	}
	return dirs, remove, nil
}
