package engine

import (
	"maps"
	"slices"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// collectionNameMax is the longest name of a collection, in bytes.
const collectionNameMax = 1024

// A directory maps collection names to ids. It is immutable: a change makes a
// new one, so that snapshots keep theirs. Ids are never used twice, so what a
// dropped collection leaves behind cannot be mistaken for another's.
type directory struct {
	ids  map[string]uint32
	next uint32 // the next id to give

	// stamp is this directory's alone: who has it can tell the directory again
	// without keeping its names.
	stamp *byte
}

func newDirectory(m *catalog.Manifest) *directory {
	d := &directory{ids: make(map[string]uint32, len(m.Collections)), next: max(m.NextCollection, 1), stamp: new(byte)}
	for _, c := range m.Collections {
		d.ids[c.Name] = c.ID
	}
	return d
}

// with returns the directory after a creation.
func (d *directory) with(name string, id uint32) *directory {
	out := &directory{ids: maps.Clone(d.ids), next: max(d.next, id+1), stamp: new(byte)}
	out.ids[name] = id
	return out
}

// without returns the directory after the drop of an id.
func (d *directory) without(id uint32) *directory {
	out := &directory{ids: maps.Clone(d.ids), next: d.next, stamp: new(byte)}
	maps.DeleteFunc(out.ids, func(_ string, have uint32) bool { return have == id })
	return out
}

// names returns the names, sorted.
func (d *directory) names() []string { return slices.Sorted(maps.Keys(d.ids)) }

// metas returns the form that the manifest stores, sorted by name.
func (d *directory) metas() []catalog.CollectionMeta {
	out := make([]catalog.CollectionMeta, 0, len(d.ids))
	for _, name := range d.names() {
		out = append(out, catalog.CollectionMeta{ID: d.ids[name], Name: name})
	}
	return out
}
