package awskms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

const (
	denied      = crypt.ClassDenied
	unreachable = crypt.ClassUnreachable
	credential  = crypt.ClassCredentials
	tampered    = crypt.ClassTampered
)

// shape is one way in which a KMS, or what stands before it, fails.
type shape struct {
	name  string
	class crypt.Class
	code  string
	text  string // in the detail

	rules   []devkms.Rule                          // at the development KMS
	setup   func(t *testing.T, w *world)           // before the call
	at      func(t *testing.T, w *world) *Provider // nil: w.p
	timeout time.Duration                          // of the call; 0: none
	only    []string                               // operations; empty: all three
	cause   error                                  // errors.Is; nil: not looked at
}

// TestFaults goes through every shape of failure: each is of one class, with
// one code, whichever operation met it.
func TestFaults(t *testing.T) {
	tests := slices.Concat(codeShapes(), answerShapes(), keyShapes(), transportShapes(), tlsShapes(), credentialShapes())
	seen := map[string]bool{}
	for _, tt := range tests {
		if seen[tt.name] {
			t.Errorf("two rows are named %s", tt.name)
		}
		seen[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			_, wrapped := w.generate()
			if tt.at != nil {
				w.p = tt.at(t, w)
				w.p.clients.kms.Retryer = newRetryer(time.Millisecond)
			}
			if w.slow {
				w.p.clients.kms.Retryer = hourly{w.p.clients.kms.Retryer}
			}
			for op, call := range calls(w, wrapped) {
				if len(tt.only) > 0 && !slices.Contains(tt.only, op) {
					continue
				}
				w.kms.ClearFaults()
				if tt.setup != nil {
					tt.setup(t, w)
				}
				for _, u := range tt.rules {
					if _, err := w.kms.AddFault(u); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
				}
				err := call(ctx)
				cancel()
				pe := providerError(t, err, tt.class, tt.code, tt.text)
				if pe.Op != op || pe.KeyID != w.p.KeyID() || pe.Detail == "" {
					t.Errorf("%s: %+v", op, pe)
				}
				if tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("%s: the cause %v is lost: %v", op, tt.cause, err)
				}
			}
		})
	}
}

// codeShapes are the error codes, typed in the SDK or not.
func codeShapes() []shape {
	var out []shape
	add := func(class crypt.Class, status int, codes ...string) {
		for _, code := range codes {
			out = append(out, shape{
				name: "code " + code, class: class, code: code,
				rules: []devkms.Rule{{Operations: answering, Fault: devkms.FaultError, Code: code, Status: status}},
			})
		}
	}
	add(denied, 400, "DisabledException", "KMSInvalidStateException", "AccessDeniedException", "NotAuthorized", "NotFoundException",
		"IncorrectKeyException", "InvalidKeyUsageException", "UnsupportedOperationException")
	add(tampered, 400, "InvalidCiphertextException")
	add(credential, 400, "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignatureException",
		"MissingAuthenticationTokenException", "RequestExpired", "RequestTimeTooSkewed")
	add(credential, 403, "ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
		"OptInRequired")
	add(unreachable, 400, "ThrottlingException", "Throttling", "ThrottledException", "RequestThrottledException", "RequestThrottled",
		"RequestLimitExceeded", "LimitExceededException", "SlowDown")
	add(unreachable, 429, "TooManyRequestsException")
	add(unreachable, 500, "KMSInternalException", "KeyUnavailableException", "InternalFailure", "InternalServerError")
	add(unreachable, 503, "DependencyTimeoutException", "ServiceUnavailable")
	add(unreachable, 408, "RequestTimeoutException")
	add(unreachable, 400, "ValidationException", "UnknownOperationException", "MalformedHttpRequestException", "InvalidArnException",
		"SomethingNewException")
	for name, code := range map[string]string{"namespace": "com.amazonaws.kms#DisabledException", "address": "DisabledException:http://internal.amazon.com/"} {
		out = append(out, shape{
			name: "code with " + name, class: denied, code: "DisabledException",
			rules: []devkms.Rule{{Fault: devkms.FaultError, Code: code}},
		})
	}
	return append(out, shape{
		name: "code that is none", class: unreachable, code: codeGarbage, text: "HTTP status 400",
		rules: []devkms.Rule{{Fault: devkms.FaultError, Code: "a b"}},
	})
}

// answering are the operations that use a key; DescribeKey goes on working.
var answering = []string{"Decrypt", "GenerateDataKey", "ReEncrypt"}

