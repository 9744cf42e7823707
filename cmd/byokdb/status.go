package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine"
)

// report is what status prints; times are omitted when they do not apply.
type report struct {
	Dir           string         `json:"dir"`
	Database      string         `json:"database"`
	FormatVersion int            `json:"format_version"`
	Created       *time.Time     `json:"created,omitempty"`
	Key           keyReport      `json:"key"`
	Policy        policyReport   `json:"policy"`
	Storage       *storageReport `json:"storage,omitempty"` // nil while the key is unavailable
	DataKeys      *dataKeyReport `json:"data_keys,omitempty"`
}

// dataKeyReport says which DEKs there are. Sizes are in bytes.
type dataKeyReport struct {
	Newest string     `json:"newest"` // its epoch
	Since  *time.Time `json:"since,omitempty"`
	Older  int        `json:"older"`       // that files are still sealed under
	Files  int        `json:"older_files"` // such files
	Bytes  int64      `json:"older_bytes"`
}

type keyReport struct {
	ID            string     `json:"id"`
	URI           string     `json:"uri"`
	Development   bool       `json:"development"`
	State         string     `json:"state"`
	Class         string     `json:"class,omitempty"`
	Message       string     `json:"message,omitempty"`
	Since         *time.Time `json:"since,omitempty"`
	WipeAt        *time.Time `json:"wipe_at,omitempty"`
	LastGoodProbe *time.Time `json:"last_good_probe,omitempty"`
}

type policyReport struct {
	ProbeInterval    string `json:"probe_interval"`
	ProbeTimeout     string `json:"probe_timeout"`
	Bound            string `json:"bound"`
	Deadline         string `json:"deadline"`
	UnreachableGrace string `json:"unreachable_grace"`
	OnDeadline       string `json:"on_deadline"`
}

type storageReport struct {
	Generation    uint64 `json:"generation"`
	Commit        uint64 `json:"commit"`
	Position      string `json:"position"` // for --min-position and Options.MinPosition
	Collections   int    `json:"collections"`
	Runs          int    `json:"runs"`
	RunBytes      int64  `json:"run_bytes"`
	LogBytes      int64  `json:"log_bytes"`
	MemtableBytes int64  `json:"memtable_bytes"`
	CacheBytes    int64  `json:"cache_bytes"`
	CacheBudget   int64  `json:"cache_budget"`
	Snapshots     int    `json:"snapshots"`
	PinnedBytes   int64  `json:"pinned_bytes"`
	DurableCommit uint64 `json:"durable_commit"`
	Failed        string `json:"failed,omitempty"`
	DiskFull      string `json:"disk_full,omitempty"`
}

