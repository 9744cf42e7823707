package work

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Sizes of keys and values in bytes.
const (
	KeySize   = 16
	ValueSize = 100
)

// Seed makes every run work on the same rows in the same order.
const Seed = 0x6279_6f6b_6462

// A Dataset says what rows are like. Row i is the i-th to be loaded: keys come
// in random order.
type Dataset uint8

// The datasets.
const (
	Random Dataset = iota // values of ValueSize bytes that do not compress
	JSON                  // values that are records of a shop, about 200 B of JSON
)

// mix is the finalizer of splitmix64: a bijection without visible order.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// AppendKey appends the key of row i.
func AppendKey(b []byte, i int) []byte {
	b = binary.BigEndian.AppendUint64(b, mix(uint64(i)^Seed))
	return binary.BigEndian.AppendUint64(b, mix(uint64(i)))
}

// AppendMissingKey appends a key that no row has, between those of rows.
func AppendMissingKey(b []byte, i int) []byte {
	b = binary.BigEndian.AppendUint64(b, mix(uint64(i)^Seed))
	return binary.BigEndian.AppendUint64(b, mix(uint64(i))^1)
}

// AppendValue appends the value of a version of row i. Its first 8 bytes belong
// to the row, whatever the version.
func (d Dataset) AppendValue(b []byte, i int, version uint64) []byte {
	if d == JSON {
		return appendRecord(b, uint64(i))
	}
	b = binary.BigEndian.AppendUint64(b, Mark(i))
	h := mix(uint64(i)) ^ mix(version)
	for n := 8; n < ValueSize; n += 8 {
		h = mix(h)
		if ValueSize-n < 8 {
			var w [8]byte
			binary.BigEndian.PutUint64(w[:], h)
			return append(b, w[:ValueSize-n]...)
		}
		b = binary.BigEndian.AppendUint64(b, h)
	}
	return b
}

// Mark is what the value of a row begins with, in Random.
func Mark(i int) uint64 { return mix(uint64(i) + 1<<40) }

var (
	cities   = [...]string{"Amsterdam", "Barcelona", "Berlin", "Dublin", "Hamburg", "Lisbon", "London", "Madrid", "Paris", "Vienna", "Warsaw", "Zürich"}
	statuses = [...]string{"ordered", "paid", "packed", "shipped", "delivered", "returned"}
	names    = [...]string{"Ada", "Barbara", "Donald", "Edsger", "Frances", "Grace", "John", "Ken", "Leslie", "Margaret", "Niklaus", "Tony"}
)

func appendRecord(b []byte, i uint64) []byte {
	h := mix(i)
	name := names[h%uint64(len(names))]
	return fmt.Appendf(b, `{"id":%d,"customer":"%s %s","email":"%s.%04d@example.com","city":"%s","status":"%s","amount":%d.%02d,"created":"2026-%02d-%02dT%02d:%02d:00Z","items":%d}`,
		i, name, names[h>>8%uint64(len(names))], name, h>>16%10000, cities[h>>24%uint64(len(cities))], statuses[h>>32%uint64(len(statuses))],
		h>>36%500, h>>44%100, 1+h>>48%12, 1+h>>52%28, h>>56%24, h>>58%60, 1+h>>60%5)
}

// newRand returns a source that is the same in every run, for one purpose.
func newRand(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(Seed, purpose)) }
