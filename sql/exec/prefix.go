package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// likeMatch is what a condition left LIKE pattern, or GLOB, compares with.
type likeMatch struct {
	pattern *expr
	glob    bool
}

// prefixMatch is a range of a key column: the texts that begin as a pattern
// does, and all blobs, which are matched too.
type prefixMatch struct {
	likeMatch
	of *expr
}

// prefixOf finds a LIKE or GLOB of a text column whose collation agrees: LIKE
// does not look at case, GLOB does.
func prefixOf(s *source, kc keyColumn, pool []*expr, bound uint64) *prefixMatch {
	for _, x := range pool {
		if x.like == nil || !kc.is(s, x.left) || !x.left.hasAff || x.left.aff != value.AffinityText || x.like.pattern.refs&^bound != 0 {
			continue
		}
		if x.like.glob && kc.coll == value.Binary || !x.like.glob && kc.coll == value.NoCase {
			return &prefixMatch{*x.like, x}
		}
	}
	return nil
}

// start returns the text with which all that match begin.
func (m *prefixMatch) start(pattern string) string {
	special := "%_"
	if m.glob {
		special = "*?["
	}
	for i := range len(pattern) {
		// A zero byte ends a pattern. Beyond ASCII different bytes may match.
		if c := pattern[i]; c == 0 || c >= 0x80 || strings.IndexByte(special, c) >= 0 {
			return pattern[:i]
		}
	}
	return pattern
}

// prefixSpans makes the ranges of texts and of blobs behind the values of eq.
func (a *access) prefixSpans(f *frame) ([]bounds, error) {
	head, ok, err := a.head(f, a.eq)
	if err != nil || !ok {
		return nil, err
	}
	v, err := a.prefix.pattern.eval(f)
	if err != nil || v.IsNull() {
		return nil, err
	}
	kc := a.key[len(a.eq)]
	text := record1(head, value.NewText(a.prefix.start(v.AsText())), kc)
	blobs := record1(head, value.NewBlob(""), kc)
	// The two bytes that end a text or blob go: what begins with it is meant, and
	// any blob.
	text, blobs = text[:len(text)-2], blobs[:len(blobs)-2]
	out := []bounds{{lo: text, hi: prefixEnd(text)}, {lo: blobs, hi: prefixEnd(blobs)}}
	if kc.desc {
		out[0], out[1] = out[1], out[0]
	}
	return out, nil
}

func record1(head []byte, v value.Value, kc keyColumn) []byte {
	return appendKeyValue(append([]byte(nil), head...), v, kc)
}
