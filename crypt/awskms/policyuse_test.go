package awskms

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

// This file tries the published policies on the calls that the provider really
// makes: each must be allowed, and nothing beside them.

// publishedContext is the encryption context that the published files speak of.
func publishedContext(t *testing.T) crypt.Context {
	t.Helper()
	c := crypt.Context{Purpose: crypt.PurposeData, Epoch: 1}
	if n, err := hex.Decode(c.Database[:], []byte("0123456789abcdef0123456789abcdef")); err != nil || n != len(c.Database) {
		t.Fatal(n, err)
	}
	return c
}

// awsRequest is what a policy is asked about.
type awsRequest struct {
	principal, action string
	keys              map[string][]string // of conditions, by their name in lower case
}

// with returns a copy in which a condition key has another value.
func (r awsRequest) with(key, value string) awsRequest {
	r.keys = maps.Clone(r.keys)
	r.keys[strings.ToLower(key)] = []string{value}
	return r
}

// without returns a copy in which a condition key is absent.
func (r awsRequest) without(key string) awsRequest {
	r.keys = maps.Clone(r.keys)
	delete(r.keys, strings.ToLower(key))
	return r
}

// allows evaluates statements as IAM does: a denial wins, and nothing is
// allowed unless a statement says so.
//
// Source: AWS IAM User Guide, policy evaluation logic; condition operators.
func allows(t *testing.T, statements []statement, r awsRequest) bool {
	t.Helper()
	allowed := false
	for _, s := range statements {
		if !slices.Contains(s.actions, r.action) && !slices.Contains(s.actions, "*") ||
			s.principals != nil && !slices.Contains(s.principals, r.principal) || !s.applies(t, r) {
			continue
		}
		if s.effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s statement) applies(t *testing.T, r awsRequest) bool {
	t.Helper()
	for operator, keys := range s.conditions {
		for key, want := range keys {
			got := r.keys[strings.ToLower(key)]
			among := func(v string) bool { return slices.Contains(want, v) }
			var holds bool
			switch operator {
			case "StringEquals", "Bool", "NumericEquals":
				holds = len(got) == 1 && among(got[0])
			case "StringNotEquals": // holds when the key is absent, too
				holds = !slices.ContainsFunc(got, among)
			case forAll: // holds when the key is absent, too
				holds = !slices.ContainsFunc(got, func(v string) bool { return !among(v) })
			case "DateLessThan":
				holds = len(got) == 1 && got[0] < want[0]
			default:
				t.Fatalf("unknown operator %s", operator)
			}
			if !holds {
				return false
			}
		}
	}
	return true
}

// providerCalls has a provider make each of its calls, and returns them as a
// policy sees them, by their action.
func providerCalls(t *testing.T, c crypt.Context) map[string]awsRequest {
	t.Helper()
	w := newWorld(t)
	calls := map[string]awsRequest{}
	recorder := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		record(t, calls, strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."), body)
		if agent := r.Header.Get("User-Agent"); !strings.Contains(agent, "app/"+appID) {
			t.Errorf("user agent %s", agent)
		}
		w.kms.ServeHTTP(rw, r)
	}))
	t.Cleanup(recorder.Close)
	w.endpoint = recorder.URL
	p := w.open(w.arn)
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	dek, wrapped, _, err := p.Generate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	dek.Wipe()
	if dek, _, err = p.Unwrap(t.Context(), wrapped, c); err != nil {
		t.Fatal(err)
	}
	dek.Wipe()
	if _, _, err := p.Rewrap(t.Context(), wrapped, c); err != nil {
		t.Fatal(err)
	}
	return calls
}

func record(t *testing.T, calls map[string]awsRequest, operation string, body []byte) {
	t.Helper()
	var in struct {
		KeyID                        string `json:"KeyId"`
		SourceKeyID                  string `json:"SourceKeyId"`
		DestinationKeyID             string `json:"DestinationKeyId"`
		EncryptionContext            map[string]string
		SourceEncryptionContext      map[string]string
		DestinationEncryptionContext map[string]string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		t.Error(err)
	}
	add := func(action string, context map[string]string) {
		r := awsRequest{principal: customerRole, action: "kms:" + action, keys: map[string][]string{}}
		for member, value := range context {
			r.keys[strings.ToLower(contextKeyPrefix+member)] = []string{value}
			r.keys[strings.ToLower(contextKeysKey)] = append(r.keys[strings.ToLower(contextKeysKey)], member)
		}
		calls[r.action] = r
	}
	if operation != "ReEncrypt" {
		add(operation, in.EncryptionContext)
		return
	}
	add("ReEncryptFrom", in.SourceEncryptionContext)
	add("ReEncryptTo", in.DestinationEncryptionContext)
	if in.SourceKeyID == in.DestinationKeyID {
		for _, action := range []string{"kms:ReEncryptFrom", "kms:ReEncryptTo"} {
			calls[action] = calls[action].with("kms:ReEncryptOnSameKey", "true")
		}
	}
}