// answerShapes are answers that are no good, or none of an AWS service.
func answerShapes() []shape {
	rule := func(f devkms.Fault) []devkms.Rule { return []devkms.Rule{{Fault: f}} }
	plain := []string{opGenerate, opUnwrap}
	return []shape{
		{name: "web page", class: unreachable, code: codeGarbage, text: "HTTP status 200", rules: rule(devkms.FaultNotJSON)},
		{name: "web page 403", class: unreachable, code: codeGarbage, text: "HTTP status 403", rules: rule(devkms.FaultNotJSON403)},
		{name: "web page 500", class: unreachable, code: codeGarbage, text: "HTTP status 500", rules: rule(devkms.FaultNotJSON500)},
		{name: "redirect", class: unreachable, code: codeGarbage, text: "HTTP status 307", rules: rule(devkms.FaultRedirect)},
		{name: "empty object", class: unreachable, code: codeEmpty, text: "empty", rules: rule(devkms.FaultEmptyObject)},
		{name: "no body", class: unreachable, code: codeEmpty, text: "empty", rules: rule(devkms.FaultEmptyBody)},
		{name: "truncated JSON", class: unreachable, code: codeGarbage, text: "HTTP status 200", rules: rule(devkms.FaultTruncatedJSON)},
		{name: "other key id", class: tampered, code: codeAnswer, text: "another key", rules: rule(devkms.FaultWrongKeyID)},
		{
			name: "other source key id", class: tampered, code: codeAnswer, text: "another key", rules: rule(devkms.FaultWrongSourceKeyID),
			only: []string{opRewrap},
		},
		{name: "plaintext of 0", class: tampered, code: codeAnswer, text: "wrong size", rules: rule(devkms.FaultNoPlaintext), only: plain},
		{name: "plaintext of 31", class: tampered, code: codeAnswer, text: "wrong size", rules: rule(devkms.FaultShortPlaintext), only: plain},
		{name: "plaintext of 33", class: tampered, code: codeAnswer, text: "wrong size", rules: rule(devkms.FaultLongPlaintext), only: plain},
	}
}

// keyShapes are states of the key, and what a description adds to a code.
func keyShapes() []shape {
	state := func(do func(context.Context, string, string) error) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			t.Helper()
			if err := do(t.Context(), w.endpoint, w.arn); err != nil && !errors.Is(err, errAlready) {
				t.Fatal(err)
			}
		}
	}
	schedule := state(func(ctx context.Context, endpoint, arn string) error {
		if err := admin.ScheduleDeletion(ctx, endpoint, arn); err != nil {
			return errAlready // by the operation before
		}
		return nil
	})
	undescribed := devkms.Rule{Operations: []string{"DescribeKey"}, Fault: devkms.FaultAccessDenied}
	return []shape{
		{name: "key disabled", class: denied, code: "DisabledException", text: "enable it", setup: state(admin.Disable)},
		{name: "key pending deletion", class: denied, code: codeInvalidState, text: "pending deletion; cancel", setup: schedule},
		{name: "key pending deletion, not described", class: denied, code: codeInvalidState, text: "state", setup: schedule, rules: []devkms.Rule{undescribed}},
		{
			name: "key in a state without words, not described", class: unreachable, code: codeInvalidState, text: "kms:DescribeKey",
			rules: []devkms.Rule{undescribed, {Fault: devkms.FaultInvalidState}},
		},
		{name: "key store unavailable", class: unreachable, code: codeInvalidState, text: "connect it", rules: []devkms.Rule{{Fault: devkms.FaultKeyStore}}},
		{
			name: "key deleted", class: denied, code: "NotFoundException", text: "no such key",
			at: func(_ *testing.T, w *world) *Provider { return w.open(w.arn[:len(w.arn)-4] + "0000") },
		},
		{
			name: "wrapped by another key", class: denied, code: "IncorrectKeyException", text: "another key", only: []string{opUnwrap, opRewrap},
			at: func(t *testing.T, w *world) *Provider {
				t.Helper()
				other, err := w.kms.CreateKey()
				if err != nil {
					t.Fatal(err)
				}
				return w.open(other)
			},
		},
	}
}

var errAlready = errors.New("it is so already")

