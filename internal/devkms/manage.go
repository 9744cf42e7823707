package devkms

import (
	"slices"
	"strings"
	"time"
)

// Operations that change keys. None of them takes an alias.

// change finds a key for op, lets fn change a copy of it, and keeps the copy
// once it is saved.
func (s *Server) change(id, op string, fn func(*key) error) (*key, error) {
	k, err := s.find(id, false)
	if err != nil {
		return nil, err
	}
	if err := k.allow(op); err != nil {
		return nil, err
	}
	before := *k
	before.Materials = slices.Clone(k.Materials)
	if err := fn(k); err != nil {
		return nil, err
	}
	if err := s.save(); err != nil {
		*k = before
		return nil, err
	}
	return k, nil
}

type nothing struct{}

func (s *Server) doDisableKey(in keyInput) (any, error) {
	return s.setState(in, "DisableKey", stateDisabled)
}

func (s *Server) doEnableKey(in keyInput) (any, error) {
	return s.setState(in, "EnableKey", stateEnabled)
}

func (s *Server) setState(in keyInput, op, to string) (any, error) {
	_, err := s.change(in.KeyID, op, func(k *key) error {
		if k.State == statePendingDeletion {
			return k.invalidState()
		}
		k.State = to
		return nil
	})
	return nothing{}, err
}

type scheduleInput struct {
	KeyID               string `json:"KeyId"`
	PendingWindowInDays *int
}

func (s *Server) doScheduleKeyDeletion(in scheduleInput) (any, error) {
	days := windowDaysMax
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	if days < windowDaysMin || days > windowDaysMax {
		return nil, refuse("ValidationException", "Value at 'pendingWindowInDays' failed to satisfy constraint: Member must be between 7 and 30")
	}
	k, err := s.change(in.KeyID, "ScheduleKeyDeletion", func(k *key) error {
		if k.State == statePendingDeletion {
			return k.invalidState()
		}
		k.State = statePendingDeletion
		k.Deletion = s.clock.Now().UTC().Add(time.Duration(days) * 24 * time.Hour)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": k.arn(), "KeyState": k.State, "DeletionDate": seconds(k.Deletion), "PendingWindowInDays": days}, nil
}

// doCancelKeyDeletion leaves the key disabled, as KMS does.
func (s *Server) doCancelKeyDeletion(in keyInput) (any, error) {
	k, err := s.change(in.KeyID, "CancelKeyDeletion", func(k *key) error {
		if k.State != statePendingDeletion {
			return k.invalidState()
		}
		k.State, k.Deletion = stateDisabled, time.Time{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"KeyId": k.arn()}, nil
}

func (s *Server) doRotateKeyOnDemand(in keyInput) (any, error) {
	k, err := s.change(in.KeyID, "RotateKeyOnDemand", func(k *key) error {
		switch {
		case k.Spec != specSymmetric:
			return refuse("UnsupportedOperationException", "only symmetric keys rotate")
		case len(k.Materials) > rotationsMax:
			return refuse("LimitExceededException", "the key was rotated on demand as often as it may be")
		}
		if err := k.usable(); err != nil {
			return err
		}
		k.Materials = append(k.Materials, newMaterial())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"KeyId": k.arn()}, nil
}

type aliasInput struct {
	AliasName   string
	TargetKeyID string `json:"TargetKeyId"`
}

func (s *Server) doCreateAlias(in aliasInput) (any, error) {
	if !strings.HasPrefix(in.AliasName, "alias/") || len(in.AliasName) == len("alias/") || strings.HasPrefix(in.AliasName, "alias/aws/") {
		return nil, refuse("ValidationException", "an alias name is alias/ and a name that does not begin with aws/")
	}
	k, err := s.find(in.TargetKeyID, false)
	if err != nil {
		return nil, err
	}
	if _, taken := s.state.Aliases[in.AliasName]; taken {
		return nil, refuse("AlreadyExistsException", "An alias with the name "+arnPrefix+in.AliasName+" already exists")
	}
	s.state.Aliases[in.AliasName] = k.ID
	if err := s.save(); err != nil {
		delete(s.state.Aliases, in.AliasName)
		return nil, err
	}
	return nothing{}, nil
}

type aliasEntry struct {
	AliasArn    string
	AliasName   string
	TargetKeyID string `json:"TargetKeyId"`
}

func (s *Server) doListAliases(in keyInput) (any, error) {
	var only string
	if in.KeyID != "" {
		k, err := s.find(in.KeyID, false)
		if err != nil {
			return nil, err
		}
		only = k.ID
	}
	entries := []aliasEntry{}
	for name, target := range s.state.Aliases {
		if only == "" || only == target {
			entries = append(entries, aliasEntry{AliasArn: arnPrefix + name, AliasName: name, TargetKeyID: target})
		}
	}
	slices.SortFunc(entries, func(a, b aliasEntry) int { return strings.Compare(a.AliasName, b.AliasName) })
	return map[string]any{"Aliases": entries, "Truncated": false}, nil
}

type policyInput struct {
	KeyID      string `json:"KeyId"`
	PolicyName string
	Policy     string
}

func (in policyInput) validate() error {
	if in.PolicyName != "" && in.PolicyName != policyNameOnly {
		return refuse("ValidationException", "the only policy is named default")
	}
	return nil
}

func (s *Server) doPutKeyPolicy(in policyInput) (any, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	_, err := s.change(in.KeyID, "PutKeyPolicy", func(k *key) error {
		_, err := parsePolicy(in.Policy)
		if err != nil {
			return err
		}
		before := k.Policy
		k.Policy = in.Policy
		if k.allow("PutKeyPolicy") != nil {
			k.Policy = before
			return refuse("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
		}
		return nil
	})
	return nothing{}, err
}

func (s *Server) doGetKeyPolicy(in policyInput) (any, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	k, err := s.find(in.KeyID, false)
	if err != nil {
		return nil, err
	}
	if err := k.allow("GetKeyPolicy"); err != nil {
		return nil, err
	}
	return map[string]string{"Policy": k.Policy, "PolicyName": policyNameOnly}, nil
}
