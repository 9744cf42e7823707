package fn

import "github.com/byokdb/byokdb/sql/value"

// jsonGroup is json_group_array() and, with pairs, json_group_object(): the
// elements so far, each after a comma.
type jsonGroup struct {
	w      jsonWriter
	pairs  bool
	binary bool // jsonb_group_array(), jsonb_group_object()
}

// jsonGroupDef defines one of the aggregates.
func jsonGroupDef(name string, pairs, binary bool) *AggregateDef {
	n := 1
	if pairs {
		n = 2
	}
	return &AggregateDef{Name: name, MinArgs: n, MaxArgs: n, New: func() Aggregate { return &jsonGroup{pairs: pairs, binary: binary} }}
}

// Step adds a value, or a label and a value unless the label is NULL.
func (g *jsonGroup) Step(args []value.Value) error {
	w := &g.w
	if g.pairs {
		if args[0].IsNull() {
			return nil
		}
		w.raw(",")
		w.string(viewBytes(beforeNUL(args[0].AsText())))
		w.raw(":")
		args = args[1:]
	} else {
		w.raw(",")
	}
	w.value(args[0])
	return w.raised() // what is malformed is said at the end
}

func (g *jsonGroup) Final() (value.Value, error) {
	if err := g.w.err(); err != nil {
		return value.Value{}, err
	}
	open, shut := "[", "]"
	if g.pairs {
		open, shut = "{", "}"
	}
	if len(g.w.b) == 0 {
		if g.binary {
			return marked(jsonbOfText(viewBytes(open + shut)))
		}
		return value.NewJSON(open + shut), nil
	}
	s := open + string(g.w.b[1:]) + shut
	if g.binary {
		return jsonbOfText(viewBytes(s))
	}
	return value.NewJSON(s), nil
}
