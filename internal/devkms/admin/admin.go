// Package admin changes keys of a development KMS through the AWS SDK, as the
// customer's administrator would. It talks to loopback endpoints alone, with
// credentials that mean nothing, so that it can never touch a real key.
package admin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// notSecret signs requests; FIPS mode wants it of the length of a real one.
const notSecret = "devkms-devkms-devkms-devkms-devkms------" //nolint:gosec // no credential: a development KMS checks none

// requestTimeout limits one request.
const requestTimeout = 10 * time.Second

// Disable disables a key.
func Disable(ctx context.Context, endpoint, keyARN string) error {
	return with(endpoint, keyARN, "disable", func(c *kms.Client) error {
		_, err := c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &keyARN})
		return err
	})
}

// Enable enables a key.
func Enable(ctx context.Context, endpoint, keyARN string) error {
	return with(endpoint, keyARN, "enable", func(c *kms.Client) error {
		_, err := c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &keyARN})
		return err
	})
}

// ScheduleDeletion lets a key be deleted in 30 days; until then it cannot be
// used.
func ScheduleDeletion(ctx context.Context, endpoint, keyARN string) error {
	return with(endpoint, keyARN, "schedule the deletion of", func(c *kms.Client) error {
		_, err := c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &keyARN})
		return err
	})
}

// CancelDeletion keeps a key that was to be deleted. It is disabled afterwards,
// as at AWS.
func CancelDeletion(ctx context.Context, endpoint, keyARN string) error {
	return with(endpoint, keyARN, "cancel the deletion of", func(c *kms.Client) error {
		_, err := c.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &keyARN})
		return err
	})
}

// Rotate gives a key new material.
func Rotate(ctx context.Context, endpoint, keyARN string) error {
	return with(endpoint, keyARN, "rotate", func(c *kms.Client) error {
		_, err := c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &keyARN})
		return err
	})
}

// SetPolicy replaces a key's policy.
func SetPolicy(ctx context.Context, endpoint, keyARN, policy string) error {
	return with(endpoint, keyARN, "set the policy of", func(c *kms.Client) error {
		_, err := c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &keyARN, Policy: &policy})
		return err
	})
}

// Replicate makes a replica of a multi-Region primary key in another region, and
// returns its ARN.
func Replicate(ctx context.Context, endpoint, keyARN, region string) (replicaARN string, err error) {
	err = with(endpoint, keyARN, "replicate", func(c *kms.Client) error {
		out, err := c.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &keyARN, ReplicaRegion: &region})
		if err != nil {
			return err
		}
		replicaARN = aws.ToString(out.ReplicaKeyMetadata.Arn)
		return nil
	})
	return replicaARN, err
}

// CreateKey makes a symmetric key in a region, and returns its ARN.
func CreateKey(ctx context.Context, endpoint, region string, multiRegion bool) (keyARN string, err error) {
	if err := loopback(endpoint); err != nil {
		return "", err
	}
	out, err := newClient(endpoint, region).CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: &multiRegion})
	if err != nil {
		return "", fmt.Errorf("create a key: %w", err)
	}
	return aws.ToString(out.KeyMetadata.Arn), nil
}

func with(endpoint, keyARN, what string, fn func(*kms.Client) error) error {
	if err := loopback(endpoint); err != nil {
		return err
	}
	id, err := arn.Parse(keyARN)
	if err != nil || id.Service != "kms" {
		return fmt.Errorf("%q is not the ARN of a KMS key", keyARN)
	}
	if err := fn(newClient(endpoint, id.Region)); err != nil {
		return fmt.Errorf("%s key %s: %w", what, keyARN, err)
	}
	return nil
}

func newClient(endpoint, region string) *kms.Client {
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: &endpoint, HTTPClient: newHTTPClient(),
		Credentials:      credentials.NewStaticCredentialsProvider("devkms", notSecret, ""),
		RetryMaxAttempts: 1, Retryer: aws.NopRetryer{},
	})
}

func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: requestTimeout}
}

// loopback refuses endpoints on other machines.
func loopback(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%q is not the URL of an endpoint, such as http://127.0.0.1:8080", endpoint)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("endpoint %s is on another machine; only a development KMS on this one may be changed from here", endpoint)
	}
	return nil
}
