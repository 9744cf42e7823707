package fn

import (
	"math"
	"strings"
	"time"

	"github.com/byokdb/byokdb/sql/value"
)

// The arithmetic of dates is SQLite's: a Julian day number in milliseconds
// beside the fields, of which either may be the valid one.
//
// Source: SQLite src/date.c (public domain); Meeus, Astronomical Algorithms, p. 61.

const (
	msPerDay     = 86_400_000
	unixEpochMS  = 210_866_760_000_000 // 1970-01-01 as a Julian day in ms
	julianMaxMS  = 464_269_060_799_999 // 9999-12-31 23:59:59.999
	julianMaxDay = 5373484.5
)

// moment is a point in time under way through the modifiers.
type moment struct {
	jd                int64 // Julian day number * msPerDay
	year, month, day  int
	hour, minute      int
	second            float64 // or, with raw, the number that was given
	zone              int     // minutes east of UTC
	overflow          int     // days by which day exceeds its month
	validJD, validYMD bool
	validHMS          bool
	raw               bool // second is a number, not yet a time
	failed            bool
	local, utc        bool
	subsecond         bool // show fractions
	location          *time.Location
}

// newMoment returns the time that arguments stand for; ok is false if they
// stand for none.
func newMoment(c *Context, args []value.Value) (m moment, ok bool) {
	m.location = c.Location
	if m.location == nil {
		m.location = time.Local
	}
	if len(args) == 0 {
		return m, m.setNow(c)
	}
	switch v := args[0]; v.Kind() {
	case value.Null:
		return m, false
	case value.Int, value.Float:
		m.setNumber(v.AsFloat())
	default:
		if !m.parse(c, beforeNUL(v.AsText())) {
			return m, false
		}
	}
	for i, arg := range args[1:] {
		if arg.IsNull() {
			return m, false
		}
		modifier := beforeNUL(arg.AsText())
		if strings.EqualFold(modifier, "localtime") || strings.EqualFold(modifier, "utc") {
			c.UsedClock = true
		}
		if !m.modify(modifier, i == 0) {
			return m, false
		}
	}
	m.toJD()
	if m.failed || m.jd < 0 || m.jd > julianMaxMS {
		return m, false
	}
	if len(args) == 1 && m.validYMD && m.day > 28 {
		m.validYMD = false // 2023-02-31 is 2023-03-03
	}
	return m, true
}

func (m *moment) setNow(c *Context) bool {
	c.UsedClock = true
	m.jd = c.Now.UnixMilli() + unixEpochMS
	m.validJD, m.utc, m.local = true, true, false
	m.clearFields()
	return m.jd > 0
}

// setNumber takes a number, which may be a Julian day or seconds since 1970.
func (m *moment) setNumber(r float64) {
	m.second = r
	m.raw = true
	if r >= 0 && r < julianMaxDay {
		m.jd = int64(r*msPerDay + 0.5)
		m.validJD = true
	}
}

// parse reads a date, a time, both, "now" or a number.
func (m *moment) parse(c *Context, s string) bool {
	switch {
	case m.parseDate(s), m.parseTime(s):
		return true
	case strings.EqualFold(s, "now"):
		return m.setNow(c)
	}
	if r, ok := wholeNumber(s); ok {
		m.setNumber(r)
		return true
	}
	if strings.EqualFold(s, "subsec") || strings.EqualFold(s, "subsecond") {
		m.subsecond = true
		return m.setNow(c)
	}
	return false
}

// wholeNumber returns the number that all of s is.
func wholeNumber(s string) (r float64, ok bool) {
	v, ok := value.ParseNumber(s)
	return v.AsFloat(), ok
}

// field is a number of a fixed count of digits and what must follow it.
type field struct {
	digits, min, max int
	next             byte // 0: anything
}

