package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// contents are collections of records.
type contents map[string]map[string]string

func (c contents) clone() contents {
	out := make(contents, len(c))
	for name, records := range c {
		out[name] = maps.Clone(records)
	}
	return out
}

// historyOp is one operation of a commit.
type historyOp struct {
	kind             byte // opPut, opDelete, opCreate, opDrop
	name, key, value string
}

func (c contents) apply(ops []historyOp) {
	for _, op := range ops {
		switch op.kind {
		case opPut:
			c[op.name][op.key] = op.value
		case opDelete:
			delete(c[op.name], op.key)
		case opCreate:
			c[op.name] = map[string]string{}
		case opDrop:
			delete(c, op.name)
		}
	}
}

// history is what a test knows of a database: the operations of every commit in
// their order, so that the contents after any commit follow.
type history struct {
	mu      sync.Mutex
	base    contents // after commit number first
	first   uint64
	ops     [][]historyOp // of the commits behind
	acked   uint64        // every commit up to this one was acknowledged
	durable uint64        // whatever the mode, these survive power loss
	reached Position      // what no crash may go behind
}

func newHistory() *history { return &history{base: contents{}} }

// record notes what a commit is about to do. A number that was given before
// belonged to a commit that was refused.
func (h *history) record(number uint64, ops []historyOp) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops[:number-h.first-1], ops)
}

func (h *history) ack(number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = max(h.acked, number)
}

// last returns the number of the last commit that was tried.
func (h *history) last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first + uint64(len(h.ops))
}

// reach notes the position of a database. Readers of an ended one have none.
func (h *history) reach(db *DB) error {
	p, err := db.Position()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && (p.Commit > h.reached.Commit || p.Commit == h.reached.Commit && p.Generation >= h.reached.Generation) {
		h.reached = p
	}
	return err
}

// position returns what reach has noted.
func (h *history) position() Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reached
}

// promised returns the last commit that a crash must not lose.
func (h *history) promised(mode SyncMode) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if mode == SyncFull {
		return h.acked
	}
	return h.durable
}

// settle notes that everything acknowledged is durable.
func (h *history) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.durable = h.acked
}

// at returns the contents after a commit.
func (h *history) at(number uint64) contents {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.base.clone()
	for _, ops := range h.ops[:number-h.first] {
		out.apply(ops)
	}
	return out
}

// rebase forgets everything but the contents after a commit, from which a
// database goes on.
func (h *history) rebase(number uint64) {
	base := h.at(number)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.base, h.first, h.ops, h.acked, h.durable = base, number, nil, number, number
}

// numberKey is a record in collection "meta" that holds the number of the last
// commit, as the test counts.
const numberKey = "number"

// check compares a database with the history. It must be in the state after
// some commit from low to high; which one is returned.
func (h *history) check(tb testing.TB, db *DB, low, high uint64) uint64 {
	tb.Helper()
	number := db.Status().Commit
	if number < low || number > high {
		tb.Fatalf("the last commit is %d: it must be one of %d to %d", number, low, high)
	}
	got, err := dump(db)
	if err != nil {
		tb.Fatalf("read everything: %v", err)
	}
	if err := h.at(number).differs(got); err != nil {
		tb.Fatalf("after commit %d (of %d to %d): %v", number, low, high, err)
	}
	if n := got["meta"][numberKey]; number > 0 && n != strconv.FormatUint(number, 10) {
		tb.Fatalf("commit %d has left number %s", number, n)
	}
	return number
}

// differs says where two contents differ.
func (c contents) differs(got contents) error {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if got[name] == nil {
			return fmt.Errorf("collection %s is missing", name)
		}
		for _, key := range slices.Sorted(maps.Keys(c[name])) {
			if v, ok := got[name][key]; !ok || v != c[name][key] {
				return fmt.Errorf("%s/%s is there: %t, %d bytes; want %d", name, key, ok, len(v), len(c[name][key]))
			}
		}
		if len(got[name]) != len(c[name]) {
			return fmt.Errorf("collection %s has %d records, want %d", name, len(got[name]), len(c[name]))
		}
	}
	if len(got) != len(c) {
		return fmt.Errorf("%d collections, want %d", len(got), len(c))
	}
	return nil
}

