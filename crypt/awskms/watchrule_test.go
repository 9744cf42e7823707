package awskms

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// matchesPattern evaluates an EventBridge pattern, as far as docs/kms uses them.
//
// Source: Amazon EventBridge User Guide, event patterns; comparison operators.
func matchesPattern(t *testing.T, pattern map[string]any, event any) bool {
	t.Helper()
	if list, ok := event.([]any); ok { // any element may match
		return slices.ContainsFunc(list, func(v any) bool { return matchesPattern(t, pattern, v) })
	}
	members, _ := event.(map[string]any)
	for name, want := range pattern {
		switch want := want.(type) {
		case map[string]any:
			if !matchesPattern(t, want, members[name]) {
				return false
			}
		case []any:
			test := func(v any) bool { return matchesValue(t, v, members[name]) }
			if name == "$or" {
				test = func(v any) bool {
					alternative, ok := v.(map[string]any)
					return ok && matchesPattern(t, alternative, event)
				}
			}
			if !slices.ContainsFunc(want, test) {
				return false
			}
		default:
			t.Fatalf("%s: a pattern holds objects and lists, not %v", name, want)
		}
	}
	return true
}

func matchesValue(t *testing.T, want, value any) bool {
	t.Helper()
	operator, ok := want.(map[string]any)
	if !ok {
		return value == want
	}
	if len(operator) != 1 {
		t.Fatalf("operators %v", operator)
	}
	text, present := value.(string)
	switch exists, but := operator["exists"], operator["anything-but"]; {
	case exists != nil:
		return exists == (value != nil)
	case but != nil && present:
		if list, ok := but.([]any); ok {
			return !slices.Contains(list, any(text))
		}
		nested, ok := but.(map[string]any)
		wildcard, isText := nested["wildcard"].(string)
		if !ok || !isText || len(nested) != 1 {
			t.Fatalf("anything-but %v", but)
		}
		// path.Match's star stops at slashes: what the pattern says of them is said of colons.
		flat := strings.NewReplacer("/", ":", "[", "(", "?", "!")
		match, err := path.Match(flat.Replace(wildcard), flat.Replace(text))
		if err != nil {
			t.Fatal(err)
		}
		return !match
	case but == nil:
		t.Fatalf("unknown operator %v", operator)
	}
	return false
}

// The rule must be silent on what byokdb does, and speak up on everything else.
func TestWatchRule(t *testing.T) {
	pattern, ok := parsePublished(t, "watch-rule.json").(map[string]any)
	if !ok {
		t.Fatal("watch-rule.json is no object")
	}
	const otherDatabase = "ffffffffffffffffffffffffffffffff"
	own := publishedContext(t).Map()
	context := func(changes map[string]string) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]string{own, changes} {
			for name, value := range m {
				out[name] = value
			}
		}
		return out
	}
	rewrap := func(destination map[string]any) map[string]any {
		return map[string]any{"sourceEncryptionContext": context(nil), "destinationEncryptionContext": destination}
	}
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    bool
	}{
		{"a probe", nil, false},
		{"after a rotation", map[string]any{"requestParameters": map[string]any{"encryptionContext": context(map[string]string{"byokdb:epoch": "2"})}}, false},
		{"creation", map[string]any{"eventName": "GenerateDataKey"}, false},
		{"description", map[string]any{"eventName": "DescribeKey", "requestParameters": map[string]any{"keyId": testARN}}, false},
		{"rewrap", map[string]any{"eventName": "ReEncrypt", "requestParameters": rewrap(context(nil))}, false},
		{"another key", map[string]any{
			"resources": []any{map[string]any{"ARN": "arn:aws:kms:eu-west-1:111122223333:key/other"}}, "errorCode": "DisabledException",
		}, false},
		{"a refusal", map[string]any{"errorCode": "DisabledException"}, true},
		{"another database", map[string]any{"requestParameters": map[string]any{
			"encryptionContext": context(map[string]string{"byokdb:database": otherDatabase}),
		}}, true},
		{"no context", map[string]any{"requestParameters": map[string]any{"keyId": testARN}}, true},
		{"rewrap to another database", map[string]any{"eventName": "ReEncrypt", "requestParameters": rewrap(context(map[string]string{"byokdb:database": otherDatabase}))}, true},
		{"another program", map[string]any{"userAgent": "aws-cli/2.31.0"}, true},
		{"another account", map[string]any{"userIdentity": map[string]any{"accountId": "777788889999"}}, true},
		{"Encrypt", map[string]any{"eventName": "Encrypt"}, true},
		{"disabled", map[string]any{"eventName": "DisableKey", "requestParameters": map[string]any{"keyId": testARN}}, true},
		{"enabled", map[string]any{"eventName": "EnableKey", "requestParameters": map[string]any{"keyId": testARN}}, true},
		{"policy changed", map[string]any{"eventName": "PutKeyPolicy", "requestParameters": map[string]any{"keyId": testARN}}, true},
		{"deletion", map[string]any{"eventName": "ScheduleKeyDeletion", "requestParameters": map[string]any{"keyId": testARN}}, true},
		{"grant", map[string]any{"eventName": "CreateGrant", "requestParameters": map[string]any{"keyId": testARN}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sample, ok := parsePublished(t, "event-decrypt.json").(map[string]any)
			if !ok {
				t.Fatal("event-decrypt.json is no object")
			}
			maps.Copy(sample, c.changes)
			event := map[string]any{"source": "aws.kms", "detail-type": "AWS API Call via CloudTrail", "detail": sample}
			if got := matchesPattern(t, pattern, event); got != c.want {
				t.Errorf("the rule matches: %v, want %v", got, c.want)
			}
		})
	}
	known := kmsActions()
	for _, name := range watchedNames(pattern) {
		if !known["kms:"+name] && name != "ReEncrypt" {
			t.Errorf("the rule waits for %s, which does not exist", name)
		}
	}
}

// watchedNames returns all event names in a pattern.
func watchedNames(v any) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if list, ok := value.([]any); ok && name == "eventName" {
				for _, one := range list {
					if s, ok := one.(string); ok {
						out = append(out, s)
					}
				}
				continue
			}
			out = append(out, watchedNames(value)...)
		}
	case []any:
		for _, one := range v {
			out = append(out, watchedNames(one)...)
		}
	}
	return out
}

// The sample event shows what the provider sends.
func TestSampleEvent(t *testing.T) {
	event, ok := parsePublished(t, "event-decrypt.json").(map[string]any)
	if !ok {
		t.Fatal("event-decrypt.json is no object")
	}
	parameters, _ := event["requestParameters"].(map[string]any)
	shown, _ := parameters["encryptionContext"].(map[string]any)
	sent := map[string]any{}
	for name, value := range publishedContext(t).Map() {
		sent[name] = value
	}
	if !maps.Equal(shown, sent) {
		t.Errorf("the event shows the context %v, sent is %v", shown, sent)
	}
	agent, _ := event["userAgent"].(string)
	if !slices.Contains(strings.Fields(agent), "app/"+appID) {
		t.Errorf("userAgent %q", agent)
	}
	identity, _ := event["userIdentity"].(map[string]any)
	if arn, _ := identity["arn"].(string); !strings.HasSuffix(arn, "assumed-role/byokdb/"+roleSessionName) {
		t.Errorf("principal %s", arn)
	}
}
