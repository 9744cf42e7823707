package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
)

var (
	metricName  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	metricLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// parseExposition reads the text format of Prometheus, and is strict about it:
// HELP and TYPE come once, before all samples of a name, which are together; no
// sample comes twice.
func parseExposition(text string) (samples map[string]float64, types map[string]string, err error) {
	samples, types = map[string]float64{}, map[string]string{}
	if !strings.HasSuffix(text, "\n") {
		return nil, nil, errors.New("the last line does not end")
	}
	help, current := "", ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		bad := func(what string) error { return fmt.Errorf("line %d: %s: %q", i+1, what, line) }
		switch {
		case strings.HasPrefix(line, "# HELP "):
			name, words, _ := strings.Cut(line[len("# HELP "):], " ")
			if !metricName.MatchString(name) || words == "" || types[name] != "" || help != "" {
				return nil, nil, bad("help")
			}
			help = name
		case strings.HasPrefix(line, "# TYPE "):
			name, kind, _ := strings.Cut(line[len("# TYPE "):], " ")
			if name != help || kind != "counter" && kind != "gauge" || (kind == "counter") != strings.HasSuffix(name, "_total") {
				return nil, nil, bad("type")
			}
			types[name], current, help = kind, name, ""
		default:
			name, labels, value, ok := parseSample(line)
			v, perr := strconv.ParseFloat(value, 64)
			key := name + fmt.Sprint(labels)
			_, twice := samples[key]
			if !ok || perr != nil || name != current || twice || math.IsNaN(v) || types[name] == "counter" && v < 0 {
				return nil, nil, bad("sample")
			}
			samples[key] = v
		}
	}
	if help != "" {
		return nil, nil, errors.New("help without a type")
	}
	return samples, types, nil
}

// parseSample takes NAME{LABEL="VALUE",…} VALUE apart.
func parseSample(line string) (name string, labels map[string]string, value string, ok bool) {
	name, rest, ok := strings.Cut(line, "{")
	if !ok || !metricName.MatchString(name) {
		return "", nil, "", false
	}
	labels = map[string]string{}
	for {
		label, after, ok := strings.Cut(rest, `="`)
		if !ok || !metricLabel.MatchString(label) {
			return "", nil, "", false
		}
		var b strings.Builder
		i := 0
		for ; i < len(after) && after[i] != '"'; i++ {
			if after[i] != '\\' {
				b.WriteByte(after[i])
				continue
			}
			if i++; i == len(after) {
				return "", nil, "", false
			}
			switch after[i] {
			case '\\', '"':
				b.WriteByte(after[i])
			case 'n':
				b.WriteByte('\n')
			default:
				return "", nil, "", false
			}
		}
		if i == len(after) {
			return "", nil, "", false
		}
		labels[label] = b.String()
		rest = after[i+1:]
		switch {
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		case strings.HasPrefix(rest, "} "):
			return name, labels, rest[2:], true
		default:
			return "", nil, "", false
		}
	}
}

// metricsOf returns a database's samples by name and label value.
func metricsOf(t *testing.T, db *DB) func(name string, label ...string) (float64, bool) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteMetrics(&b, db.Metrics()); err != nil {
		t.Fatal(err)
	}
	samples, types, err := parseExposition(b.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(types) < 10 {
		t.Errorf("%d names", len(types))
	}
	return func(name string, label ...string) (float64, bool) {
		labels := map[string]string{"database": db.clear.Database.String()}
		if len(label) == 2 {
			labels[label[0]] = label[1]
		}
		v, ok := samples[name+fmt.Sprint(labels)]
		return v, ok
	}
}

