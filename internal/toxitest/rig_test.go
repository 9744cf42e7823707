package toxitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

// policy is short, so that the bound is waited for in a moment, and long enough
// for a machine that does other things.
var policy = engine.Policy{ProbeInterval: 300 * time.Millisecond, ProbeTimeout: 800 * time.Millisecond, Deadline: time.Minute}

// nParallel tests run at a time, whatever the number of processors: they wait.
const nParallel = "6"

const (
	recoveryMax = 20 * time.Second // fails the test; recovery takes about a second
	callMax     = 5 * time.Second  // of calls that are expected to succeed
	pollEvery   = 5 * time.Millisecond
	nRows       = 100
)

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // of toxics
	flag.Parse()
	if err := flag.Set("test.parallel", nParallel); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// rig is a development KMS behind a proxy, with a database under its key.
type rig struct {
	t     *testing.T
	kms   *devkms.Server
	url   string // of the KMS, past the proxy
	proxy *toxiproxy.Proxy
	arn   string
	dir   string
	key   crypt.Provider
	db    *engine.DB

	policy engine.Policy
}

// newRig starts it for a toxic. Where that does no harm, probes have time however
// busy the machine is.
func newRig(t *testing.T, x toxic) *rig {
	t.Helper()
	s, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	t.Cleanup(hs.CloseClientConnections)
	arn, err := s.CreateMultiRegionKey()
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "kms", "127.0.0.1:0", strings.TrimPrefix(hs.URL, "http://"))
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	r := &rig{t: t, kms: s, url: hs.URL, proxy: proxy, arn: arn, dir: filepath.Join(t.TempDir(), "a.byok"), policy: policy}
	if x.class == harmless {
		r.policy.ProbeTimeout = callMax
	}
	r.use("awskms:" + arn + "?endpoint=http://" + proxy.Listen)
	return r
}

// use changes the provider.
func (r *rig) use(uri string) {
	r.t.Helper()
	key, err := keyuri.Open(r.t.Context(), uri)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = key.Close() })
	r.key = key
}

// open opens the database, which is verified and closed at the end of the test.
func (r *rig) open() error {
	ctx, cancel := context.WithTimeout(r.t.Context(), callMax)
	defer cancel()
	db, err := engine.Open(ctx, r.dir, r.key, &engine.Options{Policy: r.policy})
	if err == nil {
		r.db = db
	}
	return err
}

// mustOpen opens the database over a sound network. On a busy machine that may
// take more than a probe's time, and is done again then.
func (r *rig) mustOpen() {
	r.t.Helper()
	r.await("open", r.open)
}

func (r *rig) fill() {
	r.t.Helper()
	r.await("fill", func() error { return r.unlessBusy(r.db.Update(fill)) })
}

func fill(tx *engine.Tx) error {
	c, err := tx.CreateCollectionIfNotExists("rows")
	if err != nil {
		return err
	}
	for i := range nRows {
		if err := c.Put([]byte{byte(i)}, []byte(strings.Repeat("v", i))); err != nil {
			return err
		}
	}
	return nil
}

// read reads one row.
func (r *rig) read() error {
	return r.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection("rows")
		if err != nil {
			return err
		}
		v, err := c.Get([]byte{7})
		if err == nil && string(v) != "vvvvvvv" {
			err = errors.New("another value")
		}
		return err
	})
}

// poison adds a toxic, or stops the proxy.
func (r *rig) poison(x toxic) {
	r.t.Helper()
	if x.kind == down {
		r.proxy.Stop()
		return
	}
	streams := []string{x.stream}
	if x.stream == both {
		streams = []string{"upstream", "downstream"}
	}
	for _, stream := range streams {
		b, err := json.Marshal(map[string]any{"type": x.kind, "stream": stream, "attributes": x.attributes})
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.proxy.Toxics.AddToxicJson(bytes.NewReader(b)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// cure makes the network sound again.
func (r *rig) cure() {
	r.t.Helper()
	r.proxy.Toxics.ResetToxics(context.Background())
	if !r.proxy.Enabled {
		if err := r.proxy.Start(); err != nil {
			r.t.Fatal(err)
		}
	}
}

// refusal returns what is wrong with an error of the key: its class, or what the
// provider said.
func (r *rig) refusal(err error, x toxic) error {
	ke, ok := errors.AsType[*engine.KeyError](err)
	if !ok || !errors.Is(err, engine.ErrKeyUnavailable) {
		return fmt.Errorf("got %v, want a *KeyError", err) //nolint:errorlint // it may be nil
	}
	if ke.Class != x.class || ke.KeyID != r.arn || ke.Since.IsZero() {
		return fmt.Errorf("class %s of %s since %v, want %s", ke.Class, ke.KeyID, ke.Since, x.class)
	}
	pe, ok := errors.AsType[*crypt.ProviderError](err)
	if ok && x.code == "Timeout" && pe.Op == "probe" && strings.HasPrefix(pe.Detail, "no answer within") {
		return nil
	}
	if !ok || pe.Code != x.code || !strings.Contains(pe.Detail, x.detail) {
		return fmt.Errorf("the provider said %v, want code %s, %q", err, x.code, x.detail)
	}
	return nil
}

func (r *rig) wantRefusal(err error, x toxic) {
	r.t.Helper()
	if err := r.refusal(err, x); err != nil {
		r.t.Error(err)
	}
}

// await polls until fn succeeds.
func (r *rig) await(what string, fn func() error) {
	r.t.Helper()
	end := time.NewTimer(recoveryMax)
	defer end.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := fn()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			r.t.Fatalf("%s: still %v after %v", what, err, recoveryMax)
		}
	}
}

// sound checks that nothing half-made was left: the open database is whole, and
// so is its directory, which opens again with all rows.
func (r *rig) sound() {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	r.await("verify", func() error { return r.unlessBusy(r.db.Verify(ctx)) })
	if err := r.db.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.await("verify the directory", func() error {
		_, err := engine.VerifyDir(ctx, r.dir, r.key, nil)
		return r.unlessBusy(err)
	})
	r.mustOpen()
	r.await("read all rows", func() error { return r.unlessBusy(r.readAll()) })
	if err := r.db.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

// unlessBusy returns an error to wait for the end of, when it is of the key, and
// fails the test with any other.
func (r *rig) unlessBusy(err error) error {
	r.t.Helper()
	if err != nil && !errors.Is(err, engine.ErrKeyUnavailable) {
		r.t.Fatal(err)
	}
	return err
}

// readAll counts the rows.
func (r *rig) readAll() error {
	return r.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection("rows")
		if err != nil {
			return err
		}
		n, cur := 0, c.Cursor(nil, nil)
		for cur.Next() {
			n++
		}
		if err := errors.Join(cur.Err(), cur.Close()); err != nil {
			return err
		}
		if n != nRows {
			return fmt.Errorf("%d rows, want %d", n, nRows)
		}
		return nil
	})
}

// disable disables a key past the proxy, as its owner would.
func (r *rig) disable(arn string) error { return admin.Disable(r.t.Context(), r.url, arn) }
