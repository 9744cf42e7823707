package awskms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/devkms"
)

const longSecret = "0123456789012345678901234567890123456789" // FIPS mode wants 14 bytes at least

// How often a request is tried is decided here, whatever the environment says.
func TestAttemptsAreOurs(t *testing.T) {
	noEnvironment(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", longSecret)
	t.Setenv("AWS_MAX_ATTEMPTS", "9")
	t.Setenv("AWS_RETRY_MODE", "adaptive")
	for _, uri := range []string{"awskms:" + testARN, "awskms:" + testARN + "?role_arn=arn:aws:iam::111122223333:role/x"} {
		p, err := Open(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int32
		transport(t, p).DialContext = func(context.Context, string, string) (net.Conn, error) {
			n.Add(1)
			return nil, errors.New("no network in tests")
		}
		wantError(t, p.Check(t.Context()), unreachable, codeNetwork, "")
		if n.Load() != attemptsMax {
			t.Errorf("%s: %d attempts, want %d", uri, n.Load(), attemptsMax)
		}
	}
}

// HTTP/2 keeps answers, and so DEKs, in buffers that outlive the call.
func TestHTTP1WithoutKeptConnections(t *testing.T) {
	w := newWorld(t)
	var conns, other atomic.Int32
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || !r.Close {
			other.Add(1)
		}
		w.kms.ServeHTTP(rw, r)
	})
	endpoint, pool := tlsServer(t, h, func(_ *x509.Certificate, s *tls.Config) {
		s.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { conns.Add(1); return nil, nil }
	})
	w.endpoint = endpoint
	p := w.open(w.arn)
	transport(t, p).TLSClientConfig.RootCAs = pool
	for range 2 {
		if err := p.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if other.Load() != 0 || conns.Load() != 2 {
		t.Errorf("%d requests by HTTP/2 or on a kept connection, %d connections for 2 calls", other.Load(), conns.Load())
	}
	noEnvironment(t)
	real, err := Open(t.Context(), "awskms:"+testARN)
	if err != nil {
		t.Fatal(err)
	}
	if tr := transport(t, real); tr.Protocols == nil || tr.Protocols.HTTP2() || tr.ForceAttemptHTTP2 || !tr.DisableKeepAlives {
		t.Errorf("the transport to AWS: %+v", tr.Protocols)
	}
}

// Credentials that AWS refused are read anew: no restart is needed.
func TestCredentialsAreGotAnew(t *testing.T) {
	noEnvironment(t)
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(id string) {
		t.Helper()
		text := "[default]\naws_access_key_id = " + id + "\naws_secret_access_key = " + longSecret + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("AKIDOLD")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)

	w := newWorld(t)
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Host = "127.0.0.1"
		if strings.Contains(r.Header.Get("Authorization"), "AKIDOLD") {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = rw.Write([]byte(`{"__type":"ExpiredTokenException"}`)) // the client has gone
			return
		}
		w.kms.ServeHTTP(rw, r)
	})
	endpoint, pool := tlsServer(t, h, func(c *x509.Certificate, _ *tls.Config) { c.DNSNames = []string{"kms.eu-west-1.amazonaws.com"} })
	p, err := Open(t.Context(), "awskms:"+w.arn)
	if err != nil {
		t.Fatal(err)
	}
	tr := transport(t, p)
	tr.Proxy = nil
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(endpoint, "https://"))
	}
	tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	for range 2 {
		wantError(t, p.Check(t.Context()), credential, "ExpiredTokenException", "renew")
	}
	write("AKIDNEW")
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	t.Setenv("AWS_PROFILE", "gone") // what works is not read again
	if err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A role session that AWS no longer accepts is replaced, whatever its end.
func TestRoleIsAssumedAnew(t *testing.T) {
	w := newWorld(t)
	loads := 0
	live := &liveCredentials{
		current: credentials.NewStaticCredentialsProvider("a", longSecret, "revoked"),
		load: func(context.Context) (aws.CredentialsProvider, error) {
			loads++
			return credentials.NewStaticCredentialsProvider("a", longSecret, "new"), nil
		},
	}
	w.p.clients.creds, w.p.clients.kms.Credentials = live, live
	if _, err := w.kms.AddFault(devkms.Rule{Fault: devkms.FaultUnrecognized, Times: 1}); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.p.Check(t.Context()), credential, "UnrecognizedClientException", "")
	for range 2 {
		if err := w.p.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
	live.load = func(context.Context) (aws.CredentialsProvider, error) { return nil, errors.New("unreadable") }
	live.renew()
	wantError(t, w.p.Check(t.Context()), credential, codeCredentials, "")
}

