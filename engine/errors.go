package engine

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/pager"
)

// Errors of opening.
var (
	// ErrNotExist means that there is no database in the directory and
	// Options.MustExist forbids making one. Retrying does not help.
	ErrNotExist = errors.New("database does not exist")

	// ErrExist means that there is a database in the directory already and
	// Options.MustCreate forbids opening it.
	ErrExist = errors.New("database exists already")

	// ErrNotDatabase means that the directory holds something else than a
	// database. Nothing was changed in it.
	ErrNotDatabase = errors.New("not a byokdb database")

	// ErrInUse means that the database is open in another process, or twice in
	// this one. Retry when the other has closed it.
	ErrInUse = errors.New("database is open elsewhere")

	// ErrTooNew means that a newer version of byokdb wrote the database. Use
	// that version; nothing was changed.
	ErrTooNew = errors.New("database was written by a newer version of byokdb")

	// ErrWrongKey means that the database belongs to another key than the one
	// given; the error says to which.
	ErrWrongKey = errors.New("database belongs to another key")

	// ErrErased means that the database was erased by its policy. Final.
	ErrErased = errors.New("database was erased")

	// ErrNotBackup means that a directory or stream is not a backup, or one of
	// another database. Nothing was changed.
	ErrNotBackup = errors.New("not a backup of this database")

	// ErrOwnDirectory means that a copy or backup was to be made in the directory
	// of the database that it is of.
	ErrOwnDirectory = errors.New("a copy must lie outside of the database's own directory")

	// ErrStale means that the database is sound and older than
	// Options.MinPosition says, or that another copy of it went on from there:
	// the directory, its catalog or the end of its log was put back. Nothing
	// was changed. Retrying does not help; the newer state does, or a backup
	// that is not older.
	ErrStale = errors.New("database is older than it should be")
)

// Errors of an open database.
var (
	// ErrCorrupt means that stored bytes are damaged, missing, exchanged or
	// edited. The error names the file. Retrying does not help; a backup does.
	ErrCorrupt = errors.New("database is damaged")

	// ErrFailed means that a write or sync of the log, a run or the catalog
	// failed before. Reads of committed data, Verify, Status and Close go on;
	// writes are refused until the database is opened again. After a failure of
	// the catalog, so are Rewrap, the recording of the guard's events and an
	// erasure. The error wraps the cause. Nothing that was acknowledged is lost.
	ErrFailed = errors.New("database takes no more writes since a write failed")

	// ErrDiskFull means that the disk has no room for a commit, or for the flush
	// that it has to wait for. The commit was undone; all that was committed before
	// is there and can be read. Retry when there is room: a flush that found none
	// is tried again every few seconds. The error wraps the system's.
	ErrDiskFull = errors.New("disk is full")

	// ErrRotating means that too many rotations of the data key are under way.
	// Retry when one has ended: DB.AwaitRotation.
	ErrRotating = errors.New("too many rotations of the data key have not ended")

	// ErrClosed means that the database was closed.
	ErrClosed = errors.New("database is closed")

	// ErrKeyUnavailable means that the customer's key cannot be used at
	// present. It comes as a *KeyError that says why, since when, and what
	// follows. Retry later: service comes back by itself with the key.
	ErrKeyUnavailable = guard.ErrKeyUnavailable
)

