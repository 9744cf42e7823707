package wal

import (
	"context"
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/crypt"
)

// A Visitor is told what a verification of a log meets. Each of its functions
// may be nil.
type Visitor struct {
	// Frame is called with the payload of every data frame that opened, in
	// order. The payload is valid during the call.
	Frame func(frame uint64, payload []byte) error

	// Gap is called where frames may be missing before the next one.
	Gap func()

	// Fault is called for everything that is wrong.
	Fault func(err error)
}

// VerifyEach is [Verify] that goes on past faults and tells visit of each: past
// a segment that is missing or does not open, and past frames that do not open
// to those behind them that do. The error is why it ended early: ctx's, the
// directory cannot be listed, keys were wiped, or one of visit.Frame.
func VerifyEach(ctx context.Context, cfg Config, floor Floor, visit Visitor) (Stats, error) {
	v := &verifier{ctx: ctx, cfg: cfg.withDefaults(), visit: visit}
	return v.run(floor, nil)
}

// VerifyEach is [Log.Verify] in the way of the function VerifyEach. Release must
// not run beside it.
func (l *Log) VerifyEach(ctx context.Context, floor Floor, visit Visitor) (Stats, error) {
	l.mu.Lock()
	if l.cur == nil {
		defer l.mu.Unlock()
		return Stats{}, l.err
	}
	until := &limit{segment: l.cur.number, end: l.cur.end, chain: l.chain}
	l.mu.Unlock()
	v := &verifier{ctx: ctx, cfg: l.cfg, visit: visit}
	return v.run(floor, until)
}

// OldestFloor returns the floor at which the oldest segment in the directory
// says that it begins: where a verification can start when the manifest, which
// knows better, does not open. ok is false when no segment has a sound header.
func OldestFloor(cfg Config) (floor Floor, ok bool, err error) {
	segments, _, err := cfg.list()
	if err != nil {
		return floor, false, err
	}
	for _, number := range segments {
		f, err := cfg.FS.Open(cfg.path(number))
		if err != nil {
			continue // a verification names it
		}
		h, _, err := readHeader(f, cfg.path(number))
		_ = f.Close() // opened for reading only
		if err == nil {
			return Floor{Segment: number, Frame: h.first, Tag: h.before}, true, nil
		}
	}
	return floor, false, nil
}

// verifier is one VerifyEach under way. Its methods return an error only to end
// it; faults go to note.
type verifier struct {
	ctx     context.Context // lives as long as one call
	cfg     Config
	visit   Visitor
	st      Stats
	r       reader
	chain   position
	broken  bool   // chain is not known: take it from the next header or frame
	last    uint64 // segment read before, 0 before the first
	lastEnd int64  // where its frames end
}

func (v *verifier) run(floor Floor, until *limit) (Stats, error) {
	if err := v.note(floor.Validate()); err != nil {
		return v.st, err
	}
	v.r.cfg = v.cfg
	defer v.r.close()
	all, _, err := v.cfg.list()
	if err != nil {
		return v.st, err
	}
	want, chain := floor.start()
	v.chain = chain
	for _, number := range all {
		if number < want {
			continue
		}
		if until != nil && number > until.segment {
			break
		}
		if number > want {
			if err := v.missing(want, number); err != nil {
				return v.st, err
			}
		}
		want = number + 1
		newest := until == nil && number == all[len(all)-1]
		if err := v.segment(number, newest, until); err != nil {
			return v.st, err
		}
	}
	if first, _ := floor.start(); want == first && floor != (Floor{}) {
		return v.st, v.missing(want, want+1)
	}
	if err := v.note(v.cfg.reaches(v.chain, v.cfg.path(v.last), v.lastEnd)); err != nil {
		return v.st, err
	}
	v.st.LastFrame, v.st.LastTag = v.chain.frame, v.chain.tag
	return v.st, nil
}

// note reports a fault of the log and returns nil; what is none, it returns.
func (v *verifier) note(err error) error {
	switch {
	case err == nil, v.ctx.Err() != nil, errors.Is(err, crypt.ErrWiped):
		return err
	case errors.As(err, new(*SegmentError)), errors.Is(err, ErrCorrupt):
		if v.visit.Fault != nil {
			v.visit.Fault(err)
		}
		return nil
	default:
		return err
	}
}

// gap says that frames may be missing.
func (v *verifier) gap() {
	if v.visit.Gap != nil {
		v.visit.Gap()
	}
}

