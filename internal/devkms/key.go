package devkms

import (
	"crypto/rand"
	"time"
)

// State words of a key, as KMS has them.
const (
	stateEnabled         = "Enabled"
	stateDisabled        = "Disabled"
	statePendingDeletion = "PendingDeletion"
)

const (
	specSymmetric  = "SYMMETRIC_DEFAULT"
	usageEncrypt   = "ENCRYPT_DECRYPT"
	usageSign      = "SIGN_VERIFY"
	usageMAC       = "GENERATE_VERIFY_MAC"
	rotationsMax   = 25 // on demand, per key
	materialSize   = 32 // bytes
	windowDaysMax  = 30
	windowDaysMin  = 7
	defaultPolicy  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + Account + `:root"},"Action":"kms:*","Resource":"*"}]}`
	policyNameOnly = "default"
)

// state is everything that the service knows; it is what its file holds.
type state struct {
	Version int
	Keys    []*key
	Aliases map[string]string // alias/NAME → key id
}

const stateVersion = 1

func newState() state { return state{Version: stateVersion, Aliases: map[string]string{}} }

// key is one KEK of the service.
type key struct {
	ID          string
	Region      string // empty in a state file: the constant Region
	Description string
	Spec        string
	Usage       string
	State       string
	MultiRegion bool
	Replica     bool // of a multi-Region key
	Created     time.Time
	Deletion    time.Time  // when State is PendingDeletion
	Window      int        // days that a primary will wait once its replicas are gone
	Materials   []material // the last one is current
	Policy      string
}

// material is one generation of a key's bytes.
type material struct {
	ID    string
	Bytes []byte
}

func (k *key) arn() string        { return arnPrefix(k.Region) + "key/" + k.ID }
func (k *key) current() *material { return &k.Materials[len(k.Materials)-1] }

// key returns the key of an id in a region, or nil.
func (st *state) key(region, id string) *key {
	for _, k := range st.Keys {
		if k.ID == id && k.Region == region {
			return k
		}
	}
	return nil
}

func (k *key) material(id string) *material {
	for i := range k.Materials {
		if k.Materials[i].ID == id {
			return &k.Materials[i]
		}
	}
	return nil
}

func newMaterial() material {
	m := material{ID: newMaterialID(), Bytes: make([]byte, materialSize)}
	rand.Read(m.Bytes)
	return m
}

// usable refuses keys that cannot encrypt or decrypt now.
func (k *key) usable() error {
	switch {
	case k.Spec != specSymmetric || k.Usage != usageEncrypt:
		return refuse("InvalidKeyUsageException", k.arn()+" key usage is "+k.Usage+" with spec "+k.Spec+", which is not valid for this operation.")
	case k.State == stateDisabled:
		return refuse("DisabledException", k.arn()+" is disabled.")
	case k.State != stateEnabled:
		return k.invalidState()
	}
	return nil
}

// deleting reports whether the key is on its way to be deleted.
func (k *key) deleting() bool {
	return k.State == statePendingDeletion || k.State == statePendingReplicaDeletion
}

func (k *key) invalidState() error {
	words := map[string]string{
		statePendingDeletion: "pending deletion", statePendingReplicaDeletion: "pending replica deletion",
		stateDisabled: "disabled", stateEnabled: "enabled",
	}
	return refuse("KMSInvalidStateException", k.arn()+" is "+words[k.State]+".")
}

// expireKeys deletes the keys whose waiting period is over, for good.
func (s *Server) expireKeys() {
	now := s.clock.Now()
	kept := s.state.Keys[:0]
	for _, k := range s.state.Keys {
		if k.State != statePendingDeletion || now.Before(k.Deletion) {
			kept = append(kept, k)
			continue
		}
		for _, m := range k.Materials {
			clear(m.Bytes)
		}
		for name, target := range s.state.Aliases {
			if region, _ := aliasOf(name); target == k.ID && region == k.Region {
				delete(s.state.Aliases, name)
			}
		}
		delete(s.changes, k)
	}
	clear(s.state.Keys[len(kept):])
	s.state.Keys = kept
	for _, k := range kept {
		s.releasePrimary(k)
	}
}
