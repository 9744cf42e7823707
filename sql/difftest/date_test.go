package difftest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// timeValues are what the date functions take, or nearly.
func timeValues() []value.Value {
	var vs []value.Value
	for _, s := range []string{
		"2024-02-29", "2023-02-31", "2023-02-29 12:30", "2024-12-31 23:59:59", "2024-12-31 23:59:59.9996", "2024-12-31 24:00:00", "2024-12-31T24:00", "2024-06-01T12:34:56Z",
		"2024-06-01 12:34:56.789+02:00", "2024-06-01 12:34:56-05:30", "12:34", "12:34:56", "12:34:56.789", "24:00", "24:01", "0000-01-01", "-4713-11-24 12:00:00", "-4714-01-01",
		"9999-12-31", "9999-12-31 23:59:59.999", "10000-01-01", "2024-13-01", "2024-00-10", "2024-1-1", "2024-01-32", "2460000.5", "0", "1700000000", "-1", "5373484.5", "5373484.4999",
		"now-ish", "", " 2024-01-01", "2024-01-01 ", "2024-01-01  10:00", "2024-01-01x", "2024-01-01 10:00:00 +01:00", "2024-01-01 10:00:00 z", "2024-01-01 10:00:00 +15:00", "1970-01-01", "1969-12-31 23:59:59.5", "2000-01-01 00:00:00",
		"2024-06-15 12:00:00.123456789", "2026-11-23 10:30:00+00:00",
	} {
		vs = append(vs, value.NewText(s))
	}
	for _, r := range []float64{0, 2460000.5, 2451544.5, 1700000000.25, -1, 5373484.4, 5373484.5, 253402300799, 253402300800, -210866760000, 1e18, 0.5} {
		vs = append(vs, value.NewFloat(r))
	}
	for _, i := range []int64{0, 1, 2460000, 1700000000, -1, 5373484, 5373485, 253402300799, -210866760000, 1 << 60} {
		vs = append(vs, value.NewInt(i))
	}
	return append(vs, value.Value{}, value.NewBlob("2024-01-01"), value.NewText("abc"))
}

func randomTime(rnd *rand.Rand, vs []value.Value) value.Value {
	switch rnd.IntN(4) {
	case 0:
		return vs[rnd.IntN(len(vs))]
	case 1:
		return value.NewFloat(rnd.Float64() * 5373484)
	case 2:
		return value.NewText(fmt.Sprintf("%04d-%02d-%02d", rnd.IntN(10000), rnd.IntN(13), rnd.IntN(33)))
	default:
		return value.NewText(fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d.%03d", 1900+rnd.IntN(200), 1+rnd.IntN(12), 1+rnd.IntN(31), rnd.IntN(24), rnd.IntN(60), rnd.IntN(60), rnd.IntN(1000)))
	}
}

func randomModifier(rnd *rand.Rand) value.Value {
	fixed := []string{
		"start of month", "start of year", "start of day", "start of week", "START OF MONTH", "end of month", "end of year", "end of day", "weekday 0", "weekday 3", "weekday 6", "weekday -2", "weekday 7", "weekday 1.5",
		"unixepoch", "auto", "julianday", "subsec", "subsecond", "ceiling", "floor", "utc", "localtime", "+1 fortnight", "", "+", "1", "now", "+1 day foo", "days",
		"+0001-02-03", "-0001-11-30", "+0000-12-00", "+0001-02-03 04:05", "-0000-00-01 01:02:03.5", "+12345-01-01", "+00:30", "-23:59:59.999", "12:00", "+25:00", "+1:00",
	}
	units := []string{"day", "days", "hour", "hours", "minute", "minutes", "second", "seconds", "month", "months", "year", "years", "Days", "dayss", "sec", "weeks"}
	switch rnd.IntN(3) {
	case 0:
		return value.NewText(fixed[rnd.IntN(len(fixed))])
	case 1:
		return value.NewText(fmt.Sprintf("%+d %s", rnd.IntN(400)-200, units[rnd.IntN(len(units))]))
	default:
		return value.NewText(fmt.Sprintf("%.*f%s%s", rnd.IntN(4), rnd.NormFloat64()*100, []string{" ", "", "  "}[rnd.IntN(3)], units[rnd.IntN(len(units))]))
	}
}

// negativeSeconds finds what SQLite writes for seconds below 0, to which 'localtime'
// leads before Julian day 0: the characters before '0'.
var negativeSeconds = regexp.MustCompile(`[^-+0-9.: ]`)

func TestDates(t *testing.T) {
	t.Setenv("TZ", "UTC") // what 'localtime' is to SQLite
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := timeValues()
	nCalls := 12000
	if testing.Short() {
		nCalls = 4000
	}
	for _, name := range []string{"date", "time", "datetime", "julianday", "unixepoch"} {
		for n := 1; n <= 4; n++ {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
					for e := range calls(name, n, nCalls, func(i int) value.Value {
						if i == 0 {
							return randomTime(rnd, vs)
						}
						return randomModifier(rnd)
					}) {
						if e.Garbled = negativeSeconds; !yield(e) {
							return
						}
					}
				})
			})
		}
	}
	t.Run("timediff", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("timediff", 2, 20000, func(int) value.Value { return randomTime(rnd, vs) }))
	})
}

func TestStrftime(t *testing.T) {
	t.Setenv("TZ", "UTC")
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := timeValues()
	verbs := "defFgGHIjJklmMpPRsSTuUVwWY%xqn"
	for n := 2; n <= 3; n++ {
		Exprs(t, judge, Direct{}, calls("strftime", n, 40000, func(i int) value.Value {
			switch i {
			case 0:
				return value.NewText("<%" + string(verbs[rnd.IntN(len(verbs))]) + []string{"", ">", "-%Y", "%"}[rnd.IntN(4)])
			case 1:
				return randomTime(rnd, vs)
			}
			return randomModifier(rnd)
		}))
	}
}
