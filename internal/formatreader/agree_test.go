package formatreader

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var nAgree = flag.Int("agree", 50, "how many damaged databases TestReadersAgree compares")

// TestReadersAgree damages the log and the run of the sound database at random
// and compares what the two readers say: the same class, and the same records
// where both take it. The catalog is left alone: bbolt stands between it and
// this reader.
func TestReadersAgree(t *testing.T) {
	n := *nAgree
	if testing.Short() {
		n = min(n, 20)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	good := readTree(t, soundDir)
	key := filepath.Join(t.TempDir(), "vectors.key")
	b, err := os.ReadFile(soundKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, key, b)
	counts := map[string]int{}
	for i := range n {
		path := []string{runPath, wal2Path, wal3Path, wal3Path}[rnd.IntN(4)]
		bad, what := damage(rnd, good[path])
		dir := filepath.Join(t.TempDir(), "v.byok")
		writeTree(t, dir, good)
		writeFile(t, filepath.Join(dir, path), bad)
		db, err := Open(dir, key)
		if err == nil {
			err = readAllSQL(db)
		}
		own := ownClass(err)
		other, otherErr := engineClass(t, dir, key, db)
		if own != other {
			t.Errorf("%d: %s, %s: this reader: %s (%v), engine: %s (%v)", i, path, what, own, err, other, otherErr)
		}
		counts[own]++
	}
	if counts[sound] == 0 || counts[isDamaged] == 0 {
		t.Errorf("of %d only %v", n, counts)
	}
	t.Log(counts)
}

// damage returns a file with one kind of damage, and its name.
func damage(rnd *rand.Rand, b []byte) (bad []byte, what string) {
	b = bytes.Clone(b)
	block := func() []byte {
		at := rnd.IntN(max(1, len(b)/512)) * 512
		return b[at:min(at+512, len(b))]
	}
	switch rnd.IntN(7) {
	case 0:
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		return b, "one bit"
	case 1:
		clear(block())
		return b, "a block of zeros"
	case 2:
		return b[:rnd.IntN(len(b))], "cut"
	case 3:
		return b[:len(b)/512*512-512*rnd.IntN(4)], "cut at a block"
	case 4:
		return append(b, make([]byte, rnd.IntN(3000))...), "zeros behind"
	case 5:
		one, other := block(), block()
		saved := bytes.Clone(one)
		copy(one, other)
		copy(other, saved)
		return b, "blocks exchanged"
	default:
		return append(b, slices.Clone(block())...), "a block again behind"
	}
}
