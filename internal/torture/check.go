package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/byokdb/byokdb/engine"
)

// An Outcome is what a check found, besides faults.
type Outcome struct {
	Head    uint64 `json:"head"`    // number of the last commit there is
	Records int64  `json:"records"` // compared, byte for byte
	Acked   int    `json:"acked"`   // commits that were acknowledged
	Lost    int    `json:"lost"`    // of these, commits that are not there
	Kept    int    `json:"kept"`    // commits that were begun, not acknowledged, and are there
	Dropped int    `json:"dropped"` // and those that are not

	LostLate int `json:"lost_late"` // commits of Report.Late that are not there
}

// Check compares the whole database with the plan and, unless it is nil, with
// what the writing processes said since the last check. It reads one snapshot
// and verifies every page and frame.
//
// Commits acknowledged while the disk was failing (Report.Late) may be missing
// as far as one sync reaches, which is one commit of each writer: a system may
// report success for the sync that is under way. After that one nothing may be
// acknowledged.
//
// Errors: ErrWrong; ErrLost, with an outcome that is otherwise complete, so
// that a mode which may lose commits can accept it; the engine's.
func (p Plan) Check(ctx context.Context, db *engine.DB, r *Report) (Outcome, error) {
	var o Outcome
	var order []Commit
	err := db.View(func(tx *engine.Tx) (err error) {
		order, err = p.checkTx(ctx, tx, &o)
		return err
	})
	if err != nil {
		return o, err
	}
	if err := db.Verify(ctx); err != nil {
		return o, fmt.Errorf("verify: %w", err)
	}
	if r == nil {
		return o, nil
	}
	return o, r.compare(order, p.Writers, &o)
}

