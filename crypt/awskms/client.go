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
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
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

// clients makes SDK clients of one region. Each call gets one of its own: a
// client keeps the buffers in which answers were read. For the same reason
// connections are not kept alive, and HTTP/2, whose buffers all connections
// share, is off. What held a DEK is cleared (answer.go); the rest, and what a
// call that failed had read, becomes garbage with the call, which the wipe of
// the Go heap then clears.
type clients struct {
	http  *http.Client
	creds *liveCredentials
	kms   kms.Options
}

// newClients prepares clients for t without calling the network.
func newClients(ctx context.Context, t target) (*clients, error) {
	c := &clients{creds: &liveCredentials{}}
	cfg := aws.Config{Region: t.region, Retryer: defaultRetryer}
	if t.loopback {
		c.http = newHTTPClient(newTransport())
		c.creds.current = credentials.NewStaticCredentialsProvider("development", developmentSecret, "")
	} else {
		var err error
		if cfg, err = loadConfig(ctx, t); err != nil {
			return nil, err
		}
		transport := newBuildable().GetTransport()
		if tuned, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // it has AWS_CA_BUNDLE
			transport = tuned.GetTransport()
		}
		c.http = newHTTPClient(transport)
		c.creds.current = t.credentials(cfg, c.http)
		c.creds.load = func(ctx context.Context) (aws.CredentialsProvider, error) {
			cfg, err := loadConfig(ctx, t)
			if err != nil {
				return nil, err
			}
			return t.credentials(cfg, c.http), nil
		}
	}
	cfg.HTTPClient, cfg.Credentials = c.http, c.creds
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

func newBuildable() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(requestTimeout).WithTransportOptions(tuneTransport).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
}

// loadConfig reads the SDK's configuration. How often is tried is no matter of
// the environment (AWS_MAX_ATTEMPTS): a probe has its time.
func loadConfig(ctx context.Context, t target) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(t.region), config.WithHTTPClient(newBuildable()))
	cfg.Retryer, cfg.RetryMaxAttempts, cfg.RetryMode = defaultRetryer, 0, ""
	return cfg, err
}

// credentials returns those of the caller, or of the role.
func (t target) credentials(cfg aws.Config, hc *http.Client) aws.CredentialsProvider {
	if t.roleARN == "" {
		return cfg.Credentials
	}
	return assumeRole(cfg, t, hc, "")
}

// oneCall is a client for one call, and how its attempts went.
type oneCall struct {
	*kms.Client
	attempts *attempts
}

// call returns a client for one call, which ends with ctx.
func (c *clients) call(ctx context.Context) oneCall {
	o := c.kms
	a := &attempts{Retryer: o.Retryer, ctx: ctx}
	o.Retryer = a
	client := kms.New(o, func(o *kms.Options) { o.Protocol = ownProtocol{o.Protocol} }) // New makes buffers of its own
	return oneCall{Client: client, attempts: a}
}

// why returns the error of a call. Where its time ran out in an attempt after
// the first, what the attempt before met says more than that.
func (c oneCall) why(err error) error {
	if _, ok := errors.AsType[smithy.APIError](err); ok || c.attempts.ctx.Err() == nil || c.attempts.last == nil {
		return err
	}
	return &outOfTime{c.attempts.last}
}

// outOfTime is what an attempt met whose successor had no time to end.
type outOfTime struct{ err error }

func (e *outOfTime) Error() string { return "in an attempt before the time was up: " + e.err.Error() }
func (e *outOfTime) Unwrap() error { return e.err }

// attempts is the retryer of one call.
type attempts struct {
	aws.Retryer
	ctx  context.Context
	last error // of an attempt that was not ended by ctx
}

// IsErrorRetryable notes what an attempt met.
func (a *attempts) IsErrorRetryable(err error) bool {
	if _, ok := errors.AsType[*smithy.CanceledError](err); !ok && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		a.last = err
	}
	return a.Retryer.IsErrorRetryable(err)
}

// RetryDelay returns err instead where there is no time left for the delay: the
// caller learns at once what it was, and may do better than wait.
func (a *attempts) RetryDelay(attempt int, err error) (time.Duration, error) {
	d, derr := a.Retryer.RetryDelay(attempt, err)
	if derr != nil {
		return 0, derr
	}
	if end, ok := a.ctx.Deadline(); ok && time.Until(end) <= d {
		return 0, err
	}
	return d, nil
}

func defaultRetryer() aws.Retryer { return newRetryer(backoffMax) }

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
	t.DisableCompression = true
	t.ReadBufferSize = readBufferSize
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
}

func newHTTPClient(t *http.Transport) *http.Client {
	t.DialContext = noted(t.DialContext)
	return &http.Client{
		Transport: boundedTransport{t}, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedTransport reads answers whole before it hands them on, cuts those that
// no KMS gives, and marks those that break off. The SDK closes a request's body
// as soon as the answer has begun; where HTTP is not done with it by then, it
// closes the connection, and the rest of the answer is lost.
type boundedTransport struct{ *http.Transport }

func (b boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	body := &readBody{}
	body.fill(resp.Body)
	_ = resp.Body.Close() // what there is was read
	resp.Body = body
	return resp, nil
}

const answerSizeMin = 8 << 10 // bytes; more than a good answer has

// readBody is an answer that was read. Closing it clears it.
type readBody struct {
	b   []byte
	off int
	err error // after b
}

// fill reads r to its end, its failure or the limit.
func (b *readBody) fill(r io.Reader) {
	b.b = make([]byte, 0, answerSizeMin)
	b.err = io.EOF
	for len(b.b) < answerSizeMax {
		if len(b.b) == cap(b.b) {
			more := make([]byte, len(b.b), min(2*cap(b.b), answerSizeMax))
			copy(more, b.b)
			clear(b.b)
			b.b = more
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			b.err = &brokenBody{err}
			return
		}
	}
}

func (b *readBody) Read(p []byte) (int, error) {
	if b.off == len(b.b) {
		return 0, b.err
	}
	n := copy(p, b.b[b.off:])
	b.off += n
	return n, nil
}

func (b *readBody) Close() error {
	clear(b.b)
	b.b, b.off = nil, 0
	return nil
}

// A brokenBody is an answer that began and did not end: the network's failure,
// not that of what answers. The SDK tries again.
type brokenBody struct{ err error }

func (e *brokenBody) Error() string        { return "the answer broke off: " + e.err.Error() }
func (e *brokenBody) Unwrap() error        { return e.err }
func (e *brokenBody) RetryableError() bool { return true }
