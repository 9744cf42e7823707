package value

import (
	"math"
	"math/bits"
)

// Add returns a + b: an integer if both are and the sum fits, else a real.
func Add(a, b Value) Value {
	x, y, kind := operands(a, b)
	switch kind {
	case Int:
		i, j := x.Int(), y.Int()
		if s := i + j; (s > i) == (j > 0) {
			return NewInt(s)
		}
	case Null:
		return Value{}
	default:
	}
	return NewFloat(x.AsFloat() + y.AsFloat())
}

// Sub returns a - b: an integer if both are and the difference fits, else a
// real.
func Sub(a, b Value) Value {
	x, y, kind := operands(a, b)
	switch kind {
	case Int:
		i, j := x.Int(), y.Int()
		if d := i - j; (d < i) == (j > 0) {
			return NewInt(d)
		}
	case Null:
		return Value{}
	default:
	}
	return NewFloat(x.AsFloat() - y.AsFloat())
}

// Mul returns a * b: an integer if both are and the product fits, else a real.
func Mul(a, b Value) Value {
	x, y, kind := operands(a, b)
	switch kind {
	case Int:
		if p, ok := mulInt(x.Int(), y.Int()); ok {
			return NewInt(p)
		}
	case Null:
		return Value{}
	default:
	}
	return NewFloat(x.AsFloat() * y.AsFloat())
}

// Div returns a / b, truncated toward zero for integers, and NULL if b is 0.
func Div(a, b Value) Value {
	x, y, kind := operands(a, b)
	switch kind {
	case Int:
		i, j := x.Int(), y.Int()
		if j == 0 {
			return Value{}
		}
		if j != -1 || i != math.MinInt64 {
			return NewInt(i / j)
		}
	case Null:
		return Value{}
	default:
	}
	d := y.AsFloat()
	if d == 0 {
		return Value{}
	}
	return NewFloat(x.AsFloat() / d)
}

// Rem returns a % b of the operands as integers, with the sign of a, as a real
// if either is a real, and NULL if b is 0.
func Rem(a, b Value) Value {
	x, y, kind := operands(a, b)
	if kind == Null {
		return Value{}
	}
	i, j := x.AsInt(), y.AsInt()
	if kind == Float { // what is written as a real counts up to its point
		i, j = a.AsInt(), b.AsInt()
	}
	switch j {
	case 0:
		return Value{}
	case -1:
		i = 0
	default:
		i %= j
	}
	if kind == Float {
		return NewFloat(float64(i))
	}
	return NewInt(i)
}

// Neg returns -v.
func Neg(v Value) Value { return Sub(NewInt(0), v) }

// operands returns both as numbers, and Int if both are integers, Float if
// neither is NULL, else Null.
func operands(a, b Value) (x, y Value, kind Kind) {
	if a.kind == b.kind && a.kind <= Float { // the usual case first
		return a, b, a.kind
	}
	if a.kind == Null || b.kind == Null {
		return a, b, Null
	}
	x, y = a.Numeric(), b.Numeric()
	if x.kind == Int && y.kind == Int {
		return x, y, Int
	}
	return x, y, Float
}

// mulInt returns a*b and whether it fits.
func mulInt(a, b int64) (int64, bool) {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	switch {
	case hi != 0:
		return 0, false
	case neg:
		return -int64(lo), lo <= 1<<63
	}
	return int64(lo), lo <= math.MaxInt64
}

// magnitude returns |i|.
func magnitude(i int64) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

// BitAnd returns a & b of the operands as integers.
func BitAnd(a, b Value) Value {
	if a.kind == Null || b.kind == Null {
		return Value{}
	}
	return NewInt(a.AsInt() & b.AsInt())
}

// BitOr returns a | b of the operands as integers.
func BitOr(a, b Value) Value {
	if a.kind == Null || b.kind == Null {
		return Value{}
	}
	return NewInt(a.AsInt() | b.AsInt())
}

// BitNot returns ~v of the operand as an integer.
func BitNot(v Value) Value {
	if v.kind == Null {
		return Value{}
	}
	return NewInt(^v.AsInt())
}

// ShiftLeft returns a << b. A negative b shifts right; 64 and beyond shift
// every bit out.
func ShiftLeft(a, b Value) Value {
	if a.kind == Null || b.kind == Null {
		return Value{}
	}
	return NewInt(shift(a.AsInt(), b.AsInt()))
}

// ShiftRight returns a >> b and keeps the sign. A negative b shifts left.
func ShiftRight(a, b Value) Value {
	if a.kind == Null || b.kind == Null {
		return Value{}
	}
	n := b.AsInt()
	if n == math.MinInt64 {
		n++
	}
	return NewInt(shift(a.AsInt(), -n))
}

// shift shifts i left by n bits, right if n is negative.
func shift(i, n int64) int64 {
	if n >= 0 {
		return i << uint64(n)
	}
	return i >> uint64(-n)
}

// Concat returns a || b as text, NULL if either is NULL.
func Concat(a, b Value) Value {
	if a.kind == Null || b.kind == Null {
		return Value{}
	}
	if a.kind >= Text && b.kind >= Text {
		return NewText(a.s + b.s)
	}
	var buf [64]byte
	return NewText(string(b.AppendText(a.AppendText(buf[:0]))))
}