// Errors of transactions.
var (
	// ErrNotFound means that no record has the key.
	ErrNotFound = errors.New("key not found")

	// ErrNoCollection means that no collection has the name.
	ErrNoCollection = errors.New("no such collection")

	// ErrCollectionExists means that a collection of that name exists.
	ErrCollectionExists = errors.New("collection exists already")

	// ErrCollectionName means that a name is empty or longer than 1 KiB.
	ErrCollectionName = errors.New("collection name must have 1 to 1024 bytes")

	// ErrTxClosed means that the transaction was committed or rolled back.
	ErrTxClosed = errors.New("transaction has ended")

	// ErrReadOnly means that the transaction may not write.
	ErrReadOnly = errors.New("transaction is read-only")

	// ErrKeyTooLarge means that a record's key exceeds KeySizeMax.
	ErrKeyTooLarge = errors.New("key is larger than 32 KiB")

	// ErrValueTooLarge means that a value exceeds ValueSizeMax.
	ErrValueTooLarge = errors.New("value is larger than 64 MiB")

	// ErrValueSize means that a reader does not hold as many bytes as was said.
	ErrValueSize = errors.New("reader holds another number of bytes than was said")

	// ErrOrder means that the key of a bulk load is not above the one before.
	ErrOrder = errors.New("key of a bulk load is not above the one before")

	// ErrTxTooLarge means that the writes of one transaction exceed TxSizeMax.
	// The transaction can only be rolled back.
	ErrTxTooLarge = errors.New("transaction writes more than 1 GiB")
)

// KeyError says why the key cannot be used, since when, and when memory will
// be wiped. errors.Is(err, ErrKeyUnavailable) holds for it.
type KeyError = guard.KeyError

// A wrongKeyError names the key that a database belongs to.
type wrongKeyError struct{ dir, want, have string }

func (e *wrongKeyError) Error() string {
	return fmt.Sprintf("%s: %v: it is sealed under %s, the key given is %s; open it with that key",
		e.dir, ErrWrongKey, e.want, e.have)
}

func (e *wrongKeyError) Is(target error) bool { return target == ErrWrongKey }

// An erasedError says when and why a database was erased.
type erasedError struct {
	dir string
	t   *catalog.Tombstone
}

func (e *erasedError) Error() string {
	const layout = "2006-01-02 15:04:05 UTC"
	s := fmt.Sprintf("%s: %v on %s by its policy", e.dir, ErrErased, e.t.Erased.Format(layout))
	if e.t.DeniedFor > 0 {
		s += fmt.Sprintf(", after its key was denied for %v since %s", e.t.DeniedFor, e.t.FirstDenied.Format(layout))
	}
	if e.t.Reason != "" {
		s += fmt.Sprintf(" (the provider said: %s; request ids %s to %s)", e.t.Reason, e.t.FirstID, e.t.LastID)
	}
	return s
}

func (e *erasedError) Is(target error) bool { return target == ErrErased }

// A staleError says by what a state is older than a position.
type staleError struct{ dir, what string }

func (e *staleError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.dir, ErrStale, e.what)
}

func (e *staleError) Is(target error) bool { return target == ErrStale }

// refusal returns why a policy or a guard record is refused: it is newer, or
// else it is damaged.
func refusal(err error) error {
	if errors.Is(err, crypt.ErrTooNew) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// translate maps the sentinels of the layers below to this package's, keeping
// the whole chain.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, m := range [...]struct{ from, to error }{
		{catalog.ErrInUse, ErrInUse},
		{catalog.ErrNotExist, ErrNotExist},
		{catalog.ErrNotDatabase, ErrNotDatabase},
		{catalog.ErrTooNew, ErrTooNew},
		{wal.ErrTooNew, ErrTooNew},
		{pager.ErrTooNew, ErrTooNew},
		{crypt.ErrTooNew, ErrTooNew},
		{catalog.ErrCorrupt, ErrCorrupt},
		{wal.ErrCorrupt, ErrCorrupt},
		{pager.ErrCorrupt, ErrCorrupt},
		{pager.ErrNotRun, ErrCorrupt},
		{crypt.ErrWrongKey, ErrCorrupt}, // the DEK was checked: the file is another's, or its header was edited
		{crypt.ErrNoEpoch, ErrCorrupt},
		{wal.ErrNoRoom, ErrDiskFull},
		{catalog.ErrNoRoom, ErrDiskFull},
		{wal.ErrFailed, ErrFailed},
		{catalog.ErrFailed, ErrFailed},
		{wal.ErrStale, ErrStale},
		{guard.ErrClosed, ErrClosed},
	} {
		if errors.Is(err, m.from) && !errors.Is(err, m.to) {
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return err
}
