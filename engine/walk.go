package engine

// Walk moves over up to n records, as Next does or, with back, as Prev does, and
// calls fn on each until fn returns false; the cursor stays there. It reports
// whether records may follow; if not, Err tells an end from an error. Without
// values, they are not read and fn is given none.
//
// The bytes are those of UnsafeKey and UnsafeValue. They stay as they are until
// fn returns: a pause waits for that. So fn is to be short, and must not use the
// transaction or anything of it. The key's lease is checked once, before the
// first record; for what fn kept the terms of [Tx.Check] hold.
func (c *Cursor) Walk(n int, back, values bool, fn func(key, value []byte) bool) bool {
	if !c.enter() {
		return false
	}
	defer c.c.tx.leave()
	defer func() { c.block.wanted = 0 }()
	for n > 0 {
		c.block.wanted = n
		if !c.step(back) {
			return false
		}
		if b := &c.block; b.has() && b.back == back {
			taken, goOn := b.walk(n, values, fn)
			if n -= taken; !goOn {
				return true
			}
			continue
		}
		n--
		var v []byte
		if values {
			var ok bool
			if v, ok = c.value(); !ok {
				return false
			}
		}
		if !fn(c.key(), v) {
			return true
		}
	}
	return true
}

// walk calls fn on up to n records from the current one on, and stays on the last
// of them.
func (b *block) walk(n int, values bool, fn func(key, value []byte) bool) (taken int, goOn bool) {
	for i, r := range b.records[b.i:min(b.i+n, len(b.records))] {
		v := r.Value
		switch {
		case !values:
			v = nil
		case v == nil:
			v = []byte{}
		}
		if !fn(r.Key, v) {
			b.i += i
			return i + 1, false
		}
		taken = i + 1
	}
	b.i += taken - 1
	return taken, true
}