// transportShapes are failures of the network, or of time.
func transportShapes() []shape {
	const (
		short = 80 * time.Millisecond // nothing comes in it
		long  = time.Second           // one answer comes in it
	)
	zero, some := 0, 100
	dial := func(fn func(context.Context) error) func(*testing.T, *world) *Provider {
		return func(t *testing.T, w *world) *Provider {
			t.Helper()
			transport(t, w.p).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: fn(ctx)}
			}
			return w.p
		}
	}
	trickle := []devkms.Rule{{TrickleMS: 20}}
	return []shape{
		{
			name: "name not found", class: unreachable, code: codeDNS, text: "does not resolve",
			at: dial(func(context.Context) error {
				return &net.DNSError{Err: "no such host", Name: "kms.example", IsNotFound: true}
			}),
		},
		{
			name: "name server does not answer", class: unreachable, code: codeDNS, text: "does not resolve",
			at: dial(func(context.Context) error {
				return &net.DNSError{Err: "i/o timeout", Name: "kms.example", IsTimeout: true, IsTemporary: true}
			}),
		},
		{
			name: "no route that answers", class: unreachable, code: codeTimeout, text: "in time", timeout: short, cause: context.DeadlineExceeded,
			at: dial(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }),
		},
		{
			name: "refused", class: unreachable, code: codeNetwork, text: "no connection",
			at: func(t *testing.T, w *world) *Provider {
				t.Helper()
				hs := httptest.NewServer(http.NotFoundHandler())
				hs.Close()
				w.endpoint = hs.URL
				return w.open(w.arn)
			},
		},
		{name: "reset", class: unreachable, code: codeNetwork, text: "broke off", rules: []devkms.Rule{{Fault: devkms.FaultReset}}},
		{
			name: "hung", class: unreachable, code: codeTimeout, text: "in time", timeout: short, cause: context.DeadlineExceeded,
			rules: []devkms.Rule{{Fault: devkms.FaultHang}},
		},
		{
			name: "headers late", class: unreachable, code: codeTimeout, text: "in time", timeout: short, cause: context.DeadlineExceeded,
			rules: []devkms.Rule{{LatencyMS: 60_000}},
		},
		{
			name: "headers late, no deadline", class: unreachable, code: codeTimeout, text: "in time", rules: []devkms.Rule{{LatencyMS: 60_000}},
			at: func(t *testing.T, w *world) *Provider {
				t.Helper()
				transport(t, w.p).ResponseHeaderTimeout = short / 4
				return w.p
			},
		},
		{name: "body trickles", class: unreachable, code: codeTimeout, text: "in time", timeout: short, cause: context.DeadlineExceeded, rules: trickle},
		{
			name: "body trickles, no deadline", class: unreachable, code: codeTimeout, text: "in time", rules: trickle,
			at: func(_ *testing.T, w *world) *Provider { w.p.clients.http.Timeout = short / 2; return w.p },
		},
		{name: "cut before the body", class: unreachable, code: codeNetwork, text: "broke off", rules: []devkms.Rule{{CutAfter: &zero}}},
		{name: "cut in the body", class: unreachable, code: codeNetwork, text: "broke off", rules: []devkms.Rule{{CutAfter: &some}}},
		{
			name: "cut in a refusal", class: unreachable, code: codeNetwork, text: "broke off",
			rules: []devkms.Rule{{Fault: devkms.FaultAccessDenied, CutAfter: &zero}},
		},
		{
			name: "throttled, then hung", class: unreachable, code: "ThrottlingException", text: "rate", timeout: long, cause: context.DeadlineExceeded,
			rules: []devkms.Rule{{Fault: devkms.FaultThrottle, Times: 1}, {Fault: devkms.FaultHang}},
		},
		{
			name: "reset, then hung", class: unreachable, code: codeNetwork, text: "broke off", timeout: long, cause: context.DeadlineExceeded,
			rules: []devkms.Rule{{Fault: devkms.FaultReset, Times: 1}, {Fault: devkms.FaultHang}},
		},
		{
			name: "reset, and no time to wait", class: unreachable, code: codeNetwork, text: "broke off", timeout: time.Minute,
			rules: []devkms.Rule{{Fault: devkms.FaultReset}},
			at:    func(_ *testing.T, w *world) *Provider { w.slow = true; return w.p },
		},
		{
			name: "proxy refuses to connect", class: unreachable, code: codeNetwork, text: "",
			at: func(t *testing.T, w *world) *Provider {
				t.Helper()
				proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					http.Error(rw, "<html>not from here", http.StatusForbidden)
				}))
				t.Cleanup(proxy.Close)
				at, err := url.Parse(proxy.URL)
				if err != nil {
					t.Fatal(err)
				}
				w.endpoint = "https://127.0.0.1:1"
				p := w.open(w.arn)
				transport(t, p).Proxy = http.ProxyURL(at)
				return p
			},
		},
	}
}

