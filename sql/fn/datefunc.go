package fn

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// dateFunctions returns the date and time functions. None is pure: "now" may be
// among the arguments, or no argument at all. But all are steady.
func dateFunctions() []Scalar {
	list := []Scalar{
		{Name: "date", MaxArgs: -1, Call: formatted((*moment).appendDate)},
		{Name: "time", MaxArgs: -1, Call: formatted((*moment).appendTime)},
		{Name: "datetime", MaxArgs: -1, Call: formatted((*moment).appendDateTime)},
		{Name: "julianday", MaxArgs: -1, Call: julianDay},
		{Name: "unixepoch", MaxArgs: -1, Call: unixEpoch},
		{Name: "strftime", MaxArgs: -1, Call: strftime},
		{Name: "timediff", MinArgs: 2, MaxArgs: 2, Call: timeDiff},
		{Name: "current_date", Call: formatted((*moment).appendDate)},
		{Name: "current_time", Call: formatted((*moment).appendTime)},
		{Name: "current_timestamp", Call: formatted((*moment).appendDateTime)},
	}
	for i := range list {
		list[i].Steady = true
	}
	return list
}

// formatted returns a function that writes its time with appendTo.
func formatted(appendTo func(*moment, []byte) []byte) func(*Context, []value.Value) (value.Value, error) {
	return func(c *Context, args []value.Value) (value.Value, error) {
		m, ok := newMoment(c, args)
		if !ok {
			return value.Value{}, nil
		}
		var buf [32]byte
		return value.NewText(string(appendTo(&m, buf[:0]))), nil
	}
}

// appendPadded appends i with at least n digits.
func appendPadded(dst []byte, i, n int) []byte {
	s := strconv.Itoa(i)
	for k := len(s); k < n; k++ {
		dst = append(dst, '0')
	}
	return append(dst, s...)
}

func (m *moment) appendDate(dst []byte) []byte {
	m.toYMD()
	y := m.year
	if y < 0 {
		dst = append(dst, '-')
		y = -y
	}
	dst = append(appendPadded(dst, y%10000, 4), '-')
	dst = append(appendPadded(dst, m.month, 2), '-')
	return appendPadded(dst, m.day, 2)
}

func (m *moment) appendTime(dst []byte) []byte {
	m.toHMS()
	dst = append(appendPadded(dst, m.hour, 2), ':')
	dst = append(appendPadded(dst, m.minute, 2), ':')
	if !m.subsecond {
		return appendPadded(dst, int(m.second), 2)
	}
	ms := max(int(1000*m.second+0.5), 0) // 'localtime' before Julian day 0 gives negative ones
	dst = append(appendPadded(dst, ms/1000, 2), '.')
	return appendPadded(dst, ms%1000, 3)
}

func (m *moment) appendDateTime(dst []byte) []byte {
	m.toFields()
	return m.appendTime(append(m.appendDate(dst), ' '))
}

func julianDay(c *Context, args []value.Value) (value.Value, error) {
	m, ok := newMoment(c, args)
	if !ok {
		return value.Value{}, nil
	}
	return value.NewFloat(float64(m.jd) / msPerDay), nil
}

func unixEpoch(c *Context, args []value.Value) (value.Value, error) {
	m, ok := newMoment(c, args)
	switch {
	case !ok:
		return value.Value{}, nil
	case m.subsecond:
		return value.NewFloat(float64(m.jd-unixEpochMS) / 1000), nil
	}
	return value.NewInt(m.unix()), nil
}

// unix returns the whole seconds since 1970.
func (m *moment) unix() int64 { return m.jd/1000 - unixEpochMS/1000 }

func strftime(c *Context, args []value.Value) (value.Value, error) {
	if len(args) == 0 || args[0].IsNull() {
		return value.Value{}, nil
	}
	m, ok := newMoment(c, args[1:])
	if !ok {
		return value.Value{}, nil
	}
	m.toFields()
	format := beforeNUL(args[0].AsText())
	var out []byte
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			return text(string(append(out, format...)))
		}
		out = append(out, format[:i]...)
		if i+1 >= len(format) {
			return value.Value{}, nil
		}
		if out, ok = m.appendField(out, format[i+1]); !ok {
			return value.Value{}, nil
		}
		format = format[i+2:]
		if len(out) > MaxLength {
			return value.Value{}, ErrTooBig
		}
	}
}

