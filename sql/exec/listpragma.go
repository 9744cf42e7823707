package exec

import (
	"maps"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// Flags of PRAGMA function_list, SQLite's.
const (
	flagDeterministic = 0x800
	flagSubtype       = 0x100000 // asks for the subtype of its arguments
	flagInnocuous     = 0x200000
)

// functionList is PRAGMA function_list: a row for each number of arguments, or
// for all of them where there is no limit.
func functionList(*schema.Schema, string) [][]value.Value {
	var rows [][]value.Value
	add := func(name, kind string, least, most int, flags int64) {
		row := func(n int) {
			rows = append(rows, []value.Value{text(name), boolean(name != "match"), text(kind), text("utf8"), integer(int64(n)), integer(flags)})
		}
		switch {
		case most < 0 && least == 0:
			row(-1)
		case most < 0: // SQLite's way to say that there are at least so many
			row(-2 - least)
		default:
			for n := least; n <= most; n++ {
				row(n)
			}
		}
	}
	fn.Scalars(func(s *fn.Scalar) bool {
		flags := int64(flagInnocuous | flagDeterministic)
		switch s.Name {
		case "random", "randomblob", "sqlite_version", "current_date", "current_time", "current_timestamp":
			flags = flagInnocuous
		}
		if _, ok := specials[s.Name]; !ok {
			add(s.Name, "s", s.MinArgs, s.MaxArgs, flags|subtypeFlag(s.Name))
		}
		return true
	})
	for name, sp := range specials {
		switch name {
		case "match":
			add(name, "s", sp.min, sp.max, 0)
		case "changes", "total_changes", "last_insert_rowid", "sqlite_compileoption_used", "sqlite_compileoption_get":
			add(name, "s", sp.min, sp.max, flagInnocuous)
		case "min", "max":
			add(name, "s", 1, -1, flagInnocuous|flagDeterministic)
		default:
			add(name, "s", sp.min, sp.max, flagInnocuous|flagDeterministic)
		}
	}
	fn.Aggregates(func(d *fn.AggregateDef) bool {
		flags := subtypeFlag(d.Name)
		if flags != 0 {
			flags |= flagDeterministic
		}
		add(d.Name, "w", d.MinArgs, d.MaxArgs, flags|flagInnocuous)
		return true
	})
	for name, limits := range windowOnly {
		add(name, "w", limits[0], limits[1], flagInnocuous)
	}
	slices.SortFunc(rows, func(a, b []value.Value) int {
		if c := strings.Compare(a[0].Str(), b[0].Str()); c != 0 {
			return c
		}
		return int(a[4].Int() - b[4].Int())
	})
	return rows
}

func subtypeFlag(name string) int64 {
	switch strings.Replace(name, "jsonb_", "json_", 1) {
	case "json_array", "json_array_insert", "json_insert", "json_object", "json_quote", "json_replace", "json_set", "subtype",
		"json_group_array", "json_group_object":
		return flagSubtype
	}
	return 0
}

// pragmaNames are the pragmas that are known, but for those of
// describingPragma and settingPragma.
var pragmaNames = []string{"incremental_vacuum", "optimize", "shrink_memory", "wal_checkpoint"}

func pragmaList(*schema.Schema, string) [][]value.Value {
	names := slices.Concat(pragmaNames, tablePragmas, settings, slices.Collect(maps.Keys(fixedPragmas)))
	slices.Sort(names)
	return oneColumn(names)
}

// moduleList is PRAGMA module_list: the tables that are functions.
func moduleList(*schema.Schema, string) [][]value.Value {
	names := slices.Clone(jsonTables)
	for _, name := range tablePragmas {
		names = append(names, "pragma_"+name)
	}
	slices.Sort(names)
	return oneColumn(names)
}

// optionNames are those of SQLite's compile-time options that hold here.
var optionNames = []string{
	"ENABLE_MATH_FUNCTIONS", "MAX_COLUMN=2000", "MAX_COMPOUND_SELECT=500", "MAX_FUNCTION_ARG=127", "MAX_SQL_LENGTH=16777216",
	"MAX_VARIABLE_NUMBER=32766", "OMIT_LOAD_EXTENSION", "THREADSAFE=1",
}

func compileOptions(*schema.Schema, string) [][]value.Value { return oneColumn(optionNames) }

// compileOptionUsed is sqlite_compileoption_used(): the name of an option, with or
// without SQLITE_ and its value.
func compileOptionUsed(args []*expr) *expr {
	return computed(func(f *frame) (value.Value, error) {
		v, err := args[0].eval(f)
		if err != nil || v.IsNull() {
			return value.Value{}, err
		}
		want := strings.TrimPrefix(strings.ToUpper(v.AsText()), "SQLITE_")
		return boolean(slices.ContainsFunc(optionNames, func(have string) bool {
			name, _, _ := strings.Cut(have, "=")
			return want == have || want == name
		})), nil
	}, args...)
}

// compileOptionGet is sqlite_compileoption_get(): the n-th option from 0.
func compileOptionGet(args []*expr) *expr {
	return computed(func(f *frame) (value.Value, error) {
		v, err := args[0].eval(f)
		if err != nil {
			return v, err
		}
		if i := v.AsInt(); i >= 0 && i < int64(len(optionNames)) {
			return text(optionNames[i]), nil
		}
		return value.Value{}, nil
	}, args...)
}

func oneColumn(names []string) (rows [][]value.Value) {
	for _, name := range names {
		rows = append(rows, []value.Value{text(name)})
	}
	return rows
}
