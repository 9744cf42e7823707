package value

import (
	"math"
	"math/bits"
)

// Conversion between IEEE 754 doubles and decimal digits as SQLite does it,
// digit for digit: it is not always the shortest nor the nearest text, and a
// database that answers otherwise could not be compared with SQLite.
//
// Source: SQLite src/util.c (public domain), after github.com/rsc/fpfmt.

const (
	powerOfTenMin = -348
	powerOfTenMax = 347
)

// pow10Base holds the top 64 bits of pow(10, i), i from 0 to 26.
var pow10Base = [27]uint64{
	0x8000000000000000, 0xa000000000000000, 0xc800000000000000, 0xfa00000000000000,
	0x9c40000000000000, 0xc350000000000000, 0xf424000000000000, 0x9896800000000000,
	0xbebc200000000000, 0xee6b280000000000, 0x9502f90000000000, 0xba43b74000000000,
	0xe8d4a51000000000, 0x9184e72a00000000, 0xb5e620f480000000, 0xe35fa931a0000000,
	0x8e1bc9bf04000000, 0xb1a2bc2ec5000000, 0xde0b6b3a76400000, 0x8ac7230489e80000,
	0xad78ebc5ac620000, 0xd8d726b7177a8000, 0x878678326eac9000, 0xa968163f0a57b400,
	0xd3c21bcecceda100, 0x84595161401484a0, 0xa56fa5b99019a5c8,
}

// pow10Scale holds the top 64 bits of pow(10, 27*(i-13)), but pow(10, -1) at 13.
var pow10Scale = [26]uint64{
	0x8049a4ac0c5811ae, 0xcf42894a5dce35ea, 0xa76c582338ed2621, 0x873e4f75e2224e68,
	0xda7f5bf590966848, 0xb080392cc4349dec, 0x8e938662882af53e, 0xe65829b3046b0afa,
	0xba121a4650e4ddeb, 0x964e858c91ba2655, 0xf2d56790ab41c2a2, 0xc428d05aa4751e4c,
	0x9e74d1b791e07e48, 0xcccccccccccccccc, 0xcecb8f27f4200f3a, 0xa70c3c40a64e6c51,
	0x86f0ac99b4e8dafd, 0xda01ee641a708de9, 0xb01ae745b101e9e4, 0x8e41ade9fbebc27d,
	0xe5d3ef282a242e81, 0xb9a74a0637ce2ee1, 0x95f83d0a1fb69cd9, 0xf24a01a73cf2dccf,
	0xc3b8358109e84f07, 0x9e19db92b4e31ba9,
}

// pow10ScaleLow holds the 32 bits that follow those of pow10Scale.
var pow10ScaleLow = [26]uint32{
	0x205b896d, 0x52064cad, 0xaf2af2b8, 0x5a7744a7, 0xaf39a475, 0xbd8d794e,
	0x547eb47b, 0x0cb4a5a3, 0x92f34d62, 0x3a6a07f9, 0xfae27299, 0xaa97e14c,
	0x775ea265, 0xcccccccc, 0x00000000, 0x999090b6, 0x69a028bb, 0xe80e6f48,
	0x5ec05dd0, 0x14588f14, 0x8f1668c9, 0x6d953e2c, 0x4abdaf10, 0xbc633b39,
	0x0a862f81, 0x6c07a2c2,
}

// powerOfTen returns the top 64 bits of pow(10, p) and the 32 that follow.
func powerOfTen(p int) (hi uint64, low uint32) {
	switch {
	case p == -1:
		return pow10Scale[13], pow10ScaleLow[13]
	case p >= 0 && p < 27:
		return pow10Base[p], 0
	}
	g, n := p/27, p%27
	if n < 0 {
		g--
		n += 27
	}
	s, sLow := pow10Scale[g+13], pow10ScaleLow[g+13]
	if n == 0 {
		return s, sLow
	}
	hi, mid := bits.Mul64(s, pow10Base[n])
	h2, l2 := bits.Mul64(uint64(sLow), pow10Base[n])
	mid, carry := bits.Add64(mid, h2<<32|l2>>32, 0)
	hi += carry
	low = uint32(mid >> 32)
	if hi>>63 == 0 {
		hi = hi<<1 | uint64(low>>31)
		low = low<<1 | 1
	}
	return hi, low
}

// log2Pow10 returns floor(log2(pow(10, p))).
func log2Pow10(p int) int { return (p * 108853) >> 15 }

// log10Pow2 returns floor(log10(pow(2, e))).
func log10Pow2(e int) int { return (e * 78913) >> 18 }

// toDecimal returns d and p with m*pow(2, e) ≈ d*pow(10, p), d of at least n
// digits, n at most 18. The top bit of m is set.
func toDecimal(m uint64, e, n int) (d uint64, p int) {
	p = n - 1 - log10Pow2(e+63)
	pow, _ := powerOfTen(p)
	h, _ := bits.Mul64(m, pow)
	if n == 18 {
		h >>= uint(-(e + log2Pow10(p) + 2))
		return (h + (h<<1)&2) >> 1, -p
	}
	return h >> uint(-(e + log2Pow10(p) + 1)), -p
}

