package exec

import (
	"hash/maphash"
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// keySet is a set of keys. Those that do not fit into memory are in sorted
// files, each with a filter in memory that knows most keys which it does not
// have. Files of about the same size are merged, so that few are searched. It is
// not used within an operation of the transaction.
type keySet struct {
	f     *frame
	keys  map[string]struct{} // that were put since the last file was made
	mem   int64               // of keys
	files []*keyFile          // larger ones first
	seed  maphash.Seed        // of the filters
}

// keyFanIn is how many files of a level are merged into one of the next.
const keyFanIn = 4

// keyFile is some of the keys.
type keyFile struct {
	*keyedFile
	level  int
	n      int // keys
	filter keyFilter
}

func newKeySet(f *frame) *keySet { return &keySet{f: f, keys: map[string]struct{}{}} }

// empty reports whether there is no key.
func (s *keySet) empty() bool { return len(s.keys) == 0 && len(s.files) == 0 }

// has reports whether a key is in the set.
func (s *keySet) has(key []byte) (bool, error) {
	if _, ok := s.keys[string(key)]; ok || len(s.files) == 0 {
		return ok, nil
	}
	return s.filed(key)
}

// filed is has for the files.
func (s *keySet) filed(key []byte) (bool, error) {
	hash := maphash.Bytes(s.seed, key)
	for _, file := range s.files {
		if !file.filter.may(hash) {
			continue
		}
		file.find(key)
		if b, err := file.matchRaw(); err != nil || b != nil {
			return b != nil, err
		}
	}
	return false, nil
}

// add puts a key into the set and reports whether it was not there.
func (s *keySet) add(key []byte) (fresh bool, err error) {
	if ok, err := s.has(key); ok || err != nil {
		return false, err
	}
	return true, s.put(key)
}

// put puts a key into the set. One that is in a file already is there twice, until
// the files are merged.
func (s *keySet) put(key []byte) error {
	s.keys[string(key)] = struct{}{}
	n := int64(len(key) + seenSize)
	s.mem += n
	if s.f.keep(n, s.mem) {
		return s.spill()
	}
	return nil
}

// spill writes the keys in memory to a file.
func (s *keySet) spill() error {
	if len(s.keys) == 0 {
		return nil
	}
	keys := make([]string, 0, len(s.keys))
	for key := range s.keys {
		keys = append(keys, key)
	}
	defer clear(keys)
	slices.Sort(keys)
	if len(s.files) == 0 {
		s.seed = maphash.MakeSeed()
	}
	file := s.newFile(0, len(keys))
	row := make([]value.Value, 1)
	for _, key := range keys {
		row[0] = value.NewBlob(key)
		if err := s.addTo(file, row); err != nil {
			return err
		}
	}
	s.drop()
	s.keys = map[string]struct{}{} // one that had many keys stays large
	if err := file.end(s.cacheSize()); err != nil {
		return err
	}
	for {
		from := len(s.files) - keyFanIn
		if from < 0 || s.files[from].level != s.files[len(s.files)-1].level {
			return nil
		}
		if err := s.merge(from); err != nil {
			return err
		}
	}
}

// settle makes one file of all, when nothing more is put.
func (s *keySet) settle() error {
	if len(s.files) == 0 {
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.keys = nil
	if len(s.files) > 1 {
		return s.merge(0)
	}
	s.files[0].cacheFor(s.cacheSize())
	return nil
}

// newFile begins a file for up to n keys, the last one of the list.
func (s *keySet) newFile(level, n int) *keyFile {
	budget := min(s.f.s.memory/8, filterMax) // bytes of all filters
	for _, file := range s.files {
		budget -= int64(len(file.filter.bits))
	}
	file := &keyFile{keyedFile: newKeyedFile(s.f, 1), level: level, filter: newKeyFilter(n, budget)}
	file.hold(int64(len(file.filter.bits)))
	s.files = append(s.files, file)
	return file
}

func (s *keySet) addTo(file *keyFile, row []value.Value) error {
	file.n++
	file.filter.add(maphash.String(s.seed, row[0].Str()))
	return file.add(row)
}

// cacheSize is how many bytes of a file's blocks are cached; the one of a set that
// is settled has what several would.
func (s *keySet) cacheSize() int64 {
	if s.keys == nil {
		return s.f.s.memory / 16
	}
	return s.f.s.memory / 64
}

// merge makes one file of those from i on.
func (s *keySet) merge(i int) error {
	old := s.files[i:]
	runs, n := make([]*spillRun, len(old)), 0
	for k, file := range old {
		runs[k] = file.run
		n += file.n
	}
	into := s.newFile(old[len(old)-1].level+1, n)
	m := &merger{f: s.f, width: 1, order: func(a, b []value.Value) int { return compareKeys(a[0], b[0]) }}
	defer m.close()
	if err := m.open(runs); err != nil {
		return err
	}
	last, any := value.Value{}, false
	for {
		row, err := m.next()
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		if any && row[0].Str() == last.Str() {
			continue
		}
		last, any = row[0], true
		if err := s.addTo(into, row); err != nil {
			return err
		}
	}
	for _, file := range old {
		file.close()
	}
	clear(s.files[i:])
	s.files = append(s.files[:i], into)
	return into.end(s.cacheSize())
}

// drop forgets the keys in memory.
func (s *keySet) drop() {
	clear(s.keys)
	s.f.shrink(s.mem)
	s.mem = 0
}

// close drops the keys and removes the files.
func (s *keySet) close() {
	if s == nil {
		return
	}
	s.drop()
	for _, file := range s.files {
		file.close()
	}
	s.keys, s.files = nil, nil
}

func (file *keyFile) close() {
	clear(file.filter.bits)
	file.filter = keyFilter{}
	file.keyedFile.close()
}

// keyFilter is a Bloom filter over hashes of keys.
type keyFilter struct {
	bits    []byte // none: it knows nothing
	nProbes uint32
}

const (
	filterBits    = 10        // per key, where there is room
	filterBitsMin = 2         // with fewer it knows too little
	filterMax     = 256 << 20 // bytes: probe tells no more apart
)

// newKeyFilter returns a filter for up to n keys that takes no more than so many
// bytes.
func newKeyFilter(n int, bytesMax int64) keyFilter {
	size := min((int64(n)*filterBits+7)/8, bytesMax)
	perKey := size * 8 / int64(max(n, 1))
	if perKey < filterBitsMin {
		return keyFilter{}
	}
	return keyFilter{bits: make([]byte, size), nProbes: uint32(max(perKey*7/10, 1))}
}

// probe returns the place of a bit: those of a hash are as far apart as its upper
// half says.
func (k *keyFilter) probe(hash uint64, i uint32) (at uint64, mask byte) {
	bit := (uint64(uint32(hash)+i*uint32(hash>>32|1)) * uint64(len(k.bits)*8)) >> 32
	return bit / 8, 1 << (bit % 8)
}

func (k *keyFilter) add(hash uint64) {
	for i := range k.nProbes {
		at, mask := k.probe(hash, i)
		k.bits[at] |= mask
	}
}

// may reports whether the key may be there.
func (k *keyFilter) may(hash uint64) bool {
	for i := range k.nProbes {
		if at, mask := k.probe(hash, i); k.bits[at]&mask == 0 {
			return false
		}
	}
	return true
}