// missing reports that the segments [from, to) are not there.
func (v *verifier) missing(from, to uint64) error {
	v.broken = true
	what := "the segment is missing"
	if to > from+1 {
		what = fmt.Sprintf("the segment is missing, and so are the %d behind it", to-from-1)
	}
	return v.note(&SegmentError{Path: v.cfg.path(from), Op: "open segment", Err: corrupt(what)})
}

// segment verifies one segment. The newest may have a torn tail.
func (v *verifier) segment(number uint64, newest bool, until *limit) error {
	if err := v.r.open(number); err != nil {
		v.broken = true
		return v.note(err)
	}
	if !v.broken {
		if err := v.r.follows(v.chain, v.cfg.path(v.last), v.lastEnd); err != nil {
			if err := v.note(err); err != nil {
				return err
			}
			v.broken = true
		}
	}
	if v.broken {
		v.chain, v.broken = position{frame: v.r.head.first - 1, tag: v.r.head.before}, false
		v.gap()
	}
	if until != nil && number == until.segment {
		v.r.size = until.end
	}
	v.st.Segments++
	v.last = number
	budget := v.r.size
	for off := int64(headerSize); off > 0; {
		var err error
		if off, err = v.frames(off, newest, until, &budget); err != nil {
			return err
		}
	}
	v.st.Closed = v.r.ended
	return nil
}

// frames replays a segment from an offset to where no frame opens, and returns
// the offset of a frame behind that does, 0 when there is none or when what is
// there was never durable.
func (v *verifier) frames(off int64, newest bool, until *limit, budget *int64) (next int64, err error) {
	count := func(frame uint64, payload []byte) error {
		v.st.Frames++
		v.st.Bytes += int64(len(payload))
		if v.visit.Frame == nil {
			return nil
		}
		return v.visit.Frame(frame, payload)
	}
	var end int64
	v.chain, end, err = v.r.replayFrom(v.ctx, off, v.chain, count)
	v.lastEnd = end
	if err != nil { // a frame that opens and is out of its place, or a fork of Config.Least: nothing behind it means anything
		v.broken = true
		return 0, v.note(err)
	}
	var fault error
	switch {
	case newest:
		v.st.Dropped, fault = v.r.verifyTail(v.ctx, v.chain, end)
	case until != nil && v.r.head.segment == until.segment:
		if v.chain == until.chain && end == until.end {
			return 0, nil
		}
		fault = v.r.fault(end, v.chain.frame+1, corrupt("a frame does not open"))
	}
	if fault == nil && (newest || v.endsHere()) {
		return 0, nil
	}
	if err := v.note(fault); err != nil {
		return 0, err
	}
	f, at, err := v.r.nextFrame(v.ctx, end, budget)
	if err != nil || at == 0 {
		return 0, v.note(err) // the next segment's header knows what is missing here
	}
	if fault == nil {
		what := fmt.Sprintf("it does not open, but frame %d at offset %d does", f.number, at)
		if err := v.note(v.r.fault(end, v.chain.frame+1, corrupt(what))); err != nil {
			return 0, err
		}
	}
	v.chain = position{frame: f.number - 1, tag: f.before}
	v.gap()
	return at, nil
}

// endsHere reports whether the header of the next segment says that this one
// ends at the chain's position: what a crash left behind it, out of order, was
// dropped by the recovery that began the next segment.
func (v *verifier) endsHere() bool {
	path := v.cfg.path(v.last + 1)
	f, err := v.cfg.FS.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // opened for reading only
	h, _, err := readHeader(f, path)
	return err == nil && h.database == v.cfg.Database && h.first == v.chain.frame+1 && h.before == v.chain.tag
}

// nextFrame returns the first frame that opens at an offset or behind it, and
// its own offset, 0 when there is none. Headers may claim no more bytes in all
// than budget; see verifyTail.
func (r *reader) nextFrame(ctx context.Context, off int64, budget *int64) (frame, int64, error) {
	for ; off+frameOverhead <= r.size; off += frameAlign {
		if off&(readSize-1) == 0 && ctx.Err() != nil {
			return frame{}, 0, ctx.Err()
		}
		b, err := r.window(off, frameHeaderSize)
		if err != nil {
			return frame{}, 0, r.fault(off, 0, err)
		}
		var h frameHeader
		if !h.unmarshal(b, r.seed) || int64(h.size) > r.size-off-frameHeaderSize {
			continue
		}
		if *budget -= int64(h.size); *budget < 0 {
			return frame{}, 0, nil
		}
		f, ok, err := r.frameAt(off)
		if err != nil {
			return f, 0, r.fault(off, f.number, err)
		}
		if ok {
			r.n = 0 // opened in place: read it again
			return f, off, nil
		}
	}
	return frame{}, 0, nil
}