// fromDecimal returns the double nearest to d*pow(10, p). d is not zero.
func fromDecimal(d uint64, p int) float64 {
	if p < powerOfTenMin {
		return 0
	}
	if p > powerOfTenMax {
		return math.Inf(1)
	}
	b := bits.Len64(d)
	lp := log2Pow10(p)
	e := 53 - b - lp
	if e > 1074 {
		if e >= 1130 {
			return 0
		}
		e = 1074
	}
	s := uint(-(e - (64 - b) + lp + 3))
	powHi, powLow := powerOfTen(p)
	if powLow != 0 {
		powHi++
		powLow = ^powLow
	}
	x := d << uint(64-b)
	hi, lo := bits.Mul64(x, powHi)
	mid1 := uint32(lo >> 32)
	sticky := uint64(1)
	if hi&(1<<s-1) == 0 {
		h2, _ := bits.Mul64(x, uint64(powLow)<<32)
		mid2 := uint32(h2 >> 32)
		sticky = 0
		if mid1-mid2 > 1 {
			sticky = 1
		}
		if mid1 < mid2 {
			hi--
		}
	}
	u := hi>>s | sticky
	if u >= 1<<55-2 {
		u = u>>1 | u&1
		e--
	}
	m := (u + 1 + (u>>2)&1) >> 2
	if e <= -972 {
		return math.Inf(1)
	}
	if m&(1<<52) != 0 {
		m = m&^(1<<52) | uint64(1075-e)<<52
	}
	return math.Float64frombits(m)
}

// decimal is a real as decimal digits: 0.d1d2d3… * pow(10, point).
type decimal struct {
	buf   [21]byte
	first int // index in buf of the first digit
	n     int // number of digits, without trailing zeros
	point int // place of the decimal point relative to the first digit
	neg   bool
	inf   bool
}

func (d *decimal) digits() []byte { return d.buf[d.first : d.first+d.n] }

// decodeFloat sets d to the digits of r. With round above 0, it keeps
// min(round, limit) significant digits; else -round digits after the decimal
// point and at most limit significant ones. r is not NaN.
func (d *decimal) decodeFloat(r float64, round, limit int) {
	*d = decimal{}
	if r < 0 {
		d.neg = true
		r = -r
	} else if r == 0 {
		d.buf[0] = '0'
		d.n, d.point = 1, 1
		return
	}
	v := math.Float64bits(r)
	e := int(v >> 52 & 0x7ff)
	if e == 0x7ff {
		d.inf = true
		return
	}
	v &= 1<<52 - 1
	if e == 0 {
		nn := bits.LeadingZeros64(v)
		v <<= uint(nn)
		e = -1074 - nn
	} else {
		v = v<<11 | 1<<63
		e -= 1086
	}
	want := 18
	if round > 0 && round < 18 {
		want = round + 1
	}
	v, exp := toDecimal(v, e, want)
	i := len(d.buf)
	for v > 0 {
		i--
		d.buf[i] = byte('0' + v%10)
		v /= 10
	}
	n := len(d.buf) - i
	d.point = n + exp
	if round <= 0 {
		round = d.point - round
		if round == 0 && d.buf[i] >= '5' {
			round = 1
			i--
			d.buf[i] = '0'
			n++
			d.point++
		}
	}
	if round > 0 && (round < n || n > limit) {
		round = min(round, limit)
		if round == 17 {
			round = d.shorten(r, i, n, exp)
		}
		n = round
		i, n = d.roundUp(i, n)
	}
	for n > 1 && d.buf[i+n-1] == '0' {
		n--
	}
	d.first, d.n = i, n
}

// shorten returns the number of digits to keep of the n at buf[i:], 17 or
// fewer if fewer give r back, so that 49.47 is not 49.469999999999999.
func (d *decimal) shorten(r float64, i, n, exp int) int {
	z := d.buf[i:]
	jj := 0
	bump := uint64(0)
	switch {
	case z[15] == '9' && z[14] == '9':
		for jj = 14; jj > 0 && z[jj-1] == '9'; jj-- {
		}
		bump = 1
	case d.point >= n || z[15] == '0' && z[14] == '0' && z[13] == '0':
		for jj = 13; z[jj-1] == '0'; jj-- {
		}
	default:
		return 17
	}
	v := uint64(0)
	for _, c := range z[:jj] {
		v = v*10 + uint64(c-'0')
	}
	if r == fromDecimal(v+bump, exp+n-jj) {
		return jj + 1
	}
	return 17
}

// roundUp rounds the digits at buf[i:] to n of them, by the digit that follows.
func (d *decimal) roundUp(i, n int) (int, int) {
	if d.buf[i+n] < '5' {
		return i, n
	}
	for j := i + n - 1; ; j-- {
		d.buf[j]++
		if d.buf[j] <= '9' {
			return i, n
		}
		d.buf[j] = '0'
		if j == i {
			i--
			d.buf[i] = '1'
			d.point++
			return i, n + 1
		}
	}
}
