package fn

import (
	"strings"
)

// modify applies one modifier; isFirst says that it follows the time itself,
// where alone some are allowed. It returns false if there is no such modifier.
func (m *moment) modify(s string, isFirst bool) bool {
	if s == "" {
		return false
	}
	if c := s[0]; c == '+' || c == '-' || c-'0' < 10 {
		return m.add(s)
	}
	word := strings.ToLower(s)
	switch word {
	case "auto":
		return isFirst && m.auto()
	case "ceiling":
		m.toJD()
		m.clearFields()
		m.overflow = 0
		return true
	case "floor":
		m.toJD()
		m.jd -= int64(m.overflow) * msPerDay
		m.clearFields()
		return true
	case "julianday":
		ok := isFirst && m.validJD && m.raw
		if ok {
			m.raw = false
		}
		return ok
	case "unixepoch":
		return m.raw && isFirst && m.unixEpoch()
	case "localtime":
		if !m.local {
			m.toLocal()
		}
		m.utc, m.local = false, true
		return true
	case "utc":
		if !m.utc {
			m.toUTC()
		}
		return true
	case "subsec", "subsecond":
		m.subsecond = true
		return true
	}
	if unit, ok := strings.CutPrefix(word, "start of "); ok {
		return m.startOf(unit)
	}
	if unit, ok := strings.CutPrefix(word, "end of "); ok {
		return m.endOf(unit)
	}
	if day, ok := strings.CutPrefix(word, "weekday "); ok {
		return m.weekday(day)
	}
	return false
}

// auto takes a number for a Julian day if it can be one, else for seconds.
func (m *moment) auto() bool {
	if !m.raw || m.validJD {
		m.raw = false
	} else if m.second >= -unixEpochMS/1000 && m.second <= 253402300799 {
		return m.unixEpoch()
	}
	return true
}

// unixEpoch takes the number for seconds since 1970.
func (m *moment) unixEpoch() bool {
	r := m.second*1000 + unixEpochMS
	if r < 0 || r >= julianMaxMS+1 {
		return false
	}
	m.clearFields()
	m.jd = int64(r + 0.5)
	m.validJD = true
	m.raw = false
	return true
}

// setDay sets the time of day on the date.
func (m *moment) setDay(hour, minute int, second float64) bool {
	if !m.validJD && !m.validYMD && !m.validHMS {
		return false
	}
	m.toYMD()
	m.validHMS = true
	m.hour, m.minute, m.second = hour, minute, second
	m.raw, m.zone, m.validJD = false, 0, false
	return true
}

func (m *moment) startOf(unit string) bool {
	if !m.setDay(0, 0, 0) {
		return false
	}
	switch unit {
	case "month":
		m.day = 1
	case "year":
		m.month, m.day = 1, 1
	case "day":
	default:
		return false
	}
	return true
}

func (m *moment) endOf(unit string) bool {
	if !m.setDay(23, 59, 59.999) {
		return false
	}
	switch unit {
	case "month":
		m.day = 1
		m.month++
		if m.month > 12 {
			m.year++
			m.month = 1
		}
		m.setOverflow()
		m.toJD()
		m.jd -= int64(m.overflow+1) * msPerDay
		m.clearFields()
	case "year":
		m.month, m.day = 12, 31
	case "day":
	default:
		return false
	}
	return true
}

// weekday moves to the next day of the week, 0 to 6 from Sunday, or to the
// previous one if the number has a minus.
func (m *moment) weekday(s string) bool {
	r, ok := wholeNumber(s)
	if !ok || r < -6 || r > 6 || r != float64(int(r)) {
		return false
	}
	n := int64(r)
	if n < 0 {
		n = -n
	}
	m.toFields()
	m.zone = 0
	m.validJD = false
	m.toJD()
	if z := (m.jd + 129600000) / msPerDay % 7; z != n {
		if z > n {
			z -= 7
		}
		m.jd += (n - z) * msPerDay
		if strings.Contains(s, "-") {
			m.jd -= 7 * msPerDay
		}
	}
	m.clearFields()
	return true
}