// published returns the statements of published policies, one after the other.
func published(t *testing.T, names ...string) (out []statement) {
	t.Helper()
	for _, name := range names {
		kind := keyPolicy
		if strings.HasPrefix(name, "vendor-") || name == "revoke-sessions.json" {
			kind = identityPolicy
		} else if name == "role-trust-policy.json" {
			kind = trustPolicy
		}
		statements, faults := lintPolicy(kind, parsePublished(t, name))
		if len(faults) > 0 {
			t.Fatalf("%s: %v", name, faults)
		}
		out = append(out, statements...)
	}
	return out
}

func TestProviderMakesTheCallsThatThePageNames(t *testing.T) {
	calls := providerCalls(t, publishedContext(t))
	if got, want := slices.Sorted(maps.Keys(calls)), slices.Sorted(maps.Keys(useActions)); !slices.Equal(got, want) {
		t.Errorf("the provider makes %v, the page speaks of %v", got, want)
	}
	for action, withContext := range useActions {
		if got := len(calls[action].keys[strings.ToLower(contextKeysKey)]); got != 0 != withContext {
			t.Errorf("%s has %d members in its encryption context", action, got)
		}
	}
}

// The key policies allow what the provider does with the database that they
// name, by the role that they name, and nothing else.
func TestPoliciesAllowWhatIsCalled(t *testing.T) {
	calls := providerCalls(t, publishedContext(t))
	later := publishedContext(t)
	later.Epoch = 2 // after a rotation of the DEK
	laterCalls := providerCalls(t, later)
	otherCalls := providerCalls(t, testContext)
	unwrapOnly := []string{"kms:Decrypt", "kms:DescribeKey"}
	for _, c := range []struct {
		name  string
		files []string
		want  []string
	}{
		{"same account or role", []string{"key-policy.json"}, slices.Collect(maps.Keys(useActions))},
		{"replica", []string{"key-policy-replica.json"}, unwrapOnly},
		{"grant alone", []string{"key-policy-grant.json"}, nil},
		{"the vendor's own policy", []string{"vendor-use-grant.json"}, slices.Collect(maps.Keys(useActions))},
		{"one database denied", []string{"key-policy.json", "deny-database.json"}, []string{"kms:DescribeKey"}},
		{"outside the endpoint", []string{"key-policy.json", "deny-outside-endpoint.json"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := published(t, c.files...)
			for action, r := range calls {
				want := slices.Contains(c.want, action)
				for name, r := range map[string]awsRequest{"first epoch": r, "second epoch": laterCalls[action]} {
					if got := allows(t, policy, r); got != want {
						t.Errorf("%s, %s: allowed %v, want %v", action, name, got, want)
					}
				}
				if !useActions[action] {
					continue
				}
				for name, r := range map[string]awsRequest{
					"another database":       otherCalls[action],
					"no database":            r.without(contextKeyPrefix + crypt.ContextDatabase),
					"another purpose":        r.with(contextKeyPrefix+crypt.ContextPurpose, "wal"),
					"more in the context":    r.with(contextKeysKey, "tenant"),
					"somebody else":          {principal: vendorRole, action: "kms:Decrypt", keys: map[string][]string{}},
					"Encrypt":                {principal: customerRole, action: "kms:Encrypt", keys: r.keys},
					"CreateGrant":            {principal: customerRole, action: "kms:CreateGrant", keys: r.keys},
					"without plaintext":      {principal: customerRole, action: "kms:GenerateDataKeyWithoutPlaintext", keys: r.keys},
					"rewrap to another key":  {principal: customerRole, action: "kms:ReEncryptTo", keys: r.with("kms:ReEncryptOnSameKey", "false").keys},
					"disable by the vendor":  {principal: customerRole, action: "kms:DisableKey", keys: r.keys},
					"deletion by the vendor": {principal: customerRole, action: "kms:ScheduleKeyDeletion", keys: r.keys},
				} {
					if allows(t, policy, r) {
						t.Errorf("%s is allowed: %s", name, r.action)
					}
				}
			}
		})
	}
}

func TestEndpointPolicyAllowsTheEndpoint(t *testing.T) {
	policy := published(t, "key-policy.json", "deny-outside-endpoint.json")
	const endpoint = "vpce-1234abcdf5678c90a"
	for action, r := range providerCalls(t, publishedContext(t)) {
		if !allows(t, policy, r.with("aws:SourceVpce", endpoint)) {
			t.Errorf("%s is denied through the endpoint", action)
		}
		if allows(t, policy, r.with("aws:SourceVpce", "vpce-0000")) {
			t.Errorf("%s is allowed through another endpoint", action)
		}
	}
}