// The SDK corrects a clock that is wrong by what the KMS's own shows, once it is
// refused for it; where that does not help it is this program's fault, not the
// customer's denial.
func TestClockSkew(t *testing.T) {
	w := newWorld(t)
	ahead := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name, code string
		heals      bool
		requests   int32
	}{
		{"corrected", "InvalidSignatureException", true, 2},
		{"corrected", "RequestTimeTooSkewed", true, 2},
		{"refused again", "InvalidSignatureException", false, 2},
		{"refused again", "RequestTimeTooSkewed", false, 2},
		{"not retried", "RequestExpired", false, 1},
	} {
		t.Run(tt.name+" "+tt.code, func(t *testing.T) {
			var n atomic.Int32
			hs := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				n.Add(1)
				rw.Header().Set("Date", ahead.UTC().Format(http.TimeFormat))
				signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
				if err == nil && tt.heals && ahead.Sub(signed).Abs() < 5*time.Minute {
					w.kms.ServeHTTP(rw, r)
					return
				}
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = rw.Write([]byte(`{"__type":"` + tt.code + `"}`)) // the client has gone
			}))
			defer hs.Close()
			w.endpoint = hs.URL
			err := w.open(w.arn).Check(t.Context())
			if tt.heals && err != nil {
				t.Error(err)
			}
			if !tt.heals {
				wantError(t, err, credential, tt.code, "clock")
			}
			if n.Load() != tt.requests {
				t.Errorf("%d requests, want %d", n.Load(), tt.requests)
			}
		})
	}
}

// The attempts at STS and at the KMS do not multiply.
func TestAttemptsDoNotMultiply(t *testing.T) {
	var n atomic.Int32
	sts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		rw.WriteHeader(http.StatusServiceUnavailable)
		_, _ = rw.Write([]byte(stsError("ServiceUnavailable"))) // the client has gone
	}))
	defer sts.Close()
	w := newWorld(t)
	cfg := aws.Config{
		Region: "eu-west-1", Retryer: func() aws.Retryer { return newRetryer(time.Millisecond) },
		Credentials: credentials.NewStaticCredentialsProvider("a", longSecret, ""),
	}
	role := target{roleARN: "arn:aws:iam::111122223333:role/byokdb"}
	w.p.clients.kms.Credentials = &liveCredentials{current: assumeRole(cfg, role, w.p.clients.http, sts.URL)}
	wantError(t, w.p.Check(t.Context()), unreachable, "ServiceUnavailable", "")
	if n.Load() != attemptsMax {
		t.Errorf("STS was asked %d times, want %d", n.Load(), attemptsMax)
	}

	n.Store(0)
	p := w.open(w.arn)
	w.kms.SetFault(func(string) devkms.Fault { n.Add(1); return devkms.FaultThrottle })
	wantError(t, p.Check(t.Context()), unreachable, "ThrottlingException", "")
	if n.Load() != attemptsMax {
		t.Errorf("the KMS was asked %d times, want %d", n.Load(), attemptsMax)
	}
}

// An answer that broke off is asked for again.
func TestRetriesBrokenAnswer(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	half := 150
	for op, call := range calls(w, wrapped) {
		if _, err := w.kms.AddFault(devkms.Rule{CutAfter: &half, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if left := w.kms.Faults(); len(left) != 0 {
			t.Errorf("%s: no answer was cut", op)
		}
	}
}

// Request ids go along with failures, for they are what CloudTrail shows.
func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	zero := 0
	for _, u := range []devkms.Rule{
		{Fault: devkms.FaultAccessDenied},
		{Fault: devkms.FaultThrottle},
		{Fault: devkms.FaultInternal},
		{Fault: devkms.FaultNotJSON403},
		{Fault: devkms.FaultEmptyObject},
		{Fault: devkms.FaultWrongKeyID},
		{Fault: devkms.FaultTruncatedJSON},
		{Operations: answering, Fault: devkms.FaultInvalidState},
		{CutAfter: &zero},
	} {
		for op, call := range calls(w, wrapped) {
			w.kms.ClearFaults()
			if _, err := w.kms.AddFault(u); err != nil {
				t.Fatal(err)
			}
			pe, ok := errors.AsType[*crypt.ProviderError](call(t.Context()))
			if !ok || len(pe.RequestID) != 36 {
				t.Errorf("%s with %s: %v", op, u.Fault, pe)
			}
		}
	}
	w.kms.ClearFaults()
	for _, u := range []devkms.Rule{{Fault: devkms.FaultThrottle, Times: 1}, {Fault: devkms.FaultHang}} {
		if _, err := w.kms.AddFault(u); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if pe := providerError(t, w.p.Check(ctx), unreachable, "ThrottlingException", ""); len(pe.RequestID) != 36 {
		t.Errorf("throttled, then hung: %+v", pe)
	}
}

func TestOpenWithReplicasInRegions(t *testing.T) {
	noEnvironment(t)
	p, err := Open(t.Context(), "awskms:"+mrk+"?role_arn=arn:aws:iam::111122223333:role/x&replica="+url.QueryEscape(mrkUS+",https://kms.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	r := p.replicas[0].clients.kms
	if r.Region != "us-east-1" || aws.ToString(r.BaseEndpoint) != "https://kms.example.com" {
		t.Errorf("the replica is asked in %s at %s", r.Region, aws.ToString(r.BaseEndpoint))
	}
}
