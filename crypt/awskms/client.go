package awskms

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Limits of one HTTP request, for callers without a deadline of their own; a
// context that ends earlier ends it earlier.
const (
	dialTimeout     = 3 * time.Second
	tlsTimeout      = 3 * time.Second
	headerTimeout   = 6 * time.Second
	requestTimeout  = 10 * time.Second
	attemptsMax     = 3
	backoffMax      = time.Second
	answerSizeMax   = 1 << 20 // bytes
	roleSessionName = "byokdb"
	appID           = "byokdb" // in CloudTrail's userAgent
)

// developmentSecret signs requests to a development KMS. It is no secret; FIPS
// mode wants it of the length of a real one.
const developmentSecret = "development-development-development-----"

// clients makes SDK clients. Each call gets one of its own: a client keeps the
// buffers in which answers were read, and those held an unwrapped DEK. For the
// same reason connections are not kept alive. Both become garbage with the
// call, which the wipe of the Go heap then clears.
type clients struct {
	http  *http.Client
	creds aws.CredentialsProvider
	kms   kms.Options
}

// newClients prepares clients for t without calling the network.
func newClients(ctx context.Context, t target) (*clients, error) {
	c := &clients{}
	retryer := func() aws.Retryer { return newRetryer(backoffMax) }
	cfg := aws.Config{Region: t.region}
	if t.loopback {
		c.http = newHTTPClient(newTransport())
		c.creds = credentials.NewStaticCredentialsProvider("development", developmentSecret, "")
	} else {
		base := awshttp.NewBuildableClient().WithTimeout(requestTimeout).WithTransportOptions(tuneTransport).
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
		var err error
		cfg, err = config.LoadDefaultConfig(ctx, config.WithRegion(t.region), config.WithHTTPClient(base))
		if err != nil {
			return nil, err
		}
		transport := base.GetTransport()
		if tuned, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // it has AWS_CA_BUNDLE
			transport = tuned.GetTransport()
		}
		c.http = newHTTPClient(transport)
		cfg.Retryer = retryer
		c.creds = cfg.Credentials
		if t.roleARN != "" {
			c.creds = assumeRole(cfg, t, c.http, "")
		}
	}
	c.creds = markedCredentials{c.creds}
	cfg.HTTPClient, cfg.Credentials = c.http, c.creds
	cfg.Retryer = retryer
	c.kms = kms.NewFromConfig(cfg, func(o *kms.Options) {
		o.BaseEndpoint = nil // never from the environment: the URI says where the key is
		if t.endpoint != "" {
			o.BaseEndpoint = &t.endpoint
		}
		o.ClientLogMode = 0 // bodies hold DEKs
		o.AppID = appID
	}).Options()
	return c, nil
}

// client returns a client for one call.
func (c *clients) client() *kms.Client {
	o := c.kms
	o.Protocol = nil // a new one, with buffers of its own
	return kms.New(o)
}

// newRetryer returns a retryer that waits for backoffMax at most.
func newRetryer(backoffMax time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attemptsMax
		o.MaxBackoff = backoffMax
		o.RateLimiter = ratelimit.None // a long outage must not use up the attempts of later probes
		// STS has retried by itself; doing that again would multiply the attempts.
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if _, ok := errors.AsType[*credentialsError](err); ok {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		})}, o.Retryables...)
	})
}

// assumeRole returns credentials of the role; endpoint is for tests.
func assumeRole(cfg aws.Config, t target, hc *http.Client, endpoint string) aws.CredentialsProvider {
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		o.HTTPClient, o.ClientLogMode = hc, 0
		o.BaseEndpoint = nil
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, t.roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = roleSessionName
		if t.externalID != "" {
			o.ExternalID = &t.externalID
		}
	}))
}

// newTransport returns a transport to this machine: no proxy.
func newTransport() *http.Transport {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext}
	tuneTransport(t)
	t.Proxy = nil
	return t
}

func tuneTransport(t *http.Transport) {
	t.Proxy = http.ProxyFromEnvironment
	t.TLSHandshakeTimeout = tlsTimeout
	t.ResponseHeaderTimeout = headerTimeout
	t.DisableKeepAlives = true
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
}

func newHTTPClient(t *http.Transport) *http.Client {
	return &http.Client{
		Transport: boundedTransport{t}, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedTransport cuts answers that no KMS gives.
type boundedTransport struct{ *http.Transport }

func (b boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = boundedBody{Reader: io.LimitReader(resp.Body, answerSizeMax), Closer: resp.Body}
	}
	return resp, err
}

type boundedBody struct {
	io.Reader
	io.Closer
}

// credentialsError marks an error as one of getting credentials, not of the KMS.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// markedCredentials marks the errors of the provider in it.
type markedCredentials struct{ aws.CredentialsProvider }

func (m markedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := m.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &credentialsError{err}
	}
	return c, nil
}
