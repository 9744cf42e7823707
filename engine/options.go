package engine

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/scrub"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// Limits of records and transactions, in bytes.
const (
	KeySizeMax   = 32 << 10
	ValueSizeMax = 64 << 20

	// TxSizeMax is what the writes of one transaction may take. They are held in
	// the transaction's memory; while it commits, in the memtable too, and in the
	// log's buffer while its frame is written: at most three times, all outside
	// the Go heap but for what is smaller than 4 KiB.
	TxSizeMax = 1 << 30
)

// Defaults of Options, in bytes.
const (
	DefaultCacheSize    = 64 << 20
	DefaultMemtableSize = 64 << 20
)

// Policy is what an organization decides about its key when its database is
// created. Its zero value takes the defaults: probed every minute within 10 s,
// no grace, wiped after 4 h, never erased.
type Policy = guard.Policy

// OnDeadline chooses what follows when the key stays away for Policy.Deadline.
type OnDeadline = guard.OnDeadline

// What follows at the deadline.
const (
	Pause = guard.Pause // memory is wiped; the key brings everything back
	Erase = guard.Erase // data are destroyed, after denials over the whole deadline
)

// State is the state of the key's guard.
type State = guard.State

// The states of the guard.
const (
	Active    = guard.Active
	Suspended = guard.Suspended
	Paused    = guard.Paused
	Erased    = guard.Erased
)

// Event is a transition of the guard.
type Event = guard.Event

// Cache is a page cache that several databases may share; NewCache makes one.
type Cache = pager.Cache

// NewCache returns a page cache with a fixed budget in bytes. Close it after
// the databases that use it.
func NewCache(budget int64) (*Cache, error) { return pager.NewCache(budget) }

// SyncMode chooses when a commit is durable.
type SyncMode uint8

const (
	// SyncFull makes a commit durable before it returns: it survives power loss.
	SyncFull SyncMode = iota

	// SyncInterval makes commits durable within SyncPeriod. A crash loses at
	// most the last commits of that time, never part of one, never an earlier one.
	SyncInterval

	// SyncOff leaves it to flushes and Close. For loads that can be repeated:
	// a crash loses the last commits, never part of one.
	SyncOff
)

// SyncPeriod is the bound on what SyncInterval can lose.
const SyncPeriod = 100 * time.Millisecond

// Compression says how pages of new runs are compressed before they are sealed. A
// page that does not shrink is stored as it is. A database may have runs of all.
type Compression uint8

const (
	// CompressFast is S2.
	CompressFast Compression = iota

	// CompressMore is zstd in the last level, where most of a database is, and S2
	// above it. Compactions and reads past the cache take longer.
	CompressMore

	// CompressNone lets sizes on disk tell nothing of contents: else they show how
	// alike values are.
	CompressNone
)

// of returns the pager's compression for runs of a level.
func (c Compression) of(level uint8) pager.Compression {
	switch {
	case c == CompressNone:
		return pager.None
	case c == CompressMore && level == lastLevel:
		return pager.Zstd
	default:
		return pager.S2
	}
}

// Options are the settings of one opening. The zero value is safe; nil means
// the zero value.
type Options struct {
	// MustExist refuses to create a database: ErrNotExist.
	MustExist bool

	// MustCreate refuses to open an existing database: ErrExist.
	MustCreate bool

	// MinPosition is a position that the database had before, from DB.Position.
	// An older state of it is refused with ErrStale, and so is one that a copy
	// went on to. The zero Position asks for nothing.
	MinPosition Position

	// Policy is used when the database is created; an existing one keeps its own.
	Policy Policy

	// CacheSize is the page cache's budget in bytes, DefaultCacheSize if 0. It
	// is not used when Cache or Fleet is set.
	CacheSize int64

	// Cache is shared with other databases.
	Cache *Cache

	// Fleet keeps time for the key's guard beside those of other databases, and
	// has the page cache, unless Cache is set. Without one the database has its own.
	Fleet *Fleet

	// MemtableSize is how many bytes of recent writes stay in memory before
	// they are flushed to a run, DefaultMemtableSize if 0. Up to three times
	// as much is used while a flush goes on.
	MemtableSize int64

	// SpillMax is how many bytes all temporary files of the database may hold
	// together, see NewSpill. 0: what the disk has room for.
	SpillMax int64

	// PageSize is the logical size of pages in new runs: 4 to 64 KiB, 16 KiB if 0.
	PageSize int

	// Compression is that of new runs and temporary files. What is stored
	// already changes as it is compacted; Compact does it at once if there is
	// anything to merge.
	Compression Compression

	// RotateEvery makes a new data key by itself when the newest is so old, as
	// RotateKey does. At least an hour, since each rotation writes the whole
	// database anew; 0 leaves it to RotateKey.
	RotateEvery time.Duration

	// Sync chooses when commits are durable.
	Sync SyncMode

	// Logger receives transitions of the key and background faults. Silent if nil.
	Logger *slog.Logger

	// OnEvent is called for every transition of the key's guard, from one
	// goroutine, and must return soon.
	OnEvent func(Event)

	fs          vfs.FS       // tests: a file system that fails or crashes
	clock       clock.Clock  // tests: a bubble's clock
	segmentSize int64        // tests: small log segments; 0 = the log's default
	scrub       func() error // tests that open and close a thousand times: less than a scrub of the whole heap
}

// rotateEveryMin is the least of Options.RotateEvery.
const rotateEveryMin = time.Hour

// check refuses settings that would be found wrong only later.
func (o *Options) check() error {
	switch {
	case o.RotateEvery != 0 && o.RotateEvery < rotateEveryMin:
		return fmt.Errorf("Options.RotateEvery is %v; it is 0 or at least %v", o.RotateEvery, rotateEveryMin)
	case o.PageSize != 0 && (o.PageSize < pager.PageSizeMin || o.PageSize > pager.PageSizeMax):
		return fmt.Errorf("Options.PageSize is %d; it is 0 or from %d to %d", o.PageSize, pager.PageSizeMin, pager.PageSizeMax)
	case o.MemtableSize < 0:
		return fmt.Errorf("Options.MemtableSize is %d; it is 0 or more", o.MemtableSize)
	case o.SpillMax < 0:
		return fmt.Errorf("Options.SpillMax is %d; it is 0 or more", o.SpillMax)
	case o.Compression > CompressNone:
		return fmt.Errorf("Options.Compression is %d, which there is none of", o.Compression)
	case o.Sync > SyncOff:
		return fmt.Errorf("Options.Sync is %d, which there is none of", o.Sync)
	default:
		return nil
	}
}

// withDefaults returns a copy with every zero field set.
func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.CacheSize == 0 {
		out.CacheSize = DefaultCacheSize
	}
	if out.MemtableSize == 0 {
		out.MemtableSize = DefaultMemtableSize
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.fs == nil {
		out.fs = vfs.OS()
	}
	if out.Fleet != nil {
		out.clock = out.Fleet.sched.Clock() // leases count in the scheduler's time
	}
	if out.scrub == nil {
		out.scrub = scrub.Heap
	}
	if out.clock == nil {
		out.clock = clock.System()
	}
	return out
}
