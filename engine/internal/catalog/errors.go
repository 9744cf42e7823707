package catalog

import "errors"

// Errors of the catalog.
var (
	// ErrInUse means that another process, or another opening in this one,
	// holds the catalog's lock.
	ErrInUse = errors.New("catalog is in use")

	// ErrNotExist means that the directory has no catalog.
	ErrNotExist = errors.New("catalog does not exist")

	// ErrNotDatabase means that the file is no catalog of ours.
	ErrNotDatabase = errors.New("not a catalog")

	// ErrTooNew means that a newer version wrote the catalog or the manifest.
	ErrTooNew = errors.New("catalog was written by a newer version")

	// ErrFailed means that an update failed now or before. Whether it was made
	// is undecided until the catalog is opened again; until then there are no more.
	ErrFailed = errors.New("catalog takes no more updates since one failed")

	// ErrNoRoom means that the disk has too little room for an update, which was
	// not begun. Retry when there is more.
	ErrNoRoom = errors.New("no room for the catalog")

	// ErrCorrupt means that stored bytes are damaged or were edited.
	ErrCorrupt = errors.New("catalog is damaged")
)
