package engine

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// Metrics is what a database counts and measures, at one moment, under names
// that stay: they begin with byokdb_, are in base units (seconds, bytes), and end
// with _total where they only grow. A counter begins at 0 when the database is
// opened, some when its key comes back; commits count from its creation. It holds
// no customer data.
//
// What needs the key's session is left out while memory is wiped.
type Metrics struct {
	database string
	families []metricFamily
}

// A metricFamily is the samples of one name.
type metricFamily struct {
	name, help string
	counter    bool
	label      string // of the samples beside the database, "" for none
	samples    []metricSample
}

type metricSample struct {
	label string // its value
	value float64
}

// Metrics returns a snapshot for a monitoring system. WriteMetrics writes it for
// Prometheus; Var is for package expvar.
func (db *DB) Metrics() Metrics {
	st := db.Status()
	m := newMetrics(st.Database, st.FormatVersion)
	m.key(&st.Key, db.clock.Now())
	m.counters(&st.Key.Counters)
	m.gauge("cache_bytes", "Decoded pages in the cache, which databases may share.", float64(st.CacheBytes))
	m.gauge("cache_budget_bytes", "Limit of the cache.", float64(st.CacheBudget))
	m.count("cache_hits_total", "Pages found in the cache.", float64(st.CacheHits))
	m.count("cache_misses_total", "Pages read from the disk.", float64(st.CacheMisses))
	m.count("written_bytes_total", "Bytes written to the log and to runs.", float64(st.BytesWritten))
	m.count("syncs_total", "Syncs of files and directories.", float64(st.Syncs))
	m.gauge("snapshots", "Snapshots that are held.", float64(st.Snapshots))
	m.gauge("spill_bytes", "Temporary files of open transactions.", float64(st.SpillBytes))
	m.gauge("data_key_epoch", "Number of the data key that seals new files.", float64(st.Rotation.Epoch))
	m.gauge("data_keys_older", "Older data keys that files are still sealed under.", float64(st.Rotation.Older))
	m.gauge("rotation_bytes", "Files that are still sealed under those.", float64(st.Rotation.Bytes))
	if w := st.LastWipe; w != nil {
		m.gauge("last_wipe_timestamp_seconds", "When memory was wiped last.", seconds(w.At))
	}
	if st.Generation > 0 { // there is a session
		m.storage(&st)
	}
	return m
}

// Metrics is DB.Metrics for a database that is not open here: the key as the
// catalog's record has it.
func (i *Info) Metrics() Metrics {
	m := newMetrics(i.Database, i.FormatVersion)
	m.key(&KeyStatus{
		State: i.State, Class: i.Class, KeyID: i.KeyID, Development: i.Development, Since: i.UnavailableSince,
		LastGood: i.LastGood, Policy: i.Policy, Bound: i.Policy.Bound(),
	}, time.Time{})
	return m
}

func newMetrics(id crypt.ID, format int) Metrics {
	m := Metrics{database: id.String()}
	m.gauge("format_version", "Version of the format on disk.", float64(format))
	return m
}

