package devkms

import (
	"encoding/json"
	"path"
)

// policy is the part of a key policy that the service obeys: statements that
// deny actions to everybody. There are no callers to tell apart, so principals,
// conditions and resources are not looked at, and everything that is not denied
// is allowed.
type policy struct {
	Statement []struct {
		Effect string
		Action stringList
	}
}

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
		return policy{}, refuse("MalformedPolicyDocumentException", "the policy is not a JSON document with statements")
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return policy{}, refuse("MalformedPolicyDocumentException", "a statement's Effect is neither Allow nor Deny")
		}
	}
	return p, nil
}

// allow refuses op when the key's policy denies it.
func (k *key) allow(op string) error {
	p, err := parsePolicy(k.Policy)
	if err != nil {
		return err
	}
	for _, s := range p.Statement {
		for _, action := range s.Action {
			if match, err := path.Match(action, "kms:"+op); s.Effect == "Deny" && err == nil && match {
				return refuse("AccessDeniedException", "User: arn:aws:iam::"+Account+":user/developer is not authorized to perform: kms:"+op+
					" on resource: "+k.arn()+" with an explicit deny in a resource-based policy")
			}
		}
	}
	return nil
}
