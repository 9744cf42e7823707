package devkms

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// policy is the part of a key policy that the service obeys: statements that
// deny actions to everybody, or to whoever uses the key with an encryption
// context. There are no callers to tell apart, so principals, resources and the
// conditions of what is allowed are not looked at, and everything that is not
// denied is allowed.
type policy struct {
	Statement []statement
}

type statement struct {
	Effect    string
	Action    stringList
	Condition map[string]map[string]stringList // operator → condition key → values
}

// The one condition that a statement with Deny may have.
const (
	stringEquals    = "StringEquals"
	contextKey      = "kms:EncryptionContext:" // and the name of a member
	malformedPolicy = "MalformedPolicyDocumentException"
)

// stringList is a string or a list of strings, as policies have it.
type stringList []string

// UnmarshalJSON accepts both forms.
func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// parsePolicy refuses what is not a policy.
func parsePolicy(text string) (policy, error) {
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.Statement) == 0 {
		return policy{}, refuse(malformedPolicy, "the policy is not a JSON document with statements")
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return policy{}, refuse(malformedPolicy, "a statement's Effect is neither Allow nor Deny")
		}
		if err := s.validate(); err != nil {
			return policy{}, err
		}
	}
	return p, nil
}

// validate refuses conditions of a denial that would not be obeyed.
func (s statement) validate() error {
	if s.Effect != "Deny" {
		return nil
	}
	for operator, keys := range s.Condition {
		for name := range keys {
			if operator != stringEquals || !strings.HasPrefix(name, contextKey) {
				return refuse(malformedPolicy, "devkms denies on "+stringEquals+" of "+contextKey+"NAME alone")
			}
		}
	}
	return nil
}

// denies reports whether the statement denies an action with a context.
func (s statement) denies(op string, context map[string]string) bool {
	if s.Effect != "Deny" || !slices.ContainsFunc(s.Action, func(action string) bool {
		match, err := path.Match(action, "kms:"+op)
		return err == nil && match
	}) {
		return false
	}
	for name, values := range s.Condition[stringEquals] {
		value, ok := context[strings.TrimPrefix(name, contextKey)]
		if !ok || !slices.Contains(values, value) {
			return false
		}
	}
	return true
}

// allow refuses op when the key's policy denies it.
func (k *key) allow(op string, context map[string]string) error {
	p, err := parsePolicy(k.Policy)
	if err != nil {
		return err
	}
	for _, s := range p.Statement {
		if s.denies(op, context) {
			return refuse("AccessDeniedException", "User: arn:aws:iam::"+Account+":user/developer is not authorized to perform: kms:"+op+
				" on resource: "+k.arn()+" with an explicit deny in a resource-based policy")
		}
	}
	return nil
}