// dump reads a whole database.
func dump(db *DB) (contents, error) {
	out := contents{}
	err := db.View(func(tx *Tx) error {
		names, err := tx.Collections()
		if err != nil {
			return err
		}
		for _, name := range names {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			out[name] = map[string]string{}
			cur := c.Cursor(nil, nil)
			for cur.Next() {
				out[name][string(cur.Key())] = string(cur.Value())
			}
			if err := errors.Join(cur.Err(), cur.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// change makes a transaction do random things.
type change struct {
	tx  *Tx
	rng *rand.Rand
	ops []historyOp
}

var errNotThisOne = errors.New("this transaction is rolled back")

// commit runs one random transaction and notes it.
func (h *history) commit(db *DB, rng *rand.Rand) error {
	return h.update(db, func(c *change) error {
		for range 1 + rng.IntN(12) {
			if err := c.step(); err != nil {
				return err
			}
		}
		if rng.IntN(12) == 0 {
			return errNotThisOne
		}
		return nil
	}, rng)
}

// update runs one transaction and notes it.
func (h *history) update(db *DB, fn func(c *change) error, rng *rand.Rand) error {
	var number uint64
	err := db.Update(func(tx *Tx) error {
		number = tx.base + 1
		c := &change{tx: tx, rng: rng}
		if err := fn(c); err != nil {
			return err
		}
		if err := c.put("meta", numberKey, strconv.FormatUint(number, 10)); err != nil {
			return err
		}
		h.record(number, c.ops)
		return nil
	})
	switch {
	case errors.Is(err, errNotThisOne):
		return nil
	case err == nil:
		h.ack(number)
		return h.reach(db)
	}
	return err
}

// bulk loads some records at once, and notes it. Nobody else may be writing.
func (h *history) bulk(ctx context.Context, db *DB, rng *rand.Rand) error {
	tx, err := db.Begin(true)
	if err != nil {
		return err
	}
	number := tx.base + 1
	if err := tx.Rollback(); err != nil {
		return err
	}
	b, err := db.NewBulk(ctx, "meta")
	if err != nil {
		return err
	}
	c := &change{rng: rng}
	if h.at(number - 1)["meta"] == nil {
		c.ops = append(c.ops, historyOp{kind: opCreate, name: "meta"})
	}
	add := func(key, value string) error {
		c.ops = append(c.ops, historyOp{kind: opPut, name: "meta", key: key, value: value})
		return b.Add([]byte(key), []byte(value))
	}
	for i := range 1 + rng.IntN(50) {
		err = errors.Join(err, add(fmt.Sprintf("bulk-%03d", i), c.value()))
	}
	if err = errors.Join(err, add(numberKey, strconv.FormatUint(number, 10))); err != nil {
		b.Abort()
		return err
	}
	h.record(number, c.ops)
	if _, err := b.Commit(); err != nil {
		return err
	}
	h.ack(number)
	h.settle() // it is durable whatever the mode, and so is all before it
	return h.reach(db)
}

func (c *change) step() error {
	name := []string{"a", "b", "c"}[c.rng.IntN(3)]
	key := fmt.Sprintf("key-%03d", c.rng.IntN(200))
	switch n := c.rng.IntN(60); {
	case n == 0:
		return c.drop(name)
	case n < 5:
		sp, kept := c.tx.Savepoint(), len(c.ops)
		for range c.rng.IntN(4) {
			if err := c.put(name, key, "undone"); err != nil {
				return err
			}
			if err := c.drop(name); err != nil {
				return err
			}
		}
		c.ops = c.ops[:kept]
		return c.tx.RollbackTo(sp)
	case n < 17:
		return c.delete(name, key)
	default:
		return c.put(name, key, c.value())
	}
}

// value returns bytes that S2 cannot make much smaller.
func (c *change) value() string {
	size := c.rng.IntN(200)
	switch c.rng.IntN(100) {
	case 0:
		size = 300 << 10
	case 1, 2, 3, 4, 5, 6:
		size = c.rng.IntN(20 << 10)
	}
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(strconv.FormatUint(c.rng.Uint64(), 36))
	}
	return b.String()[:size]
}

func (c *change) collection(name string) (*Collection, error) {
	col, err := c.tx.Collection(name)
	if !errors.Is(err, ErrNoCollection) {
		return col, err
	}
	c.ops = append(c.ops, historyOp{kind: opCreate, name: name})
	return c.tx.CreateCollection(name)
}

func (c *change) put(name, key, value string) error {
	col, err := c.collection(name)
	if err != nil {
		return err
	}
	c.ops = append(c.ops, historyOp{kind: opPut, name: name, key: key, value: value})
	if len(value)%2 == 1 {
		return col.PutReader([]byte(key), int64(len(value)), strings.NewReader(value))
	}
	return col.Put([]byte(key), []byte(value))
}

func (c *change) delete(name, key string) error {
	col, err := c.collection(name)
	if err != nil {
		return err
	}
	c.ops = append(c.ops, historyOp{kind: opDelete, name: name, key: key})
	return col.Delete([]byte(key))
}

func (c *change) drop(name string) error {
	err := c.tx.DropCollection(name)
	if errors.Is(err, ErrNoCollection) {
		return nil
	}
	c.ops = append(c.ops, historyOp{kind: opDrop, name: name})
	return err
}