// Who may do what to the key is taken apart: nobody who manages it uses it, and
// only one role deletes it, after the longest wait.
func TestDutiesAreSeparate(t *testing.T) {
	const account = "arn:aws:iam::" + customerAccount
	for _, file := range []string{"key-policy.json", "key-policy-grant.json", "key-policy-replica.json"} {
		policy := published(t, file)
		for _, c := range []struct {
			who, action string
			want        bool
		}{
			{account + ":role/key-switch", "kms:DisableKey", true},
			{account + ":role/key-switch", "kms:EnableKey", true},
			{account + ":role/key-switch", "kms:CancelKeyDeletion", true},
			{account + ":role/key-switch", "kms:RevokeGrant", true},
			{account + ":role/key-switch", "kms:PutKeyPolicy", false},
			{account + ":role/key-switch", "kms:ScheduleKeyDeletion", false},
			{account + ":role/key-deletion", "kms:DisableKey", false},
			{account + ":root", "kms:PutKeyPolicy", true},
			{account + ":root", "kms:DisableKey", false},
			{account + ":root", "kms:ScheduleKeyDeletion", false},
			{account + ":root", "kms:Decrypt", false},
			{account + ":root", "kms:CreateGrant", false},
		} {
			if got := allows(t, policy, awsRequest{principal: c.who, action: c.action}); got != c.want {
				t.Errorf("%s: %s by %s: %v, want %v", file, c.action, c.who, got, c.want)
			}
		}
		del := awsRequest{principal: account + ":role/key-deletion", action: "kms:ScheduleKeyDeletion", keys: map[string][]string{}}
		const days = "kms:ScheduleKeyDeletionPendingWindowInDays"
		if !allows(t, policy, del.with(days, "30")) || allows(t, policy, del.with(days, "7")) {
			t.Errorf("%s: deletion must wait 30 days", file)
		}
	}
}

func TestGrantFits(t *testing.T) {
	grant, ok := parsePublished(t, "grant.json").(map[string]any)
	if !ok {
		t.Fatal("grant.json is no object")
	}
	create := awsRequest{principal: "arn:aws:iam::" + customerAccount + ":role/key-grants", action: "kms:CreateGrant", keys: map[string][]string{
		"kms:granteeprincipal": {vendorRole}, "kms:grantconstrainttype": {"EncryptionContextSubset"},
	}}
	l := policyLinter{}
	create.keys["kms:grantoperations"] = l.list(grant["Operations"], "Operations")
	policy := published(t, "key-policy-grant.json")
	if !allows(t, policy, create) {
		t.Error("the key policy does not allow the grant")
	}
	for name, r := range map[string]awsRequest{
		"another grantee":     create.with("kms:GranteePrincipal", customerRole),
		"another operation":   create.with("kms:GrantOperations", "CreateGrant"),
		"no constraint":       create.without("kms:GrantConstraintType"),
		"exact constraint":    create.with("kms:GrantConstraintType", "EncryptionContextEquals"),
		"by the switch":       {principal: "arn:aws:iam::" + customerAccount + ":role/key-switch", action: create.action, keys: create.keys},
		"by the vendor":       {principal: vendorRole, action: create.action, keys: create.keys},
		"by account at large": {principal: "arn:aws:iam::" + customerAccount + ":root", action: create.action, keys: create.keys},
	} {
		if allows(t, policy, r) {
			t.Errorf("%s is allowed", name)
		}
	}
	constraints := l.members(l.members(grant["Constraints"], "", "EncryptionContextSubset")["EncryptionContextSubset"], "",
		crypt.ContextDatabase, crypt.ContextPurpose)
	for epoch := range crypt.Epoch(3) {
		c := publishedContext(t)
		c.Epoch = epoch + 1
		for member, value := range constraints {
			if c.Map()[member] != value {
				t.Errorf("epoch %d: %s is %s, the grant wants %v", c.Epoch, member, c.Map()[member], value)
			}
		}
	}
	if len(l.faults) > 0 {
		t.Error(l.faults)
	}
}

func TestTrustPolicyAdmitsTheVendor(t *testing.T) {
	trust := published(t, "role-trust-policy.json")
	assume := awsRequest{principal: vendorRole, action: "sts:AssumeRole", keys: map[string][]string{
		"sts:externalid": {"customer-17"}, "sts:rolesessionname": {roleSessionName},
	}}
	if !allows(t, trust, assume) || !allows(t, published(t, "vendor-assume-role.json"), assume) {
		t.Error("the vendor may not assume the role")
	}
	for name, r := range map[string]awsRequest{
		"no external id":      assume.without("sts:ExternalId"),
		"another external id": assume.with("sts:ExternalId", "customer-18"),
		"another session":     assume.with("sts:RoleSessionName", "shell"),
		"somebody else":       {principal: customerRole, action: assume.action, keys: assume.keys},
	} {
		if allows(t, trust, r) {
			t.Errorf("%s may assume the role", name)
		}
	}
}

func TestRevokedSessions(t *testing.T) {
	policy := published(t, "key-policy.json", "revoke-sessions.json")
	r := providerCalls(t, publishedContext(t))["kms:Decrypt"]
	if allows(t, policy, r.with("aws:TokenIssueTime", "2026-11-26T11:59:59Z")) {
		t.Error("a session from before may go on")
	}
	if !allows(t, policy, r.with("aws:TokenIssueTime", "2026-11-26T12:00:01Z")) {
		t.Error("a later session is denied")
	}
}
