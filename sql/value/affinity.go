package value

import "strings"

// Affinity is the storage class that a column prefers.
type Affinity uint8

// The affinities. AffinityBlob converts nothing.
const (
	AffinityBlob Affinity = iota
	AffinityText
	AffinityNumeric
	AffinityInteger
	AffinityReal
)

// AffinityOf returns the affinity of a declared type; "" is AffinityBlob.
//
// Source: https://www.sqlite.org/datatype3.html §3.1.
func AffinityOf(declType string) Affinity {
	t := strings.ToUpper(declType)
	switch {
	case strings.Contains(t, "INT"):
		return AffinityInteger
	case strings.Contains(t, "CHAR"), strings.Contains(t, "CLOB"), strings.Contains(t, "TEXT"):
		return AffinityText
	case t == "", strings.Contains(t, "BLOB"):
		return AffinityBlob
	case strings.Contains(t, "REAL"), strings.Contains(t, "FLOA"), strings.Contains(t, "DOUB"): //nolint:misspell // the start of DOUBLE
		return AffinityReal
	}
	return AffinityNumeric
}

// Collation orders texts.
type Collation uint8

// The collations of SQLite.
const (
	Binary Collation = iota
	NoCase           // ASCII letters compare without case
	RTrim            // trailing spaces do not count
)

// CollationOf returns the collation of a name, in any case; false: there is none.
func CollationOf(name string) (Collation, bool) {
	switch strings.ToUpper(name) {
	case "BINARY":
		return Binary, true
	case "NOCASE":
		return NoCase, true
	case "RTRIM":
		return RTrim, true
	}
	return Binary, false
}
