package pager

// A Batch looks up several keys at once. For leaves that are in memory it loads
// what the lookups need into the processor's cache, step by step for all of them:
// the loads for one key do not wait for those of another. The zero Batch is
// empty. Release must be called.
type Batch struct {
	n     int
	looks [BatchMax]look
	path  [4]batchStep // to the last key: enough for most trees
	sum   uint32       // of bytes that were loaded early: the loads must have a use
}

// BatchMax is how many keys a Batch takes.
const BatchMax = 16

// look is one lookup.
type look struct {
	r    *Run
	key  []byte
	at   ref  // of the leaf; zero: it is looked up as Run.GetLikely does
	leaf page // pinned
	i    int  // the entry that may be the key's, −1 for none
}

// batchStep is an inner page.
type batchStep struct {
	r  *Run
	at ref
	p  page
}

// Add adds a key, which stays as it is until Release, and a run that probably has
// it. r nil takes a place for a key that is not to be looked up. There must be
// room.
func (b *Batch) Add(r *Run, key []byte) {
	l := &b.looks[b.n]
	b.n++
	l.r, l.key = r, key
	if r == nil || r.live() != nil || r.t.entries == 0 || int(r.t.depth) > len(b.path) {
		return
	}
	at := r.t.root
	for i := range int(r.t.depth) {
		n, ok := b.inner(i, r, at)
		if !ok {
			return
		}
		at = n.child(n.descend(key))
	}
	l.at = at
}

// inner returns an inner page on the way to a leaf if it is in memory. It stays
// pinned: the next key often needs it too.
func (b *Batch) inner(i int, r *Run, at ref) (node, bool) {
	st := &b.path[i]
	if st.r == r && st.at == at {
		return st.p.data, true
	}
	st.p.release()
	p, ok, err := r.owner.c.peek(r, at, kindInner)
	if !ok || err != nil {
		st.r = nil
		return nil, false
	}
	*st = batchStep{r, at, p}
	return p.data, true
}

// Find goes to the leaves of all keys.
func (b *Batch) Find() {
	sum := b.touch()
	for k := range b.looks[:b.n] {
		l := &b.looks[k]
		if l.at == (ref{}) {
			continue
		}
		var err error
		if l.leaf, _, err = l.r.owner.c.peekNear(l.r, l.at, kindLeaf); err != nil {
			l.leaf = page{} // Get will see
		}
	}
	for k := range b.looks[:b.n] {
		if n := node(b.looks[k].leaf.data); n != nil {
			sum += n.head(n.len() - 1)
		}
	}
	for k := range b.looks[:b.n] {
		l := &b.looks[k]
		if n := node(l.leaf.data); n != nil {
			sum += n.guess(l.key)
		}
	}
	for k := range b.looks[:b.n] {
		l := &b.looks[k]
		if n := node(l.leaf.data); n != nil {
			if l.i = n.candidate(l.key); l.i >= 0 {
				sum += uint32(n[uint32(n.slot(l.i))])
			}
		}
	}
	b.sum = sum
}

// touch loads the headers of the leaves, unpinned and for nothing but having been
// loaded, and what the cache knows of them.
func (b *Batch) touch() (sum uint32) {
	for k := range b.looks[:b.n] {
		l := &b.looks[k]
		if l.at == (ref{}) {
			continue
		}
		hash := hashPage(l.r.pageKey(l.at))
		s := l.r.owner.c.shardOf(hash)
		if at := s.table[hash>>s.shift].Load(); at != 0 {
			sum += uint32(s.alloc.mem[int(at-1)<<granuleLog]) + uint32(s.frames[at].key.Load())
		}
	}
	return sum
}

// Get returns what [Run.GetLikely] returns for the k-th key, counted from 0.
func (b *Batch) Get(k int, dst []byte) (value []byte, kind EntryKind, found bool, err error) {
	l := &b.looks[k]
	switch {
	case l.r == nil:
		return dst, 0, false, nil
	case l.leaf.data == nil:
		return l.r.GetLikely(dst, l.key)
	}
	i := l.i
	n := node(l.leaf.data)
	if i >= 0 && string(n.key(i)) != string(l.key) {
		i = n.find(l.key) // many keys with one head
	}
	if i < 0 {
		return dst, 0, false, nil
	}
	flags, _, v := n.entry(i, n.len())
	return l.r.appendValue(dst, flags, v)
}

// Release ends the use of the leaves, and empties the batch.
func (b *Batch) Release() {
	for k := range b.looks[:b.n] {
		b.looks[k].leaf.release()
	}
	for i := range b.path {
		b.path[i].p.release()
	}
	*b = Batch{}
}
