package exec

// hashNode joins by equality: it reads inner into a hash table once.
type hashNode struct {
	outer, inner node
	pairs        []*hashPair
	on           []*expr
	left         bool
	slots        []int // of inner
	kept         int   // the table is kept under this number in the frame; 0: it is not
}

type hashIter struct {
	n       *hashNode
	f       *frame
	outer   iter
	rows    *buffer
	table   map[string][]int32
	found   []int32
	inRow   bool
	matched bool
	stays   bool // the table outlives the iterator
	inUse   bool // then: by an iterator

	nRows  int64      // of inner, so far
	sorted *rowSorter // the rows of inner, when they do not fit into memory
	filed  *keyedFile // then: the table
}

func (n *hashNode) open(f *frame) (iter, error) {
	outer, err := n.outer.open(f)
	if err != nil {
		return nil, err
	}
	it := &hashIter{n: n, f: f, outer: outer}
	if n.kept == 0 || f.plan.volatile {
		return it, nil
	}
	k := &f.kept[n.kept-1]
	switch {
	case k.hash == nil:
		k.hash, it.stays, it.inUse = it, true, true
	case !k.hash.inUse:
		it = k.hash
		it.outer, it.inRow, it.inUse = outer, false, true
		it.filed.forget()
	}
	return it, nil
}

// key computes the hash key of one side in the frame's scratch; false: it holds a
// NULL, which equals nothing.
func (it *hashIter) key(inner bool) (bool, error) {
	f := it.f
	base := len(f.stack)
	defer func() { f.stack = f.stack[:base] }()
	for _, p := range it.n.pairs {
		x := p.outer
		if inner {
			x = p.inner
		}
		v, err := x.eval(f) // which may use the scratch
		if err != nil || v.IsNull() {
			return false, err
		}
		f.stack = append(f.stack, p.cmp.convert(v))
	}
	f.key = f.key[:0]
	for i, v := range f.stack[base:] {
		f.key = appendKey(f.key, v, it.n.pairs[i].cmp.coll)
	}
	return true, nil
}

func (it *hashIter) build() error {
	it.rows = &buffer{slots: it.n.slots}
	it.table = map[string][]int32{}
	inner, err := it.n.inner.open(it.f)
	if err != nil {
		return err
	}
	defer inner.close()
	for {
		ok, err := inner.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := it.f.tick(); err != nil {
			return err
		}
		ok, err = it.key(true)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := it.add(); err != nil {
			return err
		}
	}
	if it.sorted != nil {
		return it.index()
	}
	return nil
}

// add takes the row of inner in the registers, with its key in the frame's
// scratch.
func (it *hashIter) add() error {
	if it.sorted != nil {
		it.nRows++
		return it.sorted.add(keyed(it.f, it.f.key, it.nRows, it.n.slots))
	}
	n := int32(it.rows.n)
	size := it.rows.append(it.f) + int64(len(it.f.key)+64)
	it.rows.mem += int64(len(it.f.key) + 64)
	it.table[string(it.f.key)] = append(it.table[string(it.f.key)], n)
	if it.f.keep(size, it.rows.mem) {
		return it.spill()
	}
	return nil
}

func (it *hashIter) next() (bool, error) {
	for {
		if !it.inRow {
			ok, err := it.outer.next()
			if err != nil || !ok {
				return false, err
			}
			if it.table == nil {
				if err := it.build(); err != nil {
					return false, err
				}
			}
			it.inRow, it.matched, it.found = true, false, nil
			ok, err = it.key(false)
			if err != nil {
				return false, err
			}
			if ok {
				it.look()
			}
		}
		for {
			ok, err := it.match()
			if err != nil {
				return false, err
			}
			if !ok {
				break
			}
			if err := it.f.tick(); err != nil {
				return false, err
			}
			pass, err := passes(it.f, it.n.on)
			if err != nil {
				return false, err
			}
			if pass {
				it.matched = true
				return true, nil
			}
		}
		it.inRow = false
		if it.n.left && !it.matched {
			setNull(it.f, it.n.slots)
			return true, nil
		}
	}
}

// look finds the rows of inner that have the key in the frame's scratch.
func (it *hashIter) look() {
	if it.filed != nil {
		it.filed.find(it.f.key)
		return
	}
	it.found = it.table[string(it.f.key)]
}

// match puts the next of them into the registers.
func (it *hashIter) match() (bool, error) {
	if it.filed != nil {
		return it.matchFiled()
	}
	if len(it.found) == 0 {
		return false, nil
	}
	at := int(it.found[0])
	it.found = it.found[1:]
	return true, it.rows.load(it.f, at)
}

func (it *hashIter) close() {
	it.outer.close()
	it.inUse = false
	if !it.stays {
		it.drop()
	}
}

// drop drops the table.
func (it *hashIter) drop() {
	it.sorted.close()
	it.filed.close()
	clear(it.table)
	if it.rows != nil {
		it.rows.close(it.f)
	}
}