// appendField appends one conversion of strftime().
func (m *moment) appendField(dst []byte, verb byte) (out []byte, ok bool) {
	hour12 := (m.hour+11)%12 + 1
	switch verb {
	case 'd':
		dst = appendPadded(dst, m.day, 2)
	case 'e':
		dst = fmt.Appendf(dst, "%2d", m.day)
	case 'f':
		f := value.FloatFormat{Verb: 'f', Width: 6, Precision: 3, Zero: true}
		dst = f.Append(dst, min(m.second, 59.999))
	case 'F':
		dst = fmt.Appendf(dst, "%s-%02d-%02d", padYear(m.year), m.month, m.day)
	case 'H':
		dst = appendPadded(dst, m.hour, 2)
	case 'k':
		dst = fmt.Appendf(dst, "%2d", m.hour)
	case 'I':
		dst = appendPadded(dst, hour12, 2)
	case 'l':
		dst = fmt.Appendf(dst, "%2d", hour12)
	case 'J':
		f := value.FloatFormat{Verb: 'g', Precision: 16}
		dst = f.Append(dst, float64(m.jd)/msPerDay)
	case 'm':
		dst = appendPadded(dst, m.month, 2)
	case 'M':
		dst = appendPadded(dst, m.minute, 2)
	case 'p', 'P':
		dst = append(dst, halfOfDay(m.hour, verb == 'p')...)
	case 'R':
		dst = append(appendPadded(dst, m.hour, 2), ':')
		dst = appendPadded(dst, m.minute, 2)
	case 's':
		dst = m.appendUnix(dst)
	case 'S':
		dst = appendPadded(dst, int(m.second), 2)
	case 'T':
		x := *m
		x.subsecond = false
		dst = x.appendTime(dst)
	case 'Y':
		dst = append(dst, padYear(m.year)...)
	case '%':
		dst = append(dst, '%')
	default:
		return m.appendWeek(dst, verb)
	}
	return dst, true
}

// halfOfDay returns "am" or "pm", in capitals if upper.
func halfOfDay(hour int, upper bool) string {
	s := "am"
	if hour >= 12 {
		s = "pm"
	}
	if upper {
		s = upperASCII(s)
	}
	return s
}

func (m *moment) appendUnix(dst []byte) []byte {
	if m.subsecond {
		f := value.FloatFormat{Verb: 'f', Precision: 3}
		return f.Append(dst, float64(m.jd-unixEpochMS)/1000)
	}
	return strconv.AppendInt(dst, m.unix(), 10)
}

// padYear writes a year as %04d does, the minus counted.
func padYear(y int) string { return fmt.Sprintf("%04d", y) }

// appendWeek appends the conversions of days and weeks.
func (m *moment) appendWeek(dst []byte, verb byte) (out []byte, ok bool) {
	switch verb {
	case 'G':
		dst = append(dst, padYear(m.thursday().year)...)
	case 'g':
		dst = fmt.Appendf(dst, "%02d", m.thursday().year%100)
	case 'j':
		dst = appendPadded(dst, m.dayOfYear()+1, 3)
	case 'u', 'w':
		day := m.daysAfterSunday()
		if day == 0 && verb == 'u' {
			day = 7
		}
		dst = appendPadded(dst, day, 1)
	case 'U':
		dst = appendPadded(dst, (m.dayOfYear()-m.daysAfterSunday()+7)/7, 2)
	case 'W':
		dst = appendPadded(dst, (m.dayOfYear()-m.daysAfterMonday()+7)/7, 2)
	case 'V':
		y := m.thursday()
		dst = appendPadded(dst, y.dayOfYear()/7+1, 2)
	default:
		return dst, false
	}
	return dst, true
}

// thursday returns the Thursday of the week, which decides whose year it is.
func (m *moment) thursday() moment {
	y := *m
	y.jd += int64(3-m.daysAfterMonday()) * msPerDay
	y.validYMD = false
	y.toYMD()
	return y
}

// dayOfYear returns the days since January 1.
func (m *moment) dayOfYear() int {
	jan := *m
	jan.validJD = false
	jan.month, jan.day = 1, 1
	jan.toJD()
	return int((m.jd - jan.jd + msPerDay/2) / msPerDay)
}

func (m *moment) daysAfterMonday() int { return int((m.jd+43200000)/msPerDay) % 7 }
func (m *moment) daysAfterSunday() int { return int((m.jd+129600000)/msPerDay) % 7 }

// timeDiff is timediff(a, b): what to add to b to get a.
func timeDiff(c *Context, args []value.Value) (value.Value, error) {
	a, ok1 := newMoment(c, args[:1])
	b, ok2 := newMoment(c, args[1:])
	if !ok1 || !ok2 {
		return value.Value{}, nil
	}
	a.toFields()
	b.toFields()
	sign, step := byte('+'), -1
	years, months := a.year-b.year, a.month-b.month
	if a.jd < b.jd {
		sign, step = '-', 1
		years, months = -years, -months
	}
	if years != 0 {
		b.year = a.year
		b.refresh()
	}
	if months < 0 {
		years--
		months += 12
	}
	if months != 0 {
		b.month = a.month
		b.refresh()
	}
	for step < 0 && a.jd < b.jd || step > 0 && a.jd > b.jd {
		months--
		if months < 0 {
			months = 11
			years--
		}
		b.month += step
		b.carryMonths()
		b.refresh()
	}
	d := moment{jd: (b.jd - a.jd) * int64(step), validJD: true, location: a.location}
	d.jd += 148699540800000
	d.toFields()
	out := append([]byte{sign}, fmt.Sprintf("%04d-%02d-%02d %02d:%02d:", years, months, d.day-1, d.hour, d.minute)...)
	f := value.FloatFormat{Verb: 'f', Width: 6, Precision: 3, Zero: true}
	return value.NewText(string(f.Append(out, d.second))), nil
}

// refresh computes the Julian day anew after a change of the fields.
func (m *moment) refresh() {
	m.validJD = false
	m.toJD()
}