// key adds the state of the key. now is zero where the state is not of now.
func (m *Metrics) key(k *KeyStatus, now time.Time) {
	m.set("key_state", "1 for the state that the key is in: active, suspended, paused or erased.", "state", k.State.String(),
		Active.String(), Suspended.String(), Paused.String(), Erased.String())
	class := k.Class.String()
	m.set("key_failing", "1 for the class of the key's last failure, all 0 when its last probe was good.", "class", class,
		crypt.ClassDenied.String(), crypt.ClassUnreachable.String(), crypt.ClassCredentials.String(), crypt.ClassTampered.String())
	m.gauge("key_development", "1 when the key is for development and protects nothing.", oneIf(k.Development))
	m.gauge("key_bound_seconds", "Longest time from the KMS refusing to the database refusing.", k.Bound.Seconds())
	m.gauge("key_deadline_seconds", "Time from unavailable to wiped.", k.Policy.Deadline.Seconds())
	m.gauge("key_grace_seconds", "Time that is served on through an outage.", k.Policy.UnreachableGrace.Seconds())
	if !k.LastGood.IsZero() {
		m.gauge("key_last_good_timestamp_seconds", "When the last good probe was sent.", seconds(k.LastGood))
	}
	if !k.Since.IsZero() {
		m.gauge("key_unavailable_since_timestamp_seconds", "Since when the key is unavailable.", seconds(k.Since))
	}
	if !k.WipeAt.IsZero() {
		m.gauge("key_wipe_timestamp_seconds", "When memory will be wiped unless the key answers before, or was.", seconds(k.WipeAt))
	}
	if now.IsZero() {
		return
	}
	lease := 0.0
	if k.State == Active && k.LeaseUntil.After(now) {
		lease = k.LeaseUntil.Sub(now).Seconds()
	}
	m.gauge("key_lease_seconds", "How long the DEK may be used without another good probe; 0 when refused.", lease)
}

// counters adds what the guard has counted.
func (m *Metrics) counters(c *KeyCounters) {
	m.count("key_probes_total", "Probes of the key that finished.", float64(c.Probes))
	m.count("key_probes_saved_total", "Probes that were not sent, since another database under the key asked.", float64(c.ProbesSaved))
	m.counts("key_failures_total", "Probes of the key that failed, and denials heard of, by class.", "class",
		metricSample{crypt.ClassDenied.String(), float64(c.FailuresDenied)},
		metricSample{crypt.ClassUnreachable.String(), float64(c.FailuresUnreachable)},
		metricSample{crypt.ClassCredentials.String(), float64(c.FailuresCredentials)},
		metricSample{crypt.ClassTampered.String(), float64(c.FailuresTampered)})
	m.count("key_shared_denials_total", "Suspensions because another database under the key was denied.", float64(c.SharedDenials))
	m.count("key_suspensions_total", "Times that reads and writes were refused.", float64(c.Suspensions))
	m.count("key_recoveries_total", "Times that the database came back from a suspension.", float64(c.Recoveries))
	m.count("key_pauses_total", "Times that memory was wiped.", float64(c.Pauses))
	m.count("key_resumes_total", "Times that the database came back from a wipe.", float64(c.Resumes))
	m.counts("key_state_seconds_total", "Time spent in each state.", "state",
		metricSample{Active.String(), c.Active.Seconds()},
		metricSample{Suspended.String(), c.Suspended.Seconds()},
		metricSample{Paused.String(), c.Paused.Seconds()},
		metricSample{Erased.String(), c.Erased.Seconds()})
}

// storage adds what needs a session.
func (m *Metrics) storage(st *Status) {
	m.gauge("disk_full", "1 when a flush or a compaction waits for room on the disk.", oneIf(st.DiskFull != ""))
	m.gauge("failed", "1 when writes are refused until the database is opened again.", oneIf(st.Failed != ""))
	m.gauge("generation", "Number of the manifest.", float64(st.Generation))
	m.count("commits_total", "Commits that readers see, since the database was created.", float64(st.Commit))
	m.count("durable_commits_total", "Commits that survive power loss, since the database was created.", float64(st.Durable))
	m.gauge("collections", "Collections.", float64(st.Collections))
	m.gauge("run_bytes", "Size of the runs.", float64(st.RunBytes))
	runs := metricFamily{name: "runs", help: "Runs of each level.", label: "level"}
	for level, n := range st.RunsPerLevel {
		runs.samples = append(runs.samples, metricSample{strconv.Itoa(level), float64(n)})
	}
	m.families = append(m.families, runs)
	m.gauge("log_bytes", "Size of the log.", float64(st.LogBytes))
	m.gauge("memtable_bytes", "Recent writes in memory.", float64(st.MemtableBytes))
	m.gauge("pinned_bytes", "Replaced runs that snapshots still read.", float64(st.PinnedBytes))
	m.gauge("flushes_pending", "Memtables that wait for their flush.", float64(st.Flushing))
	m.gauge("compactions_running", "Compactions under way.", float64(st.Compacting))
	m.count("writer_delays_total", "Commits that were slowed, since the key came.", float64(st.Delays))
	m.count("writer_delay_seconds_total", "Time by which commits were slowed, since the key came.", st.Delayed.Seconds())
}