// readFields reads fields one after the other and returns how many it read.
func readFields(s string, fields ...field) (n int, vals [3]int) {
	for i, f := range fields {
		if len(s) < f.digits {
			return i, vals
		}
		v := 0
		for _, c := range []byte(s[:f.digits]) {
			if c-'0' > 9 {
				return i, vals
			}
			v = v*10 + int(c-'0')
		}
		s = s[f.digits:]
		if v < f.min || v > f.max || f.next != 0 && (s == "" || s[0] != f.next) {
			return i, vals
		}
		vals[i] = v
		if s != "" {
			s = s[1:]
		}
	}
	return len(fields), vals
}

const yearMax = 14712

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func trimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

// parseDate reads [-]YYYY-MM-DD and an optional time.
func (m *moment) parseDate(s string) bool {
	s, neg := strings.CutPrefix(s, "-")
	n, v := readFields(s, field{4, 0, yearMax, '-'}, field{2, 1, 12, '-'}, field{2, 1, 31, 0})
	if n != 3 {
		return false
	}
	year, month, day := v[0], v[1], v[2]
	s = s[10:]
	for s != "" && (isSpace(s[0]) || s[0] == 'T') {
		s = s[1:]
	}
	switch {
	case m.parseTime(s):
		if m.hour == 24 {
			m.hour = 0
			day++
			if last := daysOfMonth(year, month); day > last {
				day -= last
				month++
				if month > 12 {
					month = 1
					year++
				}
			}
		}
	case s == "":
		m.validHMS = false
	default:
		return false
	}
	if neg {
		year = -year
	}
	m.validJD, m.validYMD = false, true
	m.year, m.month, m.day = year, month, day
	m.setOverflow()
	if m.zone != 0 {
		m.toJD()
	}
	return true
}

// parseTime reads HH:MM[:SS[.FFF]] and an optional zone.
func (m *moment) parseTime(s string) bool {
	n, v := readFields(s, field{2, 0, 24, ':'}, field{2, 0, 59, 0})
	if n != 2 {
		return false
	}
	hour, minute, second, frac := v[0], v[1], 0, 0.0
	s = s[5:]
	if strings.HasPrefix(s, ":") {
		n, v := readFields(s[1:], field{2, 0, 59, 0})
		if n != 1 {
			return false
		}
		second = v[0]
		s = s[3:]
		if len(s) > 1 && s[0] == '.' && s[1]-'0' < 10 {
			scale := 1.0
			for s = s[1:]; s != "" && s[0]-'0' < 10; s = s[1:] {
				frac = frac*10 + float64(s[0]-'0')
				scale *= 10
			}
			frac = math.Min(frac/scale, 0.999)
			if math.IsNaN(frac) {
				frac = 0.999
			}
		}
	}
	if hour == 24 && (minute != 0 || second != 0 || frac != 0) {
		return false
	}
	m.validJD, m.raw, m.validHMS = false, false, true
	m.hour, m.minute, m.second = hour, minute, float64(second)+frac
	return m.parseZone(s)
}

// parseZone reads nothing, Z or ±HH:MM, and nothing else.
func (m *moment) parseZone(s string) bool {
	s = trimSpace(s)
	m.zone = 0
	if s == "" {
		return true
	}
	sign := 0
	switch s[0] {
	case '-':
		sign = -1
	case '+':
		sign = 1
	case 'Z', 'z':
		m.local, m.utc = false, true
		return trimSpace(s[1:]) == ""
	default:
		return false
	}
	n, v := readFields(s[1:], field{2, 0, 14, ':'}, field{2, 0, 59, 0})
	if n != 2 {
		return false
	}
	m.zone = sign * (v[1] + v[0]*60)
	if m.zone == 0 {
		m.local, m.utc = false, true
	}
	return trimSpace(s[6:]) == ""
}

