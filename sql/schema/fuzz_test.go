package schema

import (
	"bytes"
	"errors"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// FuzzObject reads a record of the schema; what is read is written as it was,
// but for numbers that were written longer than they need be.
func FuzzObject(f *testing.F) {
	f.Add(encodeObject(Object{Type: "table", Name: "n", Table: "t", Root: 300, SQL: "CREATE"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeObject(numberKey(prefixObject, 1), b)
		if err != nil {
			var e *sqlerr.Error
			if !errors.Is(err, engine.ErrTooNew) && (!errors.As(err, &e) || e.Code != sqlerr.Corrupt) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again := encodeObject(o)
		if len(again) > len(b) || len(again) == len(b) && !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
		if o2, err := decodeObject(numberKey(prefixObject, 1), again); err != nil || o2 != o {
			t.Fatalf("%+v became %+v, %v", o, o2, err)
		}
	})
}
