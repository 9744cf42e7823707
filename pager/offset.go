package pager

// OffsetOf returns where in the file the leaf begins that has key or would have
// it, in bytes: how much of the run lies before the key. It reads inner pages
// alone. 0 in an empty run.
// Errors: as Get.
func (r *Run) OffsetOf(key []byte) (int64, error) {
	if err := r.live(); err != nil {
		return 0, err
	}
	if r.t.entries == 0 {
		return 0, nil
	}
	at := r.t.root
	for range r.t.depth {
		p, err := r.owner.c.get(r, at, kindInner)
		if err != nil {
			return 0, err
		}
		n := node(p.data)
		at = n.child(n.descend(key))
		p.release()
	}
	return int64(at.off), nil
}
