package fn

import "math"

// Functions that package math computes less exactly than the C libraries that
// SQLite is built with, in cases that people would notice.

// ln is math.Log, which on amd64 is wrong below the smallest normal number.
func ln(x float64) float64 {
	if x < 0x1p-1022 {
		return math.Log(x*0x1p54) - 54*math.Ln2
	}
	return math.Log(x)
}

// log10 is exact for powers of ten.
func log10(x float64) float64 {
	r := ln(x) * (1 / math.Ln10)
	if n := math.Round(r); math.Abs(r-n) < 1e-9 && math.Pow10(int(n)) == x {
		return n
	}
	return r
}

// log2 is exact for powers of two, and precise near 1.
func log2(x float64) float64 {
	if frac, exp := math.Frexp(x); frac == 0.5 {
		return float64(exp - 1)
	}
	return ln(x) * (1 / math.Ln2)
}

// exp does not overflow before its result does, as math.Exp does on amd64.
func exp(x float64) float64 {
	if x > 700 && x < 710 {
		return math.Exp(x-1) * math.E
	}
	return math.Exp(x)
}

// cosh does not overflow before its result does.
func cosh(x float64) float64 {
	if math.Abs(x) < 700 {
		return math.Cosh(x)
	}
	e := math.Exp(math.Abs(x) / 2)
	return e * 0.5 * e
}

// sinh does not overflow before its result does.
func sinh(x float64) float64 {
	if math.Abs(x) < 700 {
		return math.Sinh(x)
	}
	return math.Copysign(cosh(x), x)
}

// atan2 has the sign of y, also where y/x is too small for a real.
func atan2(y, x float64) float64 { return math.Copysign(math.Atan2(y, x), y) }

// powMax is the greatest exponent that pow takes apart.
const powMax = 1 << 20

// pow computes the integral part of a power in twice the precision of a real,
// so that it is rounded but once. The binary exponent is carried beside it, so
// that nothing overflows before the result does.
func pow(x, y float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.Abs(y) > powMax || x != x || y != y {
		return math.Pow(x, y)
	}
	whole, frac := math.Modf(y)
	if x < 0 && frac != 0 {
		return math.NaN()
	}
	power := scaled{hi: 1}
	base := newScaled(x)
	for n := int(math.Abs(whole)); n > 0; n >>= 1 {
		if n&1 != 0 {
			power = power.mul(base)
		}
		base = base.mul(base)
	}
	if whole < 0 {
		q := 1 / power.hi
		power = scaled{hi: q - q*(math.FMA(q, power.hi, -1)+q*power.low), exp: -power.exp}
	}
	if frac != 0 {
		power = power.mul(root(x, frac))
	}
	return math.Ldexp(power.hi, power.exp)
}

// scaled is (hi + low) * 2^exp, hi being at least a half and less than two, low
// what hi's last place does not hold.
type scaled struct {
	hi, low float64
	exp     int
}

func newScaled(x float64) scaled {
	m, e := math.Frexp(x)
	return scaled{hi: m, exp: e}
}

func (a scaled) mul(b scaled) scaled {
	p := a.hi * b.hi
	e := math.FMA(a.hi, b.hi, -p) + (a.hi*b.low + a.low*b.hi)
	hi := p + e
	low := e - (hi - p)
	m, exp := math.Frexp(hi)
	return scaled{hi: m, low: math.Ldexp(low, -exp), exp: a.exp + b.exp + exp}
}

// root returns x to a power between -1 and 1, x being positive. The exponent of
// x is taken apart from its fraction, which is near 1.
func root(x, power float64) scaled {
	m, e := math.Frexp(x)
	p := float64(e) * power
	lost := math.FMA(float64(e), power, -p)
	n := math.Round(p)
	r := newScaled(math.Pow(m, power) * math.Exp2(p-n) * (1 + lost*math.Ln2))
	r.exp += int(n)
	return r
}

// asin is precise near 1 too, where 1 - x*x would lose what is left.
func asin(x float64) float64 { return math.Atan2(x, math.Sqrt((1-x)*(1+x))) }

// acos is precise near 1 too.
func acos(x float64) float64 { return 2 * math.Atan2(math.Sqrt(1-x), math.Sqrt(1+x)) }
