package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/byokdb/byokdb/internal/devkms"
)

// AddFault adds a rule to a development KMS, and returns the rule's id.
func AddFault(ctx context.Context, endpoint string, u devkms.Rule) (id string, err error) {
	var out devkms.Rule
	if err := request(ctx, http.MethodPost, endpoint, "faults", u, &out); err != nil {
		return "", fmt.Errorf("set a fault: %w", err)
	}
	return out.ID, nil
}

// Faults returns the rules of a development KMS, in their order.
func Faults(ctx context.Context, endpoint string) ([]devkms.Rule, error) {
	var out devkms.RuleList
	if err := request(ctx, http.MethodGet, endpoint, "faults", nil, &out); err != nil {
		return nil, fmt.Errorf("list faults: %w", err)
	}
	return out.Rules, nil
}

// RemoveFault removes the rule of an id; with no id, it removes all rules.
func RemoveFault(ctx context.Context, endpoint, id string) error {
	path := "faults"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	if err := request(ctx, http.MethodDelete, endpoint, path, nil, nil); err != nil {
		return fmt.Errorf("clear faults: %w", err)
	}
	return nil
}

const answerSizeMax = 1 << 20 // bytes

// request calls the service's own API.
func request(ctx context.Context, method, endpoint, path string, in, out any) error {
	if err := loopback(endpoint); err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(endpoint, "/")+"/"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := newHTTPClient().Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerSizeMax))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		var refusal struct{ Error string }
		if json.Unmarshal(b, &refusal) == nil && refusal.Error != "" {
			return errors.New(refusal.Error)
		}
		return fmt.Errorf("the endpoint answers with HTTP status %d; is it devkms?", resp.StatusCode)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the endpoint's answer is no JSON; is it devkms? %w", err)
	}
	return nil
}