// checkTx compares a snapshot with the plan and returns the last commits.
func (p Plan) checkTx(ctx context.Context, tx *engine.Tx, o *Outcome) ([]Commit, error) {
	names, err := tx.Collections()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	seqs := make([]uint64, p.Writers)
	for w := range p.Writers {
		if seqs[w], err = p.seqOf(tx, w); err != nil {
			return nil, err
		}
	}
	var want []string
	want = append(want, orderName, writerName)
	for w, s := range seqs {
		want = append(want, p.collectionsAfter(w, s)...)
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		return nil, fmt.Errorf("%w: collections %q, want %q", ErrWrong, names, want)
	}
	order, err := checkOrder(tx, seqs)
	if err != nil {
		return nil, err
	}
	o.Head = order[len(order)-1].N
	for w := range p.Writers {
		if err := p.checkWriter(ctx, tx, w, o); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// seqOf returns how many transactions of a writer are there.
func (p Plan) seqOf(tx *engine.Tx, writer int) (uint64, error) {
	own, err := tx.Collection(writerName)
	if errors.Is(err, engine.ErrNoCollection) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return lastSeq(own, writer)
}

// collectionsAfter returns the names of the collections that a writer has after
// s transactions.
func (p Plan) collectionsAfter(writer int, s uint64) []string {
	if s == 0 {
		return nil
	}
	epoch, _ := epochOf(s)
	names := []string{collectionName(writer, epoch)}
	if epoch > 0 {
		names = append(names, collectionName(writer, epoch-1))
	}
	if s >= bulkEvery {
		names = append(names, bulkName(writer))
	}
	return names
}

// checkOrder reads the last commits, which must have no gap and must be the
// last ones of their writers in turn, and returns them, oldest first.
func checkOrder(tx *engine.Tx, seqs []uint64) (order []Commit, err error) {
	c, err := tx.Collection(orderName)
	if err != nil {
		return nil, err
	}
	cur := c.Cursor(nil, nil)
	defer func() { err = errors.Join(err, cur.Close()) }()
	for cur.Next() {
		commit, err := commitOf(cur.Key(), cur.Value())
		if err != nil {
			return nil, err
		}
		if n := len(order); n > 0 && commit.N != order[n-1].N+1 {
			return nil, fmt.Errorf("%w: %v follows %v", ErrWrong, commit, order[n-1])
		}
		order = append(order, commit)
	}
	if err := cur.Err(); err != nil {
		return nil, err
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("%w: there are collections, and no commit", ErrWrong)
	}
	last := order[len(order)-1].N
	if first := max(last, orderKept) - orderKept + 1; order[0].N != first {
		return nil, fmt.Errorf("%w: the order begins with commit %d, want %d", ErrWrong, order[0].N, first)
	}
	sum := uint64(0)
	for _, s := range seqs {
		sum += s
	}
	if sum != last {
		return nil, fmt.Errorf("%w: the writers have made %d transactions, the last commit is %d", ErrWrong, sum, last)
	}
	next := slices.Clone(seqs)
	for _, commit := range slices.Backward(order) {
		if commit.Writer >= len(next) || commit.Seq != next[commit.Writer] {
			return nil, fmt.Errorf("%w: %v is out of its writer's order", ErrWrong, commit)
		}
		next[commit.Writer]--
	}
	return order, nil
}

// checkWriter compares everything that one writer has written, in a snapshot.
func (p Plan) checkWriter(ctx context.Context, tx *engine.Tx, writer int, o *Outcome) error {
	s, err := p.seqOf(tx, writer)
	if err != nil || s == 0 {
		return err
	}
	epoch, _ := epochOf(s)
	for _, e := range []uint64{epoch, epoch - 1} {
		if e > epoch {
			continue
		}
		err := p.checkCollection(ctx, tx, collectionName(writer, e), writer, nSlots, o, func(slot int) []byte {
			if last := lastWriter(s, e, slot); last > 0 {
				return p.value(writer, e, last, slot)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if s < bulkEvery {
		return nil
	}
	return p.checkCollection(ctx, tx, bulkName(writer), writer, bulkSlots, o, func(slot int) []byte {
		return p.bulkValue(writer, s-s%bulkEvery, slot)
	})
}

// checkCollection compares a collection with what its slots must hold, nil for
// no record: by a walk, and some of the records by a look-up.
func (p Plan) checkCollection(
	ctx context.Context, tx *engine.Tx, name string, writer, n int, o *Outcome, want func(slot int) []byte,
) (err error) {
	c, err := tx.Collection(name)
	if err != nil {
		return fmt.Errorf("%w: collection %s: %w", ErrWrong, name, err)
	}
	type place struct {
		key  []byte
		slot int
	}
	places := make([]place, n)
	for slot := range places {
		places[slot] = place{p.key(writer, slot), slot}
	}
	slices.SortFunc(places, func(a, b place) int { return bytes.Compare(a.key, b.key) })
	cur := c.Cursor(nil, nil)
	defer func() { err = errors.Join(err, cur.Close()) }()
	more := cur.Next()
	for i, at := range places {
		if err := ctx.Err(); err != nil {
			return err
		}
		value := want(at.slot)
		if i%16 == int(o.Records%16) {
			if err := checkGet(c, at.key, value); err != nil {
				return fmt.Errorf("%s, slot %d: %w", name, at.slot, err)
			}
		}
		if value == nil {
			continue
		}
		if err := cur.Err(); err != nil {
			return err
		}
		if !more || !bytes.Equal(cur.UnsafeKey(), at.key) {
			return fmt.Errorf("%w: %s, slot %d: the record is missing, or another is in its place", ErrWrong, name, at.slot)
		}
		if have := cur.UnsafeValue(); !bytes.Equal(have, value) {
			if err := cur.Err(); err != nil {
				return err
			}
			return fmt.Errorf("%w: %s, slot %d: %s, want %s", ErrWrong, name, at.slot, describe(have), describe(value))
		}
		o.Records++
		more = cur.Next()
	}
	if more {
		return fmt.Errorf("%w: %s holds a record too many: %s", ErrWrong, name, describe(cur.UnsafeValue()))
	}
	return cur.Err()
}

// checkGet compares one record that is looked up.
func checkGet(c *engine.Collection, key, want []byte) error {
	have, err := c.Get(key)
	switch {
	case errors.Is(err, engine.ErrNotFound) && want == nil:
		return nil
	case errors.Is(err, engine.ErrNotFound):
		return fmt.Errorf("%w: look-up finds no record", ErrWrong)
	case err != nil:
		return err
	case want == nil || !bytes.Equal(have, want):
		return fmt.Errorf("%w: look-up finds %s", ErrWrong, describe(have))
	}
	return nil
}

// describe says whose a value is, and whether it is whole.
func describe(v []byte) string {
	if len(v) < valueHeader || !sealed(v) {
		return fmt.Sprintf("%d bytes that nobody wrote", len(v))
	}
	var s uint64
	for _, b := range v[5:13] {
		s = s<<8 | uint64(b)
	}
	return fmt.Sprintf("%d bytes of transaction %d", len(v), s)
}

// compare compares the commits that are there with those that were begun and
// acknowledged.
func (p *Report) compare(order []Commit, nWriters int, o *Outcome) error {
	there := make(map[Commit]bool, len(order))
	for _, c := range order {
		there[c] = true
	}
	gone := func(c Commit) bool {
		// What left the order by its age was there, or the order had a gap.
		return c.N > o.Head || c.N >= order[0].N && !there[c]
	}
	begun := make(map[Commit]bool, len(p.Begun))
	base := uint64(math.MaxUint64) // the first commit that was begun since the last check
	for _, c := range p.Begun {
		begun[c] = true
		base = min(base, c.N)
	}
	acked := make(map[Commit]bool, len(p.Acked))
	var lost, late []Commit
	for _, c := range p.Acked {
		acked[c] = true
		if gone(c) {
			lost = append(lost, c)
		}
	}
	for _, c := range p.Late {
		if !acked[c] && gone(c) {
			late = append(late, c)
		}
	}
	o.Acked, o.Lost, o.LostLate = len(p.Acked), len(lost), len(late)
	for _, c := range order {
		switch {
		case acked[c] || c.N < base:
		case begun[c]:
			o.Kept++
		default:
			return fmt.Errorf("%w: %v is there and was never begun", ErrWrong, c)
		}
	}
	for c := range begun {
		if !acked[c] && gone(c) {
			o.Dropped++
		}
	}
	if o.Lost > 0 {
		return fmt.Errorf("%w: %d of %d, the first is %v; the last commit there is %d", ErrLost, o.Lost, o.Acked, lost[0], o.Head)
	}
	if o.LostLate > nWriters {
		return fmt.Errorf("%w: %d that were acknowledged while the disk failed, more than one sync covers; the first is %v", ErrLost, o.LostLate, late[0])
	}
	return nil
}
