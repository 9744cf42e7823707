package awskms

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

var testContext = crypt.Context{Database: crypt.ID{1, 2, 3}, Purpose: crypt.PurposeData, Epoch: 7}

// deny is a policy that denies one action.
func deny(action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"` +
		action + `","Resource":"*"}]}`
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`

// world is a development KMS over HTTP with a key, and its provider.
type world struct {
	t        *testing.T
	kms      *devkms.Server
	endpoint string
	arn      string
	p        *Provider
	slow     bool // to try again
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	t.Cleanup(hs.CloseClientConnections)
	w := &world{t: t, kms: s, endpoint: hs.URL}
	if w.arn, err = s.CreateKey(); err != nil {
		t.Fatal(err)
	}
	w.p = w.open(w.arn)
	return w
}

func (w *world) open(arn string) *Provider {
	w.t.Helper()
	p, err := Open(w.t.Context(), "awskms:"+arn+"?endpoint="+url.QueryEscape(w.endpoint))
	if err != nil {
		w.t.Fatal(err)
	}
	p.clients.kms.Retryer = newRetryer(time.Millisecond)
	w.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return p
}

func (w *world) generate() (*crypt.Secret, crypt.Wrapped) {
	w.t.Helper()
	dek, wrapped, _, err := w.p.Generate(w.t.Context(), testContext)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(dek.Wipe)
	return dek, wrapped
}

// client is the SDK as an administrator has it.
func (w *world) client() *kms.Client {
	return kms.New(kms.Options{
		Region: devkms.Region, BaseEndpoint: &w.endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("admin", strings.Repeat("x", 40), ""),
	})
}

func wantError(t *testing.T, err error, class crypt.Class, code, text string) {
	t.Helper()
	_ = providerError(t, err, class, code, text)
}

func providerError(t *testing.T, err error, class crypt.Class, code, text string) *crypt.ProviderError {
	t.Helper()
	var pe *crypt.ProviderError
	if !errors.As(err, &pe) {
		t.Fatalf("got %v, want a *crypt.ProviderError", err)
	}
	if pe.Class != class || pe.Code != code || !strings.Contains(pe.Detail, text) {
		t.Fatalf("got %v, want class %s, code %s, %q", pe, class, code, text)
	}
	if strings.Contains(pe.Error(), "<html>") {
		t.Errorf("the error holds the answer: %v", pe)
	}
	return pe
}

func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	if err := w.p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.p.KeyID() != w.arn || !w.p.Development() {
		t.Errorf("KeyID %s, Development %v", w.p.KeyID(), w.p.Development())
	}
	dek, wrapped := w.generate()
	got, r, err := w.p.Unwrap(t.Context(), wrapped, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if !got.Equal(dek) {
		t.Error("Unwrap returned another DEK")
	}
	if r.RequestID == "" || r.MaterialID == "" || r.MaterialID != wrapped.MaterialID {
		t.Errorf("receipt %+v, wrapped under material %q", r, wrapped.MaterialID)
	}
	if err := admin.Rotate(t.Context(), w.endpoint, w.arn); err != nil {
		t.Fatal(err)
	}
	anew, r, err := w.p.Rewrap(t.Context(), wrapped, testContext)
	if err != nil {
		t.Fatal(err)
	}
	if anew.MaterialID == wrapped.MaterialID || r.MaterialID != anew.MaterialID || bytes.Equal(anew.Bytes, wrapped.Bytes) {
		t.Errorf("rewrapped under material %q, before %q", anew.MaterialID, wrapped.MaterialID)
	}
	for _, blob := range []crypt.Wrapped{wrapped, anew} { // old material goes on unwrapping
		got, _, err := w.p.Unwrap(t.Context(), blob, testContext)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(dek) {
			t.Error("another DEK after the rotation")
		}
		got.Wipe()
	}
}

func TestURIOpensAgain(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	p, err := Open(t.Context(), w.p.URI())
	if err != nil {
		t.Fatal(err)
	}
	dek, _, err := p.Unwrap(t.Context(), wrapped, testContext)
	if err != nil {
		t.Fatal(err)
	}
	dek.Wipe()
}

// calls are the provider's, each against a key that was well before.
func calls(w *world, wrapped crypt.Wrapped) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		opGenerate: func(ctx context.Context) error {
			s, _, _, err := w.p.Generate(ctx, testContext)
			s.Wipe()
			return err
		},
		opUnwrap: func(ctx context.Context) error {
			s, _, err := w.p.Unwrap(ctx, wrapped, testContext)
			s.Wipe()
			return err
		},
		opRewrap: func(ctx context.Context) error {
			_, _, err := w.p.Rewrap(ctx, wrapped, testContext)
			return err
		},
	}
}

func TestSwitch(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	ops := calls(w, wrapped)
	ops[opCheck] = w.p.Check
	steps := []struct {
		name string
		do   func(context.Context, string, string) error
		code string
		text string
	}{
		{"disable", admin.Disable, "DisabledException", "disabled; enable it"},
		{"enable", admin.Enable, "", ""},
		{"schedule deletion", admin.ScheduleDeletion, "KMSInvalidStateException", "pending deletion; cancel"},
		{"cancel deletion", admin.CancelDeletion, "DisabledException", "disabled; enable it"},
		{"enable again", admin.Enable, "", ""},
	}
	for _, step := range steps {
		if err := step.do(t.Context(), w.endpoint, w.arn); err != nil {
			t.Fatal(step.name, err)
		}
		for op, call := range ops {
			err := call(t.Context())
			if step.code == "" {
				if err != nil {
					t.Errorf("%s after %s: %v", op, step.name, err)
				}
				continue
			}
			pe := providerError(t, err, crypt.ClassDenied, step.code, step.text)
			if pe.Op != op || pe.KeyID != w.arn || pe.RequestID == "" {
				t.Errorf("%s after %s: %+v", op, step.name, pe)
			}
		}
	}
}

func TestPolicyDenies(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	ops := calls(w, wrapped)
	ops[opCheck] = w.p.Check
	for op, action := range map[string]string{
		opGenerate: "kms:GenerateDataKey*", opUnwrap: "kms:Decrypt", opRewrap: "kms:ReEncrypt*", opCheck: "kms:DescribeKey",
	} {
		if err := admin.SetPolicy(t.Context(), w.endpoint, w.arn, deny(action)); err != nil {
			t.Fatal(err)
		}
		for other, call := range ops {
			err := call(t.Context())
			if other == op {
				wantError(t, err, crypt.ClassDenied, "AccessDeniedException", "policy")
			} else if err != nil {
				t.Errorf("%s with %s denied: %v", other, action, err)
			}
		}
	}
	if err := admin.SetPolicy(t.Context(), w.endpoint, w.arn, allowAll); err != nil {
		t.Fatal(err)
	}
	if err := ops[opUnwrap](t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWrongEnvelope(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	unwrap := func(p *Provider, b []byte, c crypt.Context) error {
		s, _, err := p.Unwrap(t.Context(), crypt.Wrapped{Bytes: b}, c)
		s.Wipe()
		return err
	}
	const code = "InvalidCiphertextException"
	for _, c := range []crypt.Context{
		{Database: crypt.ID{9}, Purpose: crypt.PurposeData, Epoch: 7},
		{Database: testContext.Database, Purpose: "other", Epoch: 7},
		{Database: testContext.Database, Purpose: crypt.PurposeData, Epoch: 8},
	} {
		wantError(t, unwrap(w.p, wrapped.Bytes, c), crypt.ClassTampered, code, "belongs to another database")
	}
	bad := append([]byte(nil), wrapped.Bytes...)
	bad[len(bad)-1] ^= 1
	wantError(t, unwrap(w.p, bad, testContext), crypt.ClassTampered, code, "damaged")
	wantError(t, unwrap(w.p, wrapped.Bytes[:10], testContext), crypt.ClassTampered, code, "damaged")

	other, err := w.kms.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, unwrap(w.open(other), wrapped.Bytes, testContext), crypt.ClassDenied, "IncorrectKeyException", "another key")
	gone := w.arn[:len(w.arn)-4] + "0000"
	wantError(t, unwrap(w.open(gone), wrapped.Bytes, testContext), crypt.ClassDenied, "NotFoundException", "no such key")
	wantError(t, w.open(gone).Check(t.Context()), crypt.ClassDenied, "NotFoundException", "no such key")
}

func TestCheckRefusesOtherKinds(t *testing.T) {
	w := newWorld(t)
	for _, in := range []kms.CreateKeyInput{
		{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeEncryptDecrypt},
		{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify},
		{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac},
	} {
		out, err := w.client().CreateKey(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		p := w.open(*out.KeyMetadata.Arn)
		wantError(t, p.Check(t.Context()), crypt.ClassDenied, codeUsage, "make a symmetric key")
		_, _, _, err = p.Generate(t.Context(), testContext)
		wantError(t, err, crypt.ClassDenied, codeUsage, "not a symmetric key")
	}
	out, err := w.client().CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.open(*out.KeyMetadata.Arn).Check(t.Context()); err != nil {
		t.Errorf("a multi-region key: %v", err)
	}
}

// A KMS that returns another DEK is found by the envelope, not the provider.
func TestOtherDEK(t *testing.T) {
	w := newWorld(t)
	dek, wrapped := w.generate()
	e, err := crypt.NewEnvelope(testContext, w.p.KeyID(), wrapped, dek, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	w.kms.SetFault(func(string) devkms.Fault { return devkms.FaultOtherPlaintext })
	got, _, err := w.p.Unwrap(t.Context(), wrapped, testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if got := crypt.ClassOf(e.Verify(got)); got != crypt.ClassTampered {
		t.Errorf("class %s, want tampered", got)
	}
}

func TestRetriesOneFault(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	for _, fault := range []devkms.Fault{devkms.FaultThrottle, devkms.FaultInternal, devkms.FaultReset} {
		var n atomic.Int32
		w.kms.SetFault(func(string) devkms.Fault {
			if n.Add(1) == 1 {
				return fault
			}
			return devkms.FaultNone
		})
		s, _, err := w.p.Unwrap(t.Context(), wrapped, testContext)
		s.Wipe()
		if err != nil || n.Load() != 2 {
			t.Errorf("fault %d: %v after %d requests", fault, err, n.Load())
		}
	}
}

func TestHangEndsWithContext(t *testing.T) {
	w := newWorld(t)
	_, wrapped := w.generate()
	for op, call := range calls(w, wrapped) {
		ctx, cancel := context.WithCancel(t.Context())
		w.kms.SetFault(func(string) devkms.Fault {
			cancel() // once the request has arrived
			return devkms.FaultHang
		})
		err := call(ctx)
		pe := providerError(t, err, crypt.ClassUnreachable, codeCanceled, "canceled")
		if !errors.Is(err, context.Canceled) || pe.Op != op {
			t.Errorf("%s: %v", op, err)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.kms.SetFault(func(string) devkms.Fault { return devkms.FaultHang })
	_, _, err := w.p.Unwrap(ctx, wrapped, testContext)
	wantError(t, err, crypt.ClassUnreachable, codeTimeout, "in time")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the cause is lost")
	}
}

func openAt(t *testing.T, endpoint string) *Provider {
	t.Helper()
	p, err := Open(t.Context(), "awskms:"+testARN+"?endpoint="+url.QueryEscape(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	p.clients.kms.Retryer = newRetryer(time.Millisecond)
	return p
}

func TestUntrustedTLS(t *testing.T) {
	hs := httptest.NewUnstartedServer(http.NotFoundHandler())
	hs.Config.ErrorLog = log.New(io.Discard, "", 0)
	hs.StartTLS()
	defer hs.Close()
	wantError(t, openAt(t, hs.URL).Check(t.Context()), crypt.ClassUnreachable, codeTLS, "TLS")
}

func TestLargeAnswerIsCut(t *testing.T) {
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for range 2 * answerSizeMax / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	defer hs.Close()
	if err := openAt(t, hs.URL).Check(t.Context()); crypt.ClassOf(err) != crypt.ClassUnreachable {
		t.Errorf("got %v, want unreachable", err)
	}
}
