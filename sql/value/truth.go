package value

// Truth is true, false or unknown: what NULL is as a condition.
type Truth uint8

// The truth values.
const (
	Unknown Truth = iota
	False
	True
)

// TruthOf returns v as a condition: numbers are true unless 0, text and blobs
// as far as they are a number, NULL is Unknown.
func TruthOf(v Value) Truth {
	switch v.kind {
	case Null:
		return Unknown
	case Int:
		return truthOf(v.n != 0)
	default:
		return truthOf(v.AsFloat() != 0)
	}
}

func truthOf(b bool) Truth {
	if b {
		return True
	}
	return False
}

// Not returns NOT t.
func (t Truth) Not() Truth {
	switch t {
	case True:
		return False
	case False:
		return True
	default:
		return Unknown
	}
}

// And returns t AND u.
func (t Truth) And(u Truth) Truth {
	switch {
	case t == False || u == False:
		return False
	case t == True && u == True:
		return True
	}
	return Unknown
}

// Or returns t OR u.
func (t Truth) Or(u Truth) Truth {
	switch {
	case t == True || u == True:
		return True
	case t == False && u == False:
		return False
	}
	return Unknown
}

// Value returns 1, 0 or NULL.
func (t Truth) Value() Value {
	switch t {
	case True:
		return NewInt(1)
	case False:
		return NewInt(0)
	default:
		return Value{}
	}
}
