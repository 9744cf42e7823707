package engine

import (
	"context"
	"errors"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// KeyStatus is the state of the customer's key and what follows from it.
type KeyStatus struct {
	State       State         `json:"state"`
	Class       crypt.Class   `json:"class"` // of the last failure
	KeyID       string        `json:"key_id"`
	URI         string        `json:"uri"`
	Development bool          `json:"development"` // the key protects nothing
	Since       time.Time     `json:"since,omitzero"`
	WipeAt      time.Time     `json:"wipe_at,omitzero"`
	LastGood    time.Time     `json:"last_good,omitzero"` // when the last good probe was sent
	NextProbe   time.Time     `json:"next_probe,omitzero"`
	LeaseUntil  time.Time     `json:"lease_until,omitzero"`
	Message     string        `json:"message,omitempty"` // what the provider said
	RequestID   string        `json:"request_id,omitempty"`
	Bound       time.Duration `json:"bound_ns"` // from the KMS refusing to the database refusing
	Policy      Policy        `json:"policy"`
	Counters    KeyCounters   `json:"counters"`
}

// KeyCounters count what the guard has done since the database was opened.
type KeyCounters = guard.Counters

// WipeReport says what the last wipe of memory found and wiped.
type WipeReport struct {
	At            time.Time `json:"at"`
	Transactions  int       `json:"transactions"`   // open ones, ended
	Runs          int       `json:"runs"`           // whose file keys were wiped
	MemtableBytes int64     `json:"memtable_bytes"` // of recent writes
	CacheBytes    int64     `json:"cache_bytes"`    // of decoded pages
	HeapScrubbed  bool      `json:"heap_scrubbed"`  // dead objects of the Go heap are cleared
	HeapScrubs    int       `json:"heap_scrubs"`    // how often: a pause does it again after two seconds
}

// Status is what a database says of itself at one moment. Sizes are in bytes.
type Status struct {
	Dir           string         `json:"dir"`
	Database      crypt.ID       `json:"database"`
	FormatVersion int            `json:"format_version"`
	Created       time.Time      `json:"created"`
	Key           KeyStatus      `json:"key"`
	Failed        string         `json:"failed,omitempty"`    // why writes are refused
	DiskFull      string         `json:"disk_full,omitempty"` // what waits for room
	Generation    uint64         `json:"generation"`
	Commit        uint64         `json:"commit"`            // number of the last commit that readers see
	Durable       uint64         `json:"durable_commit"`    // number of the last one that survives power loss
	Position      Position       `json:"position,omitzero"` // as DB.Position returns it
	Collections   int            `json:"collections"`
	Runs          int            `json:"runs"`
	RunsPerLevel  []int          `json:"runs_per_level,omitempty"`
	RunBytes      int64          `json:"run_bytes"`
	PinnedBytes   int64          `json:"pinned_bytes"` // of replaced runs that open snapshots still read
	LogBytes      int64          `json:"log_bytes"`
	Flushing      int            `json:"flushing"`   // full memtables that wait for their flush
	Compacting    int            `json:"compacting"` // compactions under way
	Delays        int64          `json:"delays"`     // how often writers were slowed, so that the tree keeps up
	Delayed       time.Duration  `json:"delayed_ns"` // for how long in all
	MemtableBytes int64          `json:"memtable_bytes"`
	BytesWritten  int64          `json:"bytes_written"` // to the log and runs since the database was opened
	Syncs         int64          `json:"syncs"`         // of files and directories, since then
	CacheBytes    int64          `json:"cache_bytes"`
	CacheBudget   int64          `json:"cache_budget"`
	CacheHits     uint64         `json:"cache_hits"`
	CacheMisses   uint64         `json:"cache_misses"`
	Snapshots     int            `json:"snapshots"`   // held by transactions
	SpillBytes    int64          `json:"spill_bytes"` // in temporary files of open transactions
	Rotation      RotationStatus `json:"rotation"`
	LastWipe      *WipeReport    `json:"last_wipe,omitempty"`
}

// Status never fails and never waits for the KMS, whatever the state of the key.
// What belongs to the data is zero while memory is wiped.
func (db *DB) Status() Status {
	g := db.guard.Status()
	c := db.cache.Stats()
	st := Status{
		Dir: db.dir, Database: db.clear.Database, FormatVersion: int(db.clear.FormatVersion), Created: db.clear.Created,
		Key: KeyStatus{
			State: g.State, Class: g.Class, KeyID: db.clear.KeyID, URI: db.clear.KeyURI, Development: db.clear.Development,
			Since: g.Since, WipeAt: g.WipeAt, LastGood: g.LastGood, NextProbe: g.NextProbe, LeaseUntil: g.LeaseUntil,
			Message: g.Message, RequestID: g.RequestID, Bound: db.policy.Bound(), Policy: db.policy, Counters: g.Counters,
		},
		CacheBytes: c.Bytes, CacheBudget: c.Budget, CacheHits: c.Hits, CacheMisses: c.Misses,
		Snapshots: int(db.nViews.Load()), SpillBytes: db.spilled.Load(), BytesWritten: db.traffic.Written(), Syncs: db.traffic.Syncs(),
	}
	db.txMu.Lock()
	s, w := db.session, db.lastly
	db.txMu.Unlock()
	st.Rotation = db.rotation(s)
	if w != nil {
		st.LastWipe = &WipeReport{
			At: w.At, Transactions: w.Transactions, Runs: w.Runs, MemtableBytes: w.MemtableBytes,
			CacheBytes: w.CacheBytes, HeapScrubbed: w.HeapErr == nil, HeapScrubs: w.Scrubs,
		}
	}
	if s != nil {
		s.status(&st)
		if p, err := s.position(); err == nil {
			st.Position = p
		}
	}
	return st
}

func (s *session) status(st *Status) {
	s.manifestMu.Lock()
	if s.manifest != nil {
		st.Generation = s.manifest.Generation
	}
	s.manifestMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil { // wiped in between
		return
	}
	if s.failed != nil {
		st.Failed = s.failed.Error()
	}
	if err := s.full.why(); err != nil {
		st.DiskFull = err.Error()
	}
	st.Commit, st.Durable, st.Collections = s.visible, s.durable, len(s.shown.ids)
	st.MemtableBytes = s.mem.Bytes()
	for _, t := range s.frozen {
		st.MemtableBytes += t.Bytes()
	}
	for l := range s.version.levels {
		st.Runs += len(s.version.levels[l])
		st.RunBytes += s.version.size(l)
		st.RunsPerLevel = append(st.RunsPerLevel, len(s.version.levels[l]))
	}
	st.LogBytes, st.PinnedBytes = s.logBytes, s.pinned.Load()
	st.Flushing, st.Compacting = len(s.frozen), len(s.claims)
	st.Delays, st.Delayed = s.nDelays, s.delayed
}

// ProbeKey probes the key at once and returns what came of it: nil, or a
// *KeyError.
func (db *DB) ProbeKey(ctx context.Context) error {
	select {
	case <-db.closing:
		return ErrClosed
	default:
	}
	err := db.guard.ProbeNow(ctx)
	var ke *KeyError
	if !errors.As(db.keyError(err, guard.Record{}), &ke) {
		return translate(err)
	}
	if refusal := db.guard.Check(); errors.Is(refusal, ErrKeyUnavailable) {
		return refusal // it knows since when, and when memory will be wiped
	}
	ke.State = db.guard.Status().State // an outage within the grace: the database serves on
	return ke
}

// Info is what a database shows without its key. It holds no customer data.
type Info struct {
	Dir              string        `json:"dir"`
	Database         crypt.ID      `json:"database"`
	FormatVersion    int           `json:"format_version"`
	Created          time.Time     `json:"created"`
	KeyID            string        `json:"key_id"`
	KeyURI           string        `json:"key_uri"`
	Development      bool          `json:"development"`
	Policy           Policy        `json:"policy"`
	Epochs           int           `json:"epochs"` // wrapped DEKs
	State            State         `json:"state"`  // the last one recorded
	Class            crypt.Class   `json:"class"`  // of the last failure recorded
	Message          string        `json:"message,omitempty"`
	RequestID        string        `json:"request_id,omitempty"`      // the KMS's, of that failure
	FirstDenied      time.Time     `json:"first_denied,omitzero"`     // since the key last answered
	FirstDeniedID    string        `json:"first_denied_id,omitempty"` // the KMS's request id of that denial
	DeniedFor        time.Duration `json:"denied_for_ns,omitempty"`   // that the KMS was seen to deny
	UnavailableSince time.Time     `json:"unavailable_since,omitzero"`
	LastGood         time.Time     `json:"last_good,omitzero"`
	Erased           time.Time     `json:"erased,omitzero"`
}

// Stat reads what the database in dir shows without its key. It takes no lock:
// another process may have the database open.
// Errors: ErrNotExist, ErrNotDatabase, ErrTooNew, ErrCorrupt.
func Stat(dir string) (*Info, error) {
	c, err := catalog.Read(vfs.OS(), dir)
	if err != nil {
		return nil, translate(err)
	}
	i, err := infoOfContents(dir, c)
	if err != nil {
		return nil, err
	}
	return i, nil
}
