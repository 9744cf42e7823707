package awskms

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/byokdb/byokdb/crypt"
)

func TestClassOfState(t *testing.T) {
	tests := []struct {
		state  types.KeyState
		origin types.OriginType
		want   crypt.Class
	}{
		{types.KeyStateEnabled, types.OriginTypeAwsKms, crypt.ClassDenied},
		{types.KeyStateEnabled, types.OriginTypeExternal, crypt.ClassDenied},
		{types.KeyStateEnabled, types.OriginTypeExternalKeyStore, crypt.ClassUnreachable},
		{types.KeyStateEnabled, types.OriginTypeAwsCloudhsm, crypt.ClassUnreachable},
		{types.KeyStateUnavailable, types.OriginTypeExternalKeyStore, crypt.ClassUnreachable},
		{types.KeyStateDisabled, types.OriginTypeExternalKeyStore, crypt.ClassDenied},
		{types.KeyStatePendingDeletion, types.OriginTypeExternalKeyStore, crypt.ClassDenied},
		{types.KeyStatePendingDeletion, types.OriginTypeAwsKms, crypt.ClassDenied},
		{types.KeyStatePendingReplicaDeletion, types.OriginTypeAwsKms, crypt.ClassDenied},
		{types.KeyStatePendingImport, types.OriginTypeExternal, crypt.ClassDenied},
		{types.KeyStateCreating, types.OriginTypeAwsKms, crypt.ClassUnreachable},
		{types.KeyStateUpdating, types.OriginTypeAwsKms, crypt.ClassUnreachable},
	}
	for _, tt := range tests {
		got, detail := classOfState(tt.state, tt.origin, "as before")
		if got != tt.want || detail == "" {
			t.Errorf("%s, %s: %s (%q), want %s", tt.state, tt.origin, got, detail, tt.want)
		}
	}
}

func TestCodes(t *testing.T) {
	for code, class := range classes {
		var e crypt.ProviderError
		sortCode(&e, code)
		if e.Class != class || e.Code != code || e.Detail == "" {
			t.Errorf("%s: %+v", code, e)
		}
	}
	e := crypt.ProviderError{Class: crypt.ClassUnreachable}
	sortCode(&e, "SomethingNewException")
	if e.Class != crypt.ClassUnreachable || e.Detail == "" {
		t.Errorf("an unknown code: %+v", e)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"": "", "a-1": "a-1", "a b": "", "a\n": "", "é": "", "\x1b[31m": ""} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// withRole returns a provider that assumes a role at an STS that answers with
// status and body.
func withRole(t *testing.T, status int, body string) (p *Provider, form func() url.Values) {
	t.Helper()
	w := newWorld(t)
	var got url.Values
	sts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got = r.PostForm
		rw.Header().Set("Content-Type", "text/xml")
		rw.WriteHeader(status)
		if _, err := rw.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(sts.Close)
	role := target{roleARN: "arn:aws:iam::111122223333:role/byokdb", externalID: "customer-17"}
	retryer := func() aws.Retryer { return newRetryer(time.Millisecond) }
	cfg := aws.Config{Region: "eu-west-1", Retryer: retryer, Credentials: credentials.NewStaticCredentialsProvider("a", strings.Repeat("x", 40), "")}
	w.p.clients.kms.Credentials = &liveCredentials{current: assumeRole(cfg, role, w.p.clients.http, sts.URL)}
	return w.p, func() url.Values { return got }
}

func stsError(code string) string {
	return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>` + code +
		`</Code><Message>no</Message></Error><RequestId>r</RequestId></ErrorResponse>`
}

func TestAssumeRole(t *testing.T) {
	p, form := withRole(t, http.StatusOK, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
		<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>0123456789012345678901234567890123456789</SecretAccessKey><SessionToken>token</SessionToken>
		<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := form()
	if got.Get("RoleArn") != "arn:aws:iam::111122223333:role/byokdb" || got.Get("ExternalId") != "customer-17" ||
		got.Get("RoleSessionName") != roleSessionName {
		t.Errorf("STS was asked with %v", got)
	}
}

// noEnvironment hides whatever credentials this machine has.
func noEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// hangingCredentials never come.
type hangingCredentials struct{}

func (hangingCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	<-ctx.Done()
	return aws.Credentials{}, ctx.Err()
}

func TestMissingCredentials(t *testing.T) {
	noEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1") // must not be heeded
	p, err := Open(t.Context(), "awskms:"+testARN)
	if err != nil {
		t.Fatal(err)
	}
	if p.clients.kms.BaseEndpoint != nil {
		t.Error("the environment chose the endpoint")
	}
	if p.Development() {
		t.Error("a real endpoint is called development")
	}
	wantError(t, p.Check(t.Context()), crypt.ClassCredentials, codeCredentials, "no AWS credentials")

	t.Setenv("AWS_PROFILE", "no-such-profile")
	_, err = Open(t.Context(), "awskms:"+testARN)
	wantError(t, err, crypt.ClassCredentials, "BadConfiguration", "AWS_PROFILE")
}

func TestLoopbackAsksNobodyForCredentials(t *testing.T) {
	t.Setenv("AWS_PROFILE", "no-such-profile")
	p := newWorld(t).p
	if err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSortKeepsNothingOfTheAnswer(t *testing.T) {
	p := newWorld(t).p
	err := p.sort(context.Background(), opUnwrap, errors.New("body with a marker-7351"))
	wantError(t, err, crypt.ClassUnreachable, codeNetwork, "")
	if errors.Unwrap(err) != nil {
		t.Error("the SDK's error goes along")
	}
}