func TestMetrics(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{Deadline: 10 * time.Minute}, Options{})
		for i := range 7 {
			put(t, db, "c\nsecret", "k", fmt.Sprint(i))
		}
		mustGet(t, db, "c\nsecret", "k", "6")
		expect := func(want float64, name string, label ...string) {
			t.Helper()
			if v, ok := metricsOf(t, db)(name, label...); !ok || v != want {
				t.Errorf("%s %v is %v, %v; want %v", name, label, v, ok, want)
			}
		}
		expect(1, "byokdb_key_state", "state", "active")
		expect(0, "byokdb_key_state", "state", "suspended")
		expect(70, "byokdb_key_lease_seconds")
		expect(70, "byokdb_key_bound_seconds")
		expect(7, "byokdb_commits_total")
		expect(7, "byokdb_durable_commits_total")
		expect(1, "byokdb_collections")
		expect(0, "byokdb_failed")
		expect(0, "byokdb_key_failing", "class", "denied")
		time.Sleep(30 * time.Second)
		expect(40, "byokdb_key_lease_seconds")
		key.set(crypt.ClassDenied)
		time.Sleep(time.Minute)
		expect(1, "byokdb_key_state", "state", "suspended")
		expect(1, "byokdb_key_failing", "class", "denied")
		expect(0, "byokdb_key_lease_seconds")
		expect(1, "byokdb_key_suspensions_total")
		if v, ok := metricsOf(t, db)("byokdb_key_failures_total", "class", "denied"); !ok || v < 2 {
			t.Errorf("%v failures, %v", v, ok)
		}
		since, _ := metricsOf(t, db)("byokdb_key_unavailable_since_timestamp_seconds")
		wipe, ok := metricsOf(t, db)("byokdb_key_wipe_timestamp_seconds")
		if !ok || math.Abs(wipe-since-600) > 1 {
			t.Errorf("unavailable since %v, wiped at %v, %v", since, wipe, ok)
		}
		time.Sleep(10 * time.Minute)
		expect(1, "byokdb_key_state", "state", "paused")
		expect(1, "byokdb_key_pauses_total")
		if v, ok := metricsOf(t, db)("byokdb_commits_total"); ok { // not 0: that would be a counter that went back
			t.Errorf("%v commits while memory is wiped", v)
		}
		key.set(crypt.ClassNone)
		time.Sleep(time.Minute)
		expect(1, "byokdb_key_state", "state", "active")
		expect(1, "byokdb_key_resumes_total")
		expect(7, "byokdb_commits_total")
		if text := db.Metrics().String(); strings.Contains(text, "secret") {
			t.Errorf("customers' names are in it: %s", text)
		}
	})
}

// TestMetricsOfSeveral writes several databases at once: each name once.
func TestMetricsOfSeveral(t *testing.T) {
	odd := Metrics{database: "a \"b\" \\ \n c"}
	odd.gauge("failed", "back\\slash and\nline", 1.5)
	odd.set("key_state", "h", "state", "q\"", "q\"", "\\n", "\n")
	a := openTest(t, t.TempDir(), newFakeKey("k"), nil)
	b := openTest(t, t.TempDir(), newFakeKey("k"), nil)
	var out bytes.Buffer
	if err := WriteMetrics(&out, a.Metrics(), odd, b.Metrics(), Metrics{}); err != nil {
		t.Fatal(err)
	}
	samples, _, err := parseExposition(out.String())
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"database": odd.database}
	if samples["byokdb_failed"+fmt.Sprint(labels)] != 1.5 {
		t.Error("a value is lost")
	}
	for state, want := range map[string]float64{"q\"": 1, "\\n": 0, "\n": 0} {
		labels["state"] = state
		if v, ok := samples["byokdb_key_state"+fmt.Sprint(labels)]; !ok || v != want {
			t.Errorf("state %q is %v, %v", state, v, ok)
		}
	}
	for _, bad := range []string{
		"", "x 1", "x{} 1\n", "# TYPE x gauge\nx{a=\"b\"} 1\n", "# HELP x h\n# TYPE x gauge\nx{a=\"b\"} one\n",
		"# HELP x h\n# TYPE x counter\nx{a=\"b\"} 1\n", "# HELP x h\n# TYPE x gauge\nx{a=\"b\"} 1\nx{a=\"b\"} 2\n",
		"# HELP x h\n# TYPE x gauge\nx{a=\"b} 1\n", "# HELP x h\n# TYPE x gauge\nx{a=\"\\x\"} 1\n", "# HELP x h\n",
	} {
		if _, _, err := parseExposition(bad); err == nil {
			t.Errorf("the parser takes %q", bad)
		}
	}
}

// TestVar publishes metrics, which must be JSON at any time, also after Close.
func TestVar(t *testing.T) {
	key := newFakeKey("k")
	db := openTest(t, t.TempDir(), key, nil)
	put(t, db, "c", "k", "v")
	expvar.Publish("byokdb-test", db.Var())
	read := func() map[string]any {
		var out map[string]any
		if err := json.Unmarshal([]byte(expvar.Get("byokdb-test").String()), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := read()
	put(t, db, "c", "k", "w")
	second := read()
	if first["byokdb_commits_total"] != 1.0 || second["byokdb_commits_total"] != 2.0 || first["database"] != db.clear.Database.String() {
		t.Errorf("%v, then %v", first, second)
	}
	if state, ok := second["byokdb_key_state"].(map[string]any); !ok || state["active"] != 1.0 {
		t.Errorf("the state is %v", second["byokdb_key_state"])
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if after := read(); after["byokdb_commits_total"] != nil {
		t.Errorf("after Close: %v", after)
	}
}