func newStatus() *cobra.Command {
	var asJSON, asMetrics, asJournal bool
	cmd := &cobra.Command{
		Use:   "status DIR",
		Short: "Say how the key and the database are",
		Long: `Say how the key and the database are. Works without the key too: it then says what
is known, since when the key is unavailable and when memory is wiped, and exits with 4.

--journal prints every transition of the key that was recorded, to lay beside the KMS's
own log. It needs neither the key nor the database for itself, and exits with 3 when the
journal's chain does not hold.

--metrics writes Prometheus's text format; of a database that another process has open,
or whose key is away, what the catalog recorded of the key.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			switch {
			case asJournal && asMetrics:
				return usagef("--journal and --metrics are two outputs; ask for one")
			case asMetrics && asJSON:
				return usagef("--metrics is a format of its own; leave --json out")
			case asJournal:
				return journal(w, args[0], asJSON, terminalWidth(w)())
			}
			return status(cmd.Context(), w, args[0], asJSON, asMetrics)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object; of the journal, one a line")
	cmd.Flags().BoolVar(&asMetrics, "metrics", false, "write metrics in Prometheus's text format")
	cmd.Flags().BoolVar(&asJournal, "journal", false, "print the journal of the key's transitions")
	return cmd
}

// status prints what is known of dir. Its error is the key's, after the
// report was printed.
func status(ctx context.Context, w io.Writer, dir string, asJSON, asMetrics bool) error {
	info, err := engine.Stat(dir)
	if err != nil {
		return err
	}
	r, m := reportOfInfo(info), info.Metrics()
	write := func() error {
		if asMetrics {
			return engine.WriteMetrics(w, m)
		}
		return r.write(w, asJSON)
	}
	d, openErr := openDir(ctx, dir)
	if openErr == nil {
		r, m = reportOfStatus(d.eng.Status()), d.eng.Metrics()
		r.Created = moment(info.Created)
		if err := d.Close(); err != nil {
			return err
		}
	} else if errors.Is(openErr, engine.ErrInUse) {
		return errors.Join(write(), openErr) // what was last recorded, and who knows more
	} else {
		if exitCode(openErr) != exitUnavailable && !errors.Is(openErr, engine.ErrErased) {
			return openErr
		}
		r.Key.apply(openErr)
		if again, err := engine.Stat(dir); err == nil { // the opening has recorded what it found
			m = again.Metrics()
		}
	}
	if err := write(); err != nil {
		return err
	}
	return openErr
}

func reportOfInfo(i *engine.Info) report {
	r := report{
		Dir: i.Dir, Database: i.Database.String(), FormatVersion: i.FormatVersion, Created: moment(i.Created),
		Key: keyReport{
			ID: i.KeyID, URI: i.KeyURI, Development: i.Development, State: i.State.String(),
			Message: i.Message, Since: moment(i.UnavailableSince), LastGoodProbe: moment(i.LastGood),
		},
		Policy: reportOfPolicy(i.Policy, i.Policy.ProbeInterval+i.Policy.ProbeTimeout),
	}
	if i.Class != crypt.ClassNone {
		r.Key.Class = i.Class.String()
	}
	return r
}

func reportOfStatus(s engine.Status) report {
	k := s.Key
	r := report{
		Dir: s.Dir, Database: s.Database.String(), FormatVersion: s.FormatVersion,
		Key: keyReport{
			ID: k.KeyID, URI: k.URI, Development: k.Development, State: k.State.String(), Message: k.Message,
			Since: moment(k.Since), WipeAt: moment(k.WipeAt), LastGoodProbe: moment(k.LastGood),
		},
		Policy: reportOfPolicy(k.Policy, k.Bound),
		Storage: &storageReport{
			Generation: s.Generation, Commit: s.Commit, Position: s.Position.String(), Collections: s.Collections, Runs: s.Runs,
			RunBytes: s.RunBytes, LogBytes: s.LogBytes, MemtableBytes: s.MemtableBytes,
			CacheBytes: s.CacheBytes, CacheBudget: s.CacheBudget, Snapshots: s.Snapshots, Failed: s.Failed, DiskFull: s.DiskFull,
			PinnedBytes: s.PinnedBytes, DurableCommit: s.Durable,
		},
		DataKeys: &dataKeyReport{
			Newest: s.Rotation.Epoch.String(), Since: moment(s.Rotation.Since), Older: s.Rotation.Older,
			Files: s.Rotation.Files, Bytes: s.Rotation.Bytes,
		},
	}
	if k.Class != crypt.ClassNone {
		r.Key.Class = k.Class.String()
	}
	return r
}

func reportOfPolicy(p engine.Policy, bound time.Duration) policyReport {
	return policyReport{
		ProbeInterval: p.ProbeInterval.String(), ProbeTimeout: p.ProbeTimeout.String(), Bound: bound.String(),
		Deadline: p.Deadline.String(), UnreachableGrace: p.UnreachableGrace.String(), OnDeadline: p.OnDeadline.String(),
	}
}

// apply puts what an error says about the key into the report.
func (k *keyReport) apply(err error) {
	if ke, ok := errors.AsType[*engine.KeyError](err); ok {
		k.State, k.Class, k.Message = ke.State.String(), ke.Class.String(), ke.Message
		if !ke.Since.IsZero() {
			k.Since = moment(ke.Since)
		}
		k.WipeAt = moment(ke.WipeAt)
		return
	}
	if pe, ok := errors.AsType[*crypt.ProviderError](err); ok {
		k.Class, k.Message = pe.Class.String(), pe.Error()
	}
}

func (r report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("database", "%s, format %d", r.Database, r.FormatVersion)
	line("directory", "%s", printable(r.Dir))
	line("key", "%s", keyLabel(r.Key.ID, r.Key.Development))
	line("state", "%s", r.Key.State)
	if r.Key.Class != "" && r.Key.Class != crypt.ClassNone.String() {
		line("class", "%s", r.Key.Class)
	}
	if r.Key.Message != "" {
		line("provider", "%s", printable(r.Key.Message))
	}
	for _, at := range []struct {
		name string
		t    *time.Time
	}{{"since", r.Key.Since}, {"wipe", r.Key.WipeAt}, {"last probe", r.Key.LastGoodProbe}, {"created", r.Created}} {
		if at.t != nil {
			line(at.name, "%s", stamp(*at.t))
		}
	}
	line("bound", "%s from the key's refusal to the database's (probe every %s, %s at most)",
		r.Policy.Bound, r.Policy.ProbeInterval, r.Policy.ProbeTimeout)
	line("deadline", "%s, then %s; grace when unreachable %s", r.Policy.Deadline, r.Policy.OnDeadline, r.Policy.UnreachableGrace)
	if k := r.DataKeys; k != nil {
		line("data key", "%s", k.Newest)
		if k.Older > 0 {
			line("rotation", "%d files, %s, are sealed under %d older data keys still", k.Files, sizeText(k.Bytes), k.Older)
		}
	}
	if s := r.Storage; s != nil {
		line("storage", "%d collections, %d runs of %s, log %s", s.Collections, s.Runs, sizeText(s.RunBytes), sizeText(s.LogBytes))
		line("memory", "cache %s of %s, memtables %s", sizeText(s.CacheBytes), sizeText(s.CacheBudget), sizeText(s.MemtableBytes))
		line("generation", "%d, commit %d", s.Generation, s.Commit)
		line("position", "%s", s.Position)
		if s.PinnedBytes > 0 {
			line("pinned", "%s of replaced runs that %d snapshots still read", sizeText(s.PinnedBytes), s.Snapshots)
		}
		if s.DiskFull != "" {
			line("full", "%s", printable(s.DiskFull))
		}
		if s.Failed != "" {
			line("failed", "%s", printable(s.Failed))
		}
	}
	return nil
}

// moment returns t for JSON, nil when it is zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
