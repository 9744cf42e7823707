package exec

// entryKeys are the keys of rows that entries of an index have named, to be
// looked up in one operation of the transaction.
type entryKeys struct {
	it    *scanIter // whose they are at present
	bytes []byte
	ends  []int
	list  [][]byte // of take
	at    int      // in list: the next one to be fetched

	visit func(i int, value []byte) bool
}

func newEntryKeys() *entryKeys {
	k := &entryKeys{}
	k.visit = func(_ int, value []byte) bool { return k.it.fetched(value) }
	return k
}

func (k *entryKeys) add(key []byte) {
	k.bytes = append(k.bytes, key...)
	k.ends = append(k.ends, len(k.bytes))
}

// waiting reports whether there are keys to be fetched.
func (k *entryKeys) waiting() bool { return k != nil && len(k.ends) > 0 }

// rest returns the keys that are to be fetched.
func (k *entryKeys) rest() [][]byte {
	if k.at == 0 {
		k.list = k.list[:0]
		start := 0
		for _, end := range k.ends {
			k.list = append(k.list, k.bytes[start:end:end])
			start = end
		}
	}
	return k.list[k.at:]
}

// next returns the next of them.
func (k *entryKeys) next() []byte {
	key := k.list[k.at]
	k.at++
	return key
}

// done forgets the keys if all were fetched.
func (k *entryKeys) done() {
	if k.at == len(k.ends) {
		k.bytes, k.ends, k.at = k.bytes[:0], k.ends[:0], 0
	}
}

// takeKeys returns memory for keys, perhaps what another scan of the frame has
// left.
func (f *frame) takeKeys(it *scanIter) *entryKeys {
	k := f.spareKeys
	if f.spareKeys = nil; k == nil {
		k = newEntryKeys()
	}
	k.it = it
	return k
}

// giveKeys wipes the memory and keeps it for the next scan.
func (f *frame) giveKeys(k *entryKeys) {
	if k == nil {
		return
	}
	clear(k.bytes[:cap(k.bytes)])
	k.it, k.bytes, k.ends, k.at = nil, k.bytes[:0], k.ends[:0], 0
	if cap(k.bytes) <= idleScratchMax {
		f.spareKeys = k
	}
}
