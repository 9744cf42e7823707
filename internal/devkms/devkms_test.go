package devkms

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

func serve(t *testing.T, dir string) (*Server, *kms.Client) {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	return s, client(hs.URL)
}

func client(endpoint string) *kms.Client {
	return kms.New(kms.Options{
		Region: Region, BaseEndpoint: &endpoint, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("a", strings.Repeat("x", 40), ""),
	})
}

func newKey(t *testing.T, s *Server) *string {
	t.Helper()
	arn, err := s.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	return &arn
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestEncryptDecrypt(t *testing.T) {
	s, c := serve(t, "")
	key, other := newKey(t, s), newKey(t, s)
	bound := map[string]string{"a": "1", "b": "2"}
	enc, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("plain"), EncryptionContext: bound})
	if err != nil {
		t.Fatal(err)
	}
	dec, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: bound})
	if err != nil {
		t.Fatal(err)
	}
	if string(dec.Plaintext) != "plain" || *dec.KeyId != *key || len(aws.ToString(dec.KeyMaterialId)) != 64 {
		t.Errorf("decrypted to %q by %s", dec.Plaintext, *dec.KeyId)
	}
	refused := []struct {
		name string
		in   kms.DecryptInput
		code string
	}{
		{"no context", kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob}, "InvalidCiphertextException"},
		{"other pairs", kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: map[string]string{"a": "12", "b": ""}}, "InvalidCiphertextException"},
		{"garbage", kms.DecryptInput{CiphertextBlob: []byte("garbage")}, "InvalidCiphertextException"},
		{"other key", kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: bound, KeyId: other}, "IncorrectKeyException"},
		{"no such key", kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: bound, KeyId: aws.String("nope")}, "NotFoundException"},
		{"no such alias", kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: bound, KeyId: aws.String("alias/nope")}, "NotFoundException"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Decrypt(t.Context(), &tt.in)
			wantCode(t, err, tt.code)
		})
	}
	re, err := c.ReEncrypt(t.Context(), &kms.ReEncryptInput{
		CiphertextBlob: enc.CiphertextBlob, SourceEncryptionContext: bound, DestinationKeyId: other,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *re.KeyId != *other || *re.SourceKeyId != *key {
		t.Errorf("re-encrypted from %s to %s", *re.SourceKeyId, *re.KeyId)
	}
	if dec, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: re.CiphertextBlob}); err != nil || string(dec.Plaintext) != "plain" {
		t.Errorf("after ReEncrypt: %v", err)
	}
}

func TestKeyStates(t *testing.T) {
	s, c := serve(t, "")
	key := newKey(t, s)
	describe := func() *types.KeyMetadata {
		t.Helper()
		out, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
		if err != nil {
			t.Fatal(err)
		}
		return out.KeyMetadata
	}
	generate := func() error {
		_, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
		return err
	}
	if m := describe(); !m.Enabled || m.KeyState != types.KeyStateEnabled || m.Origin != types.OriginTypeAwsKms || m.CreationDate.IsZero() {
		t.Errorf("a new key is %+v", m)
	}
	if _, err := c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: key}); err == nil {
		t.Error("the deletion of an enabled key was canceled")
	}
	if _, err := c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, generate(), "DisabledException")
	if _, err := c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key}); err != nil {
		t.Fatal(err)
	}
	if err := generate(); err != nil {
		t.Error(err)
	}
	_, err := c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key, PendingWindowInDays: aws.Int32(6)})
	wantCode(t, err, "ValidationException")
	if _, err = c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, generate(), "KMSInvalidStateException")
	_, err = c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key})
	wantCode(t, err, "KMSInvalidStateException")
	if m := describe(); m.DeletionDate == nil || m.DeletionDate.Sub(*m.CreationDate) < 7*24*time.Hour-time.Second {
		t.Errorf("pending deletion: %+v", m)
	}
	if _, err = c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: key}); err != nil {
		t.Fatal(err)
	}
	if m := describe(); m.KeyState != types.KeyStateDisabled {
		t.Errorf("after the cancellation the key is %s", m.KeyState)
	}
}

// fakeClock is a wall clock that a test sets.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (f *fakeClock) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Monotonic counts from the first time that the clock could have shown.
func (f *fakeClock) Monotonic() time.Duration { return f.Now().Sub(time.Unix(1e9-1, 0)) }
func (f *fakeClock) Boot() time.Duration      { return 0 }

