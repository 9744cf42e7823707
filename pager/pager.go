// Package pager stores ordered maps in write-once files of sealed pages.
//
// A file, a run, is a B-tree: leaves of sorted entries, inner nodes above
// them, a filter that answers most lookups of absent keys, and a sealed trailer
// that locates the rest. A [Builder] writes a run once, front to back; a [Run]
// reads it, through a [Cache] of opened pages outside the Go heap that can be
// wiped in one step. Since no byte is ever written twice under one key, a page
// that authenticates at its place is the page that was written there.
//
// Whatever is read is taken for hostile: a decoder returns [ErrCorrupt], it
// does not panic and does not read outside the page.
package pager

// Limits, in bytes.
const (
	// KeySizeMax is the longest key: 32 KiB for the caller of the database and
	// 16 B for the layer above.
	KeySizeMax = 32<<10 + 16

	// ValueSizeMax is the longest value.
	ValueSizeMax = 64 << 20

	// PageSizeMin and PageSizeMax bound BuilderConfig.PageSize.
	PageSizeMin = 4 << 10
	PageSizeMax = 64 << 10

	// FileSizeMax is the largest run that can be written or read.
	FileSizeMax = 1 << 37
)

// PageSizeDefault is the logical size of pages unless the configuration says
// otherwise, in bytes.
const PageSizeDefault = 16 << 10

// EntryKind tells what an entry says about its key. It is on disk.
type EntryKind uint8

// The kinds of entries.
const (
	Put       EntryKind = 1 // the key has this value
	Tombstone EntryKind = 2 // the key was deleted; no value
)

// String names the kind.
func (k EntryKind) String() string {
	switch k {
	case Put:
		return "put"
	case Tombstone:
		return "tombstone"
	default:
		return "unknown"
	}
}