// hourly is a retryer that waits too long for any probe.
type hourly struct{ aws.Retryer }

func (hourly) RetryDelay(int, error) (time.Duration, error) { return time.Hour, nil }

// transport is the provider's, to break it.
func transport(t *testing.T, p *Provider) *http.Transport {
	t.Helper()
	b, ok := p.clients.http.Transport.(boundedTransport)
	if !ok {
		t.Fatalf("the transport is a %T", p.clients.http.Transport)
	}
	return b.Transport
}

// tlsShapes are handshakes that fail.
func tlsShapes() []shape {
	at := func(change func(c *x509.Certificate, s *tls.Config), trusted bool) func(*testing.T, *world) *Provider {
		return func(t *testing.T, w *world) *Provider {
			t.Helper()
			var pool *x509.CertPool
			w.endpoint, pool = tlsServer(t, w.kms, change)
			p := w.open(w.arn)
			if trusted {
				transport(t, p).TLSClientConfig.RootCAs = pool
			}
			return p
		}
	}
	row := func(name string, at func(*testing.T, *world) *Provider) shape {
		return shape{name: "TLS " + name, class: unreachable, code: codeTLS, text: "TLS", at: at}
	}
	return []shape{
		row("untrusted", at(func(*x509.Certificate, *tls.Config) {}, false)),
		row("of another host", at(func(c *x509.Certificate, _ *tls.Config) { c.IPAddresses, c.DNSNames = nil, []string{"kms.example"} }, true)),
		row("expired", at(func(c *x509.Certificate, _ *tls.Config) { c.NotAfter = time.Now().Add(-time.Hour) }, true)),
		row("refused by the server", func(t *testing.T, w *world) *Provider {
			t.Helper()
			p := at(func(_ *x509.Certificate, s *tls.Config) { s.MinVersion = tls.VersionTLS13 }, true)(t, w)
			transport(t, p).TLSClientConfig.MaxVersion = tls.VersionTLS12
			return p
		}),
		row("spoken to a plain server", func(t *testing.T, w *world) *Provider {
			t.Helper()
			w.endpoint = "https" + w.endpoint[len("http"):]
			return w.open(w.arn)
		}),
	}
}

// tlsServer serves h with a certificate that change may spoil.
func tlsServer(t *testing.T, h http.Handler, change func(*x509.Certificate, *tls.Config)) (endpoint string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	change(c, config)
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	hs := httptest.NewUnstartedServer(h)
	hs.TLS, hs.EnableHTTP2 = config, true
	hs.Config.ErrorLog = log.New(io.Discard, "", 0)
	hs.StartTLS()
	t.Cleanup(hs.Close)
	return hs.URL, pool
}

// credentialShapes are failures to get credentials.
func credentialShapes() []shape {
	sts := func(status int, body string) func(*testing.T, *world) *Provider {
		return func(t *testing.T, _ *world) *Provider {
			t.Helper()
			p, _ := withRole(t, status, body)
			return p
		}
	}
	row := func(name string, class crypt.Class, code string, at func(*testing.T, *world) *Provider) shape {
		return shape{name: name, class: class, code: code, at: at}
	}
	return []shape{
		row("role refused", credential, codeRole, sts(403, stsError("AccessDenied"))),
		row("role with an expired token", credential, "ExpiredToken", sts(403, stsError("ExpiredToken"))),
		row("role with unknown credentials", credential, "InvalidClientTokenId", sts(403, stsError("InvalidClientTokenId"))),
		row("role of a disabled region", credential, "RegionDisabledException", sts(403, stsError("RegionDisabledException"))),
		row("role that is malformed", credential, "ValidationError", sts(400, stsError("ValidationError"))),
		row("STS throttles", unreachable, "Throttling", sts(400, stsError("Throttling"))),
		row("STS has a fault", unreachable, "InternalFailure", sts(500, stsError("InternalFailure"))),
		row("STS is a web page", unreachable, codeGarbage, sts(200, "<html>please log in")),
		row("no credentials", credential, codeCredentials, func(t *testing.T, _ *world) *Provider {
			t.Helper()
			noEnvironment(t)
			p, err := Open(t.Context(), "awskms:"+testARN)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}),
		{
			name: "credentials that do not come", class: unreachable, code: codeTimeout, text: "credentials did not come in time",
			timeout: 50 * time.Millisecond, cause: context.DeadlineExceeded,
			at: func(_ *testing.T, w *world) *Provider {
				w.p.clients.kms.Credentials = &liveCredentials{current: hangingCredentials{}}
				return w.p
			},
		},
	}
}
