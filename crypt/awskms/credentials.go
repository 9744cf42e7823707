package awskms

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// roleExpiryWindow is how long before their end a role's credentials are
// renewed, so that none expire on their way.
const roleExpiryWindow = time.Minute

// assumeRole returns credentials of the role; endpoint is for tests.
func assumeRole(cfg aws.Config, t target, hc *http.Client, endpoint string) aws.CredentialsProvider {
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		o.HTTPClient, o.ClientLogMode = hc, 0
		o.BaseEndpoint = nil
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	role := stscreds.NewAssumeRoleProvider(client, t.roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = roleSessionName
		if t.externalID != "" {
			o.ExternalID = &t.externalID
		}
	})
	return aws.NewCredentialsCache(role, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = roleExpiryWindow })
}

// A credentialsError marks an error as one of getting credentials, not of the
// KMS.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// liveCredentials marks the errors of the provider in it, and gets a new one
// once AWS has refused what it gave. The SDK keeps credentials until the end
// that they claim to have, and those of a file for ever: without this, a program
// whose credentials were renewed in the file, whose role session was revoked, or
// whose clock is slow, would go on with what AWS refuses.
type liveCredentials struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	mu      sync.Mutex
	current aws.CredentialsProvider
	stale   bool
}

// Retrieve returns credentials; an error is a *credentialsError.
func (l *liveCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	provider, err := l.provider(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	c, err := provider.Retrieve(ctx)
	if err != nil {
		return c, &credentialsError{err}
	}
	return c, nil
}

func (l *liveCredentials) provider(ctx context.Context) (aws.CredentialsProvider, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale && l.load != nil {
		next, err := l.load(ctx)
		if err != nil {
			return nil, err
		}
		l.current = next
	}
	l.stale = false
	return l.current, nil
}

// renew lets the next Retrieve get credentials anew.
func (l *liveCredentials) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale = true
}
