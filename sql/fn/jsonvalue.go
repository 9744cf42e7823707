package fn

import (
	"math"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// sql returns the element at i as a value of SQL; arrays and objects are JSON
// text or JSONB.
func (d *jsonDoc) sql(i int, binary bool) (value.Value, error) {
	head, size := d.header(i)
	if head == 0 {
		return value.Value{}, errJSON
	}
	s := d.content(i, head, size)
	switch d.kind(i) {
	case jsonNull:
		if size == 0 {
			return value.Value{}, nil
		}
	case jsonTrue, jsonFalse:
		if size == 0 {
			return value.NewBool(d.kind(i) == jsonTrue), nil
		}
	case jsonInt, jsonInt5:
		return jsonInteger(string(s))
	case jsonReal, jsonReal5:
		return jsonNumber(string(s))
	case jsonText, jsonTextRaw:
		return value.NewText(string(s)), nil
	case jsonTextJ, jsonText5:
		return value.NewText(unescapeJSON(s)), nil
	case jsonArray, jsonObject:
		part := jsonDoc{b: d.b[i : i+head+size]}
		return part.result(binary)
	}
	return value.Value{}, errJSON
}

// jsonInteger returns a number written without a point: a real if it is too
// large for an integer. Malformed text is read as SQLite does.
func jsonInteger(s string) (value.Value, error) {
	digits, neg := strings.CutPrefix(s, "-")
	if digits == "" {
		return value.Value{}, errJSON
	}
	n, is := readInteger(beforeNUL(digits))
	switch {
	case is == intFits && n < 0: // hexadecimal, with the top bit
		r := float64(uint64(n))
		if neg {
			r = -r
		}
		return value.NewFloat(r), nil
	case is == intFits && neg:
		return value.NewInt(-n), nil
	case is == intFits:
		return value.NewInt(n), nil
	case is == intMin && neg:
		return value.NewInt(math.MinInt64), nil
	case is == intExcess:
		return value.Value{}, errJSON
	}
	return jsonNumber(s)
}

// jsonNumber returns a number as a real.
func jsonNumber(s string) (value.Value, error) {
	if _, ok := value.ParseNumber(s); !ok {
		return value.Value{}, errJSON
	}
	return value.NewFloat(value.NewText(s).AsFloat()), nil
}

// intText is what readInteger finds.
type intText uint8

const (
	intFits   intText = iota
	intExcess         // something follows it
	intNone           // it does not fit, or there is none
	intMin            // it is 2^63: the smallest integer, if a minus stands before it
)

// readInteger reads a decimal or hexadecimal integer.
//
// Source: sqlite3DecOrHexToI64() and sqlite3Atoi64() in SQLite src/util.c.
func readInteger(s string) (n int64, is intText) {
	if len(s) >= 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		return readHex(strings.TrimLeft(s[2:], "0"))
	}
	span := 0
	for span < len(s) && strings.IndexByte("+- \n\t0123456789", s[span]) >= 0 {
		span++
	}
	s = s[:min(span+1, len(s))]
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	digits := strings.TrimLeft(s, "0")
	var u uint64
	i := 0
	for ; i < len(digits) && isDigitByte(digits[i]); i++ {
		u = u*10 + uint64(digits[i]-'0')
	}
	fits := intFits
	if i == 0 && digits == s {
		fits = intNone
	} else if trimSpace(digits[i:]) != "" {
		fits = intExcess
	}
	const top = "9223372036854775808"
	switch {
	case i > len(top) || i == len(top) && digits[:i] > top:
		return 0, intNone
	case i == len(top) && digits[:i] == top && !neg:
		return 0, intMin
	case neg:
		u = -u
	}
	return int64(u), fits
}

// readHex reads an integer of hexadecimal digits without zeros before it.
func readHex(s string) (n int64, is intText) {
	i := 0
	for ; i < len(s) && isHex(s[i]); i++ {
		n = n<<4 | int64(hexVal(s[i]))
	}
	switch {
	case i > 16:
		return 0, intNone
	case i < len(s):
		return 0, intExcess
	}
	return n, intFits
}