func (f *fakeClock) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func TestKeyIsDeletedInTime(t *testing.T) {
	s, c := serve(t, "")
	fc := &fakeClock{now: time.Unix(1e9, 0)}
	s.clock = fc
	key := newKey(t, s)
	if _, err := c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key}); err != nil {
		t.Fatal(err)
	}
	fc.mu.Lock()
	fc.now = fc.now.Add(30 * 24 * time.Hour)
	fc.mu.Unlock()
	_, err := c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: key})
	wantCode(t, err, "NotFoundException")
	if keys := s.Keys(); len(keys) != 0 {
		t.Errorf("left: %v", keys)
	}
}

func TestAliasesAndPolicies(t *testing.T) {
	s, c := serve(t, "")
	key := newKey(t, s)
	alias := aws.String("alias/orders")
	if _, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: key}); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: key})
	wantCode(t, err, "AlreadyExistsException")
	_, err = c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("orders"), TargetKeyId: key})
	wantCode(t, err, "ValidationException")
	list, err := c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: key})
	if err != nil || len(list.Aliases) != 1 || *list.Aliases[0].AliasName != *alias {
		t.Errorf("aliases: %+v, %v", list, err)
	}
	out, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: alias, KeySpec: types.DataKeySpecAes256})
	if err != nil || *out.KeyId != *key || len(out.Plaintext) != 32 {
		t.Errorf("generate by alias: %v", err)
	}
	_, err = c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: alias})
	wantCode(t, err, "InvalidArnException")

	deny := aws.String(`{"Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["kms:Generate*"],"Resource":"*"}]}`)
	if _, err := c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: deny}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
	wantCode(t, err, "AccessDeniedException")
	got, err := c.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: key})
	if err != nil || *got.Policy != *deny {
		t.Errorf("policy: %v", err)
	}
	for _, bad := range []string{"{", `{"Statement":[]}`, `{"Statement":[{"Effect":"Maybe"}]}`, strings.ReplaceAll(*deny, "Generate", "")} {
		_, err = c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: &bad})
		wantCode(t, err, "MalformedPolicyDocumentException")
	}
}

func TestDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	s, c := serve(t, dir)
	key := newKey(t, s)
	enc, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("plain")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, stateFile)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
	again, c2 := serve(t, dir)
	if keys := again.Keys(); len(keys) != 1 || keys[0] != *key {
		t.Errorf("keys after a restart: %v", keys)
	}
	if _, err := c2.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "{", `{"Version":2}`, `{"Version":1,"Keys":[{"ID":"x"}]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(dir); err == nil {
			t.Errorf("opened %q", bad)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	s, c := serve(t, "")
	key := newKey(t, s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if i%4 == 0 {
				if _, err := c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key}); err != nil {
					t.Error(err)
				}
			}
			out, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOtherRequests(t *testing.T) {
	s, _ := serve(t, "")
	tests := []struct {
		host, method, target, body string
		status                     int
		text                       string
	}{
		{"127.0.0.1:1", "GET", "", "", 404, "a development KMS"},
		{"127.0.0.1:1", "POST", "TrentService.Nope", "{}", 400, "UnknownOperationException"},
		{"127.0.0.1:1", "POST", "TrentService.Decrypt", "<", 400, "SerializationException"},
		{"127.0.0.1:1", "POST", "TrentService.DescribeKey", "{}", 400, "ValidationException"},
		{"evil.example", "POST", "TrentService.CreateKey", "{}", 403, "loopback"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, "http://"+tt.host+"/", strings.NewReader(tt.body))
		r.Header.Set("X-Amz-Target", tt.target)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) || w.Header().Get("X-Amzn-Requestid") == "" {
			t.Errorf("%+v: %d %s", tt, w.Code, w.Body)
		}
	}
}

func TestListen(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		if l, err := Listen(addr); err == nil {
			t.Errorf("listens on %s", addr)
			_ = l.Close()
		}
	}
	l, err := Listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	if ip, ok := l.Addr().(*net.TCPAddr); !ok || !ip.IP.IsLoopback() {
		t.Errorf("listens on %v", l.Addr())
	}
	s, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	resp, err := http.Get(Endpoint(l))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	_ = resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}