func (m *Metrics) gauge(name, help string, v float64) {
	m.families = append(m.families, metricFamily{name: name, help: help, samples: []metricSample{{value: v}}})
}

func (m *Metrics) count(name, help string, v float64) {
	m.families = append(m.families, metricFamily{name: name, help: help, counter: true, samples: []metricSample{{value: v}}})
}

// counts adds counters that differ in a label.
func (m *Metrics) counts(name, help, label string, samples ...metricSample) {
	m.families = append(m.families, metricFamily{name: name, help: help, label: label, counter: true, samples: samples})
}

// set adds a gauge that is 1 for one of its label's values, and 0 for the others.
func (m *Metrics) set(name, help, label, is string, all ...string) {
	f := metricFamily{name: name, help: help, label: label}
	for _, v := range all {
		f.samples = append(f.samples, metricSample{v, oneIf(v == is)})
	}
	m.families = append(m.families, f)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds returns seconds since 1970.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// metricsPrefix begins the names.
const metricsPrefix = "byokdb_"

// MetricsType is the Content-Type of what WriteMetrics writes.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

// WriteMetrics writes the metrics of any number of databases in the text format
// of Prometheus. Each sample has the database's id as a label.
func WriteMetrics(w io.Writer, databases ...Metrics) error {
	b := bufio.NewWriter(w)
	var order []*metricFamily
	samples := make(map[string][]string)
	for i := range databases {
		m := &databases[i]
		for j := range m.families {
			f := &m.families[j]
			if samples[f.name] == nil {
				order = append(order, f)
			}
			for _, s := range f.samples {
				samples[f.name] = append(samples[f.name], m.line(f, s))
			}
		}
	}
	for _, f := range order {
		if samples[f.name] == nil {
			continue
		}
		kind := "gauge"
		if f.counter {
			kind = "counter"
		}
		name := metricsPrefix + f.name
		_, _ = b.WriteString("# HELP " + name + " " + helpEscapes.Replace(f.help) + "\n# TYPE " + name + " " + kind + "\n")
		for _, line := range samples[f.name] {
			_, _ = b.WriteString(line) // Flush returns the first error
		}
	}
	return b.Flush()
}

// line returns the line of one sample.
func (m *Metrics) line(f *metricFamily, s metricSample) string {
	line := metricsPrefix + f.name + `{database="` + labelEscapes.Replace(m.database) + `"`
	if f.label != "" {
		line += "," + f.label + `="` + labelEscapes.Replace(s.label) + `"`
	}
	return line + "} " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n"
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// MarshalJSON writes an object: names with numbers, or with objects by label.
func (m Metrics) MarshalJSON() ([]byte, error) {
	out := map[string]any{"database": m.database}
	for _, f := range m.families {
		if f.label == "" {
			out[metricsPrefix+f.name] = f.samples[0].value
			continue
		}
		by := make(map[string]float64, len(f.samples))
		for _, s := range f.samples {
			by[s.label] = s.value
		}
		out[metricsPrefix+f.name] = by
	}
	return json.Marshal(out)
}

// String returns the JSON form.
func (m Metrics) String() string {
	b, err := json.Marshal(m)
	invariant(err == nil, "metrics are numbers and words")
	return string(b)
}

// A MetricsVar is a database's metrics as a variable of package expvar, which are
// read anew each time. It goes on after Close, with what is known then.
type MetricsVar struct{ db *DB }

// Var returns the database's metrics for expvar.Publish.
func (db *DB) Var() MetricsVar { return MetricsVar{db} }

// String returns the metrics of now as JSON.
func (v MetricsVar) String() string { return v.db.Metrics().String() }
