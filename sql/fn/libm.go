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
// so that it is rounded but once.
func pow(x, y float64) float64 {
	r := math.Pow(x, y)
	if math.Abs(y) > powMax || !(math.Abs(r) > 0x1p-960 && math.Abs(r) < 0x1p1022) {
		return r
	}
	whole, frac := math.Modf(y)
	hi, low := 1.0, 0.0
	baseHi, baseLow := x, 0.0
	for n := int(math.Abs(whole)); n > 0; {
		if n&1 != 0 {
			hi, low = mulTwice(hi, low, baseHi, baseLow)
		}
		if n >>= 1; n > 0 {
			baseHi, baseLow = mulTwice(baseHi, baseLow, baseHi, baseLow)
		}
	}
	if whole < 0 {
		q := 1 / hi
		hi = q - q*(math.FMA(q, hi, -1)+q*low)
	}
	if frac != 0 {
		hi *= root(x, frac)
	}
	return hi
}

// root returns x to a power between -1 and 1, x being positive. The exponent of
// x is taken apart from its fraction, which is near 1.
func root(x, power float64) float64 {
	m, e := math.Frexp(x)
	p := float64(e) * power
	lost := math.FMA(float64(e), power, -p)
	n := math.Round(p)
	return math.Ldexp(math.Pow(m, power)*math.Exp2(p-n)*(1+lost*math.Ln2), int(n))
}

// acos is precise near 1 too.
func acos(x float64) float64 { return 2 * math.Atan2(math.Sqrt(1-x), math.Sqrt(1+x)) }

// mulTwice multiplies two sums of a real and a small one.
func mulTwice(aHi, aLow, bHi, bLow float64) (hi, low float64) {
	p := aHi * bHi
	e := math.FMA(aHi, bHi, -p) + (aHi*bLow + aLow*bHi)
	hi = p + e
	return hi, e - (hi - p)
}
