package fn

import (
	"math"

	"github.com/byokdb/byokdb/sql/value"
)

// mathFunctions returns the functions of numbers.
func mathFunctions() []Scalar {
	list := []Scalar{
		pure("abs", 1, 1, abs),
		pure("round", 1, 2, round),
		pure("sign", 1, 1, sign),
		pure("ceil", 1, 1, integral(math.Ceil)),
		pure("ceiling", 1, 1, integral(math.Ceil)),
		pure("floor", 1, 1, integral(math.Floor)),
		pure("trunc", 1, 1, integral(math.Trunc)),
		pure("ln", 1, 1, logarithm(ln)),
		pure("log", 1, 2, log),
		pure("log10", 1, 1, logarithm(log10)),
		pure("log2", 1, 1, logarithm(log2)),
		pure("pi", 0, 0, func(*Context, []value.Value) (value.Value, error) { return value.NewFloat(math.Pi), nil }),
		pure("atan2", 2, 2, binary2(atan2)),
		pure("mod", 2, 2, binary2(math.Mod)),
		pure("pow", 2, 2, binary2(pow)),
		pure("power", 2, 2, binary2(pow)),
	}
	for name, f := range map[string]func(float64) float64{
		"acos": acos, "acosh": math.Acosh, "asin": asin, "asinh": math.Asinh,
		"atan": math.Atan, "atanh": math.Atanh, "cos": math.Cos, "cosh": cosh,
		"exp": exp, "sin": math.Sin, "sinh": sinh, "sqrt": math.Sqrt,
		"tan": math.Tan, "tanh": math.Tanh,
		"degrees": func(x float64) float64 { return x * (180 / math.Pi) },
		"radians": func(x float64) float64 { return x * (math.Pi / 180) },
	} {
		list = append(list, pure(name, 1, 1, unary(f)))
	}
	return list
}

func abs(_ *Context, args []value.Value) (value.Value, error) {
	switch v := args[0]; v.Kind() {
	case value.Null:
		return v, nil
	case value.Int:
		i := v.Int()
		if i == math.MinInt64 {
			return value.Value{}, errOverflow
		}
		return value.NewInt(max(i, -i)), nil
	default:
		r := v.AsFloat()
		if r < 0 {
			r = -r
		}
		return value.NewFloat(r), nil
	}
}

// integerFrom is the magnitude from which on a real has no fraction.
const integerFrom = 1 << 52

func round(_ *Context, args []value.Value) (value.Value, error) {
	if anyNull(args) {
		return value.Value{}, nil
	}
	n := 0
	if len(args) == 2 {
		n = int(min(max(args[1].AsInt(), 0), 30))
	}
	r := args[0].AsFloat()
	switch {
	case r < -integerFrom || r > integerFrom:
	case n == 0 && r < 0:
		r = float64(int64(r - 0.5))
	case n == 0:
		r = float64(int64(r + 0.5))
	default:
		var buf [64]byte
		f := value.FloatFormat{Verb: 'f', Precision: n, Exact: true}
		r = value.NewText(string(f.Append(buf[:0], r))).AsFloat()
	}
	return value.NewFloat(r), nil
}

// number returns v as a real if it is a number, or text that is one.
func number(v value.Value) (r float64, ok bool) {
	v = v.NumericArg()
	return v.AsFloat(), v.Kind() == value.Int || v.Kind() == value.Float
}

func sign(_ *Context, args []value.Value) (value.Value, error) {
	r, ok := number(args[0])
	switch {
	case !ok:
		return value.Value{}, nil
	case r < 0:
		return value.NewInt(-1), nil
	case r > 0:
		return value.NewInt(1), nil
	}
	return value.NewInt(0), nil
}

// integral returns a function that leaves integers as they are.
func integral(f func(float64) float64) func(*Context, []value.Value) (value.Value, error) {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		switch v := args[0].NumericArg(); v.Kind() {
		case value.Int:
			return v, nil
		case value.Float:
			return value.NewFloat(f(v.Float())), nil
		default:
			return value.Value{}, nil
		}
	}
}

func unary(f func(float64) float64) func(*Context, []value.Value) (value.Value, error) {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		r, ok := number(args[0])
		if !ok {
			return value.Value{}, nil
		}
		return value.NewFloat(f(r)), nil
	}
}

func binary2(f func(x, y float64) float64) func(*Context, []value.Value) (value.Value, error) {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		x, ok1 := number(args[0])
		y, ok2 := number(args[1])
		if !ok1 || !ok2 {
			return value.Value{}, nil
		}
		return value.NewFloat(f(x, y)), nil
	}
}

// logarithm returns a function that is NULL of what is not positive.
func logarithm(f func(float64) float64) func(*Context, []value.Value) (value.Value, error) {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		r, ok := number(args[0])
		if !ok || r <= 0 {
			return value.Value{}, nil
		}
		return value.NewFloat(f(r)), nil
	}
}

// log is log(x), to base 10, or log(base, x).
func log(c *Context, args []value.Value) (value.Value, error) {
	if len(args) == 1 {
		return logarithm(log10)(c, args)
	}
	base, ok := number(args[0])
	if !ok || base <= 0 {
		return value.Value{}, nil
	}
	b, x := ln(base), args[1].AsFloat()
	if b <= 0 || x <= 0 {
		return value.Value{}, nil
	}
	return value.NewFloat(ln(x) / b), nil
}
