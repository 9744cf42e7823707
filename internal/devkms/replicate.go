package devkms

import (
	"slices"
	"strings"
)

// Multi-Region keys. A primary and its replicas have one key id and the same
// material in several regions; state, policy and description are each one's own.

const statePendingReplicaDeletion = "PendingReplicaDeletion"

type keyPlace struct{ Arn, Region string }

type multiRegionConfiguration struct {
	MultiRegionKeyType string
	PrimaryKey         keyPlace
	ReplicaKeys        []keyPlace
}

func (k *key) place() keyPlace { return keyPlace{Arn: k.arn(), Region: k.Region} }

// family returns the primary of a multi-Region key and its replicas, in the
// order in which they were made.
func (st *state) family(id string) (primary *key, replicas []*key) {
	for _, k := range st.Keys {
		switch {
		case k.ID != id:
		case k.Replica:
			replicas = append(replicas, k)
		default:
			primary = k
		}
	}
	return primary, replicas
}

// configuration describes the family of k, or is nil.
func (st *state) configuration(k *key) *multiRegionConfiguration {
	primary, replicas := st.family(k.ID)
	if !k.MultiRegion || primary == nil {
		return nil
	}
	out := &multiRegionConfiguration{MultiRegionKeyType: "PRIMARY", PrimaryKey: primary.place(), ReplicaKeys: []keyPlace{}}
	if k.Replica {
		out.MultiRegionKeyType = "REPLICA"
	}
	for _, r := range replicas {
		out.ReplicaKeys = append(out.ReplicaKeys, r.place())
	}
	return out
}

type replicateInput struct {
	KeyID         string `json:"KeyId"`
	ReplicaRegion string
	Description   string
	Policy        string
}

func (c *call) doReplicateKey(in replicateInput) (any, error) {
	r, err := c.replicate(in)
	if err != nil {
		return nil, err
	}
	return map[string]any{"ReplicaKeyMetadata": c.metadata(r), "ReplicaPolicy": r.Policy}, nil
}

// replicate makes a replica, which is enabled at once.
func (c *call) replicate(in replicateInput) (*key, error) {
	k, err := c.find(in.KeyID, false)
	if err != nil {
		return nil, err
	}
	if err := k.allow("ReplicateKey", nil); err != nil {
		return nil, err
	}
	policy := in.Policy
	if policy == "" {
		policy = defaultPolicy
	}
	switch _, err := parsePolicy(policy); {
	case err != nil:
		return nil, err
	case !k.MultiRegion || k.Replica:
		return nil, refuse("UnsupportedOperationException", k.arn()+" is not a multi-Region primary key.")
	case !regionName.MatchString(in.ReplicaRegion):
		return nil, refuse("ValidationException", "Value at 'replicaRegion' failed to satisfy constraint")
	case c.state.key(in.ReplicaRegion, k.ID) != nil:
		return nil, refuse("AlreadyExistsException", "a key with this id exists in "+in.ReplicaRegion)
	case k.State == stateDisabled:
		return nil, refuse("DisabledException", k.arn()+" is disabled.")
	case k.State != stateEnabled:
		return nil, k.invalidState()
	}
	r := &key{
		ID: k.ID, Region: in.ReplicaRegion, Description: in.Description, Spec: k.Spec, Usage: k.Usage, State: stateEnabled,
		MultiRegion: true, Replica: true, Created: c.clock.Now().UTC(), Materials: cloneMaterials(k.Materials), Policy: policy,
	}
	return r, c.add(r)
}

// cloneMaterials copies bytes too: a key that is deleted clears its own.
func cloneMaterials(from []material) []material {
	out := make([]material, len(from))
	for i, m := range from {
		out[i] = material{ID: m.ID, Bytes: slices.Clone(m.Bytes)}
	}
	return out
}

// releasePrimary lets the waiting period of a primary begin once its last
// replica is gone.
func (s *Server) releasePrimary(k *key) {
	if k.State != statePendingReplicaDeletion {
		return
	}
	if _, replicas := s.state.family(k.ID); len(replicas) == 0 {
		k.State = statePendingDeletion
		k.Deletion = s.clock.Now().UTC().Add(days(k.Window))
	}
}

// multiRegionID makes a multi-Region key id of a UUID; it is as long.
func multiRegionID(uuid string) string { return "mrk-" + strings.ReplaceAll(uuid, "-", "") }