// add is the modifiers that begin with a number: "±N units", "±YYYY-MM-DD" with
// an optional time, and "±HH:MM:SS.FFF".
func (m *moment) add(s string) bool {
	n := 1
	for ; n < len(s); n++ {
		c := s[n]
		if c == ':' || isSpace(c) {
			break
		}
		if c == '-' && (n == 5 || n == 6) {
			if k, _ := readFields(s[1:], field{n - 1, 0, yearMax, 0}); k == 1 {
				break
			}
		}
	}
	r, ok := wholeNumber(s[:n])
	if !ok {
		return false
	}
	neg := s[0] == '-'
	if n < len(s) && s[n] == '-' {
		rest, ok := m.addDate(s, n)
		if !ok || rest == "" {
			return ok
		}
		return m.addTime(rest, neg)
	}
	if n < len(s) && s[n] == ':' {
		return m.addTime(strings.TrimLeft(s[:1], "+-")+s[1:], neg)
	}
	return m.addUnits(r, strings.ToLower(trimSpace(s[n:])))
}

// addDate adds ±YYYY-MM-DD, whose year ends at index n of s, and returns the
// time that follows, if any.
func (m *moment) addDate(s string, n int) (rest string, ok bool) {
	if s[0] != '+' && s[0] != '-' {
		return "", false
	}
	k, v := readFields(s[1:], field{n - 1, 0, yearMax, '-'}, field{2, 0, 12, '-'}, field{2, 0, 31, 0})
	if k != 3 || v[1] >= 12 || v[2] >= 31 {
		return "", false
	}
	rest = s[n+6:]
	m.toFields()
	m.validJD = false
	days := int64(v[2])
	if s[0] == '-' {
		m.year -= v[0]
		m.month -= v[1]
		days = -days
	} else {
		m.year += v[0]
		m.month += v[1]
	}
	m.carryMonths()
	m.setOverflow()
	m.toJD()
	m.validHMS, m.validYMD = false, false
	m.jd += days * msPerDay
	if rest == "" {
		return "", true
	}
	if k, _ := readFields(rest[1:], field{2, 0, 24, ':'}, field{2, 0, 59, 0}); !isSpace(rest[0]) || k != 2 {
		return "", false
	}
	return rest[1:], true
}

// carryMonths brings the month back to 1 to 12.
func (m *moment) carryMonths() {
	x := (m.month - 1) / 12
	if m.month <= 0 {
		x = (m.month - 12) / 12
	}
	m.year += x
	m.month -= x * 12
}

// addTime adds or subtracts a time of day.
func (m *moment) addTime(s string, neg bool) bool {
	t := moment{location: m.location}
	if !t.parseTime(s) {
		return false
	}
	t.toJD()
	ms := (t.jd - msPerDay/2) % msPerDay
	if neg {
		ms = -ms
	}
	m.toJD()
	m.clearFields()
	m.jd += ms
	return true
}

// units are the units of time with the largest number allowed of each and its
// length in seconds. The limits are single precision, as those of SQLite.
var units = []struct {
	name    string
	limit   float32
	seconds float32
}{
	{"second", 4.6427e+14, 1},
	{"minute", 7.7379e+12, 60},
	{"hour", 1.2897e+11, 3600},
	{"day", 5373485, 86400},
	{"month", 176546, 2592000},
	{"year", 14713, 31536000},
}

// addUnits adds r units of a name, singular or plural.
func (m *moment) addUnits(r float64, name string) bool {
	if len(name) < 3 || len(name) > 10 {
		return false
	}
	name = strings.TrimSuffix(name, "s")
	m.toJD()
	rounder := 0.5
	if r < 0 {
		rounder = -0.5
	}
	m.overflow = 0
	for _, u := range units {
		if u.name != name || r <= -float64(u.limit) || r >= float64(u.limit) {
			continue
		}
		whole := int(r)
		switch name {
		case "month":
			m.toFields()
			m.month += whole
			m.carryMonths()
			m.setOverflow()
			m.validJD = false
			r -= float64(whole)
		case "year":
			m.toFields()
			m.year += whole
			m.setOverflow()
			m.validJD = false
			r -= float64(whole)
		}
		m.toJD()
		m.jd += int64(r*1000*float64(u.seconds) + rounder)
		m.clearFields()
		return true
	}
	m.clearFields()
	return false
}
