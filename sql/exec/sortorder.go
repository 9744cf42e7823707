package exec

import "github.com/byokdb/byokdb/sql/value"

// sortOrder is how rows sort: by keys, and where in a row each of them lies.
type sortOrder struct {
	keys []sortKey
	at   []int
}

// orderFrom is the order by keys that lie one after the other from a place on.
func orderFrom(first int, keys []sortKey) sortOrder {
	o := sortOrder{keys: keys}
	for i := range keys {
		o.at = append(o.at, first+i)
	}
	return o
}

// ascending is the order by the values at some places.
func ascending(at ...int) sortOrder {
	return sortOrder{keys: make([]sortKey, len(at)), at: at}
}

// add adds a key.
func (o *sortOrder) add(k sortKey, at int) {
	o.keys, o.at = append(o.keys, k), append(o.at, at)
}

// compare orders two rows.
func (o *sortOrder) compare(a, b []value.Value) int {
	for i := range o.keys {
		if c := o.keys[i].order(a[o.at[i]], b[o.at[i]]); c != 0 {
			return c
		}
	}
	return 0
}

// prefix returns the prefix of a row's first key.
func (o *sortOrder) prefix(row []value.Value) uint64 {
	if len(o.keys) == 0 {
		return 0
	}
	return o.keys[0].prefix(row[o.at[0]])
}
