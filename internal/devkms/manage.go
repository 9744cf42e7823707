package devkms

import (
	"slices"
	"strings"
	"time"
)

// Operations that change keys. None of them takes an alias.

// change finds a key for op, lets fn change a copy of it, and keeps the copy
// once it is saved.
func (c *call) change(id, op string, fn func(*key) error) (*key, error) {
	k, err := c.find(id, false)
	if err != nil {
		return nil, err
	}
	if err := k.allow(op, nil); err != nil {
		return nil, err
	}
	before := *k
	before.Materials = slices.Clone(k.Materials)
	if err := fn(k); err != nil {
		return nil, err
	}
	if err := c.save(); err != nil {
		*k = before
		return nil, err
	}
	c.changed(k, &before)
	return k, nil
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

type nothing struct{}

func (c *call) doDisableKey(in keyInput) (any, error) {
	return c.setState(in, "DisableKey", stateDisabled)
}

func (c *call) doEnableKey(in keyInput) (any, error) {
	return c.setState(in, "EnableKey", stateEnabled)
}

func (c *call) setState(in keyInput, op, to string) (any, error) {
	_, err := c.change(in.KeyID, op, func(k *key) error {
		if k.deleting() {
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

func (c *call) doScheduleKeyDeletion(in scheduleInput) (any, error) {
	window := windowDaysMax
	if in.PendingWindowInDays != nil {
		window = *in.PendingWindowInDays
	}
	if window < windowDaysMin || window > windowDaysMax {
		return nil, refuse("ValidationException", "Value at 'pendingWindowInDays' failed to satisfy constraint: Member must be between 7 and 30")
	}
	k, err := c.change(in.KeyID, "ScheduleKeyDeletion", func(k *key) error {
		if k.deleting() {
			return k.invalidState()
		}
		if _, replicas := c.state.family(k.ID); !k.Replica && len(replicas) > 0 {
			k.State, k.Window = statePendingReplicaDeletion, window
			return nil
		}
		k.State, k.Deletion = statePendingDeletion, c.clock.Now().UTC().Add(days(window))
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[string]any{"KeyId": k.arn(), "KeyState": k.State, "PendingWindowInDays": window}
	if k.State == statePendingDeletion {
		out["DeletionDate"] = seconds(k.Deletion)
	}
	return out, nil
}

// doCancelKeyDeletion leaves the key disabled, as KMS does.
func (c *call) doCancelKeyDeletion(in keyInput) (any, error) {
	k, err := c.change(in.KeyID, "CancelKeyDeletion", func(k *key) error {
		if !k.deleting() {
			return k.invalidState()
		}
		k.State, k.Deletion, k.Window = stateDisabled, time.Time{}, 0
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"KeyId": k.arn()}, nil
}

// doRotateKeyOnDemand gives a key and its replicas new material.
func (c *call) doRotateKeyOnDemand(in keyInput) (any, error) {
	k, err := c.find(in.KeyID, false)
	if err != nil {
		return nil, err
	}
	_, replicas := c.state.family(k.ID)
	before := make([][]material, len(replicas))
	for i, r := range replicas {
		before[i] = r.Materials
	}
	_, err = c.change(in.KeyID, "RotateKeyOnDemand", func(k *key) error {
		switch {
		case k.Spec != specSymmetric:
			return refuse("UnsupportedOperationException", "only symmetric keys rotate")
		case k.Replica:
			return refuse("UnsupportedOperationException", "a replica key rotates with its primary key")
		case len(k.Materials) > rotationsMax:
			return refuse("LimitExceededException", "the key was rotated on demand as often as it may be")
		}
		if err := k.usable(); err != nil {
			return err
		}
		m := newMaterial()
		k.Materials = append(k.Materials, m)
		for _, r := range replicas {
			r.Materials = append(r.Materials, cloneMaterials([]material{m})...)
		}
		return nil
	})
	if err != nil {
		for i, r := range replicas {
			r.Materials = before[i]
		}
		return nil, err
	}
	return map[string]string{"KeyId": k.arn()}, nil
}

type aliasInput struct {
	AliasName   string
	TargetKeyID string `json:"TargetKeyId"`
}

func (c *call) doCreateAlias(in aliasInput) (any, error) {
	if !strings.HasPrefix(in.AliasName, "alias/") || len(in.AliasName) == len("alias/") || strings.HasPrefix(in.AliasName, "alias/aws/") {
		return nil, refuse("ValidationException", "an alias name is alias/ and a name that does not begin with aws/")
	}
	k, err := c.find(in.TargetKeyID, false)
	if err != nil {
		return nil, err
	}
	name := aliasKey(k.Region, in.AliasName)
	if _, taken := c.state.Aliases[name]; taken {
		return nil, refuse("AlreadyExistsException", "An alias with the name "+arnPrefix(k.Region)+in.AliasName+" already exists")
	}
	c.state.Aliases[name] = k.ID
	if err := c.save(); err != nil {
		delete(c.state.Aliases, name)
		return nil, err
	}
	return nothing{}, nil
}

type aliasEntry struct {
	AliasArn    string
	AliasName   string
	TargetKeyID string `json:"TargetKeyId"`
}

func (c *call) doListAliases(in keyInput) (any, error) {
	only, where := "", c.home()
	if in.KeyID != "" {
		k, err := c.find(in.KeyID, false)
		if err != nil {
			return nil, err
		}
		only, where = k.ID, k.Region
	}
	entries := []aliasEntry{}
	for stored, target := range c.state.Aliases {
		if region, name := aliasOf(stored); region == where && (only == "" || only == target) {
			entries = append(entries, aliasEntry{AliasArn: arnPrefix(region) + name, AliasName: name, TargetKeyID: target})
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

func (c *call) doPutKeyPolicy(in policyInput) (any, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	_, err := c.change(in.KeyID, "PutKeyPolicy", func(k *key) error {
		_, err := parsePolicy(in.Policy)
		if err != nil {
			return err
		}
		before := k.Policy
		k.Policy = in.Policy
		if k.allow("PutKeyPolicy", nil) != nil {
			k.Policy = before
			return refuse("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
		}
		return nil
	})
	return nothing{}, err
}

func (c *call) doGetKeyPolicy(in policyInput) (any, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	k, err := c.find(in.KeyID, false)
	if err != nil {
		return nil, err
	}
	if err := k.allow("GetKeyPolicy", nil); err != nil {
		return nil, err
	}
	return map[string]string{"Policy": k.Policy, "PolicyName": policyNameOnly}, nil
}