// toJD computes the Julian day from the fields.
func (m *moment) toJD() {
	if m.validJD {
		return
	}
	y, mon, d := m.year, m.month, m.day
	if !m.validYMD {
		y, mon, d = 2000, 1, 1
		if m.validHMS && m.hour == 24 {
			m.hour = 0
			d = 2
		}
	}
	if y < -4713 || y > 9999 || m.raw {
		*m = moment{failed: true, location: m.location}
		return
	}
	if mon <= 2 {
		y--
		mon += 12
	}
	a := (y + 4800) / 100
	b := 38 - a + a/4
	x1 := 36525 * (y + 4716) / 100
	x2 := 306001 * (mon + 1) / 10000
	m.jd = int64((float64(x1+x2+d+b) - 1524.5) * msPerDay)
	m.validJD = true
	if m.validHMS {
		m.jd += int64(m.hour*3600000+m.minute*60000) + int64(m.second*1000+0.5)
		if m.zone != 0 {
			m.jd -= int64(m.zone) * 60000
			m.clearFields()
			m.utc, m.local = true, false
		}
	}
}

// clearFields leaves the Julian day alone valid.
func (m *moment) clearFields() {
	m.validYMD, m.validHMS = false, false
	m.zone = 0
}

func daysOfMonth(year, month int) int {
	switch {
	case 1<<uint(month)&0x15aa != 0:
		return 31
	case month != 2:
		return 30
	case year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	}
	return 28
}

// setOverflow notes how many days the day is past the end of its month.
func (m *moment) setOverflow() {
	m.overflow = max(m.day-daysOfMonth(m.year, m.month), 0)
}

// toYMD computes the date from the Julian day.
func (m *moment) toYMD() {
	switch {
	case m.validYMD:
		return
	case !m.validJD:
		m.year, m.month, m.day = 2000, 1, 1
	case m.jd < 0 || m.jd > julianMaxMS:
		*m = moment{failed: true, location: m.location}
		return
	default:
		z := int((m.jd + msPerDay/2) / msPerDay)
		alpha := int((float64(z)+32044.75)/36524.25) - 52
		a := z + 1 + alpha - (alpha+100)/4 + 25
		b := a + 1524
		c := int((float64(b) - 122.1) / 365.25)
		d := 36525 * (c & 32767) / 100
		e := int(float64(b-d) / 30.6001)
		m.day = b - d - int(30.6001*float64(e))
		m.month = e - 13
		if e < 14 {
			m.month = e - 1
		}
		m.year = c - 4715
		if m.month > 2 {
			m.year = c - 4716
		}
	}
	m.validYMD = true
}

// toHMS computes the time of day from the Julian day.
func (m *moment) toHMS() {
	if m.validHMS {
		return
	}
	m.toJD()
	ms := int((m.jd + msPerDay/2) % msPerDay)
	m.second = float64(ms%60000) / 1000
	m.minute = ms / 60000 % 60
	m.hour = ms / 3600000
	m.raw = false
	m.validHMS = true
}

func (m *moment) toFields() {
	m.toYMD()
	m.toHMS()
}

// toLocal moves a time of UTC to what clocks show.
func (m *moment) toLocal() {
	m.toJD()
	jd, shift := m.jd, 0
	if jd < unixEpochMS || jd > 213014145600000 { // past 2038: a year like it
		x := *m
		x.toFields()
		shift = 2000 + x.year%4 - x.year
		x.year += shift
		x.validJD = false
		x.toJD()
		jd = x.jd
	}
	t := time.Unix((jd-unixEpochMS)/1000, 0).In(m.location)
	m.year, m.month, m.day = t.Year()-shift, int(t.Month()), t.Day()
	m.hour, m.minute = t.Hour(), t.Minute()
	m.second = float64(t.Second()) + float64(m.jd%1000)*0.001
	m.validYMD, m.validHMS, m.validJD = true, true, false
	m.raw, m.failed = false, false
	m.zone = 0
}

// toUTC moves a time that clocks show to UTC.
func (m *moment) toUTC() {
	m.toJD()
	guess, wrong := m.jd, int64(0)
	for range 4 {
		guess -= wrong
		x := moment{jd: guess, validJD: true, location: m.location}
		x.toLocal()
		x.toJD()
		wrong = x.jd - m.jd
		if wrong == 0 {
			break
		}
	}
	*m = moment{jd: guess, validJD: true, utc: true, location: m.location}
}
