package devkms

import (
	"crypto/rand"
	"strings"
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
	Description string
	Spec        string
	Usage       string
	State       string
	MultiRegion bool
	Created     time.Time
	Deletion    time.Time  // when State is PendingDeletion
	Materials   []material // the last one is current
	Policy      string
}

// material is one generation of a key's bytes.
type material struct {
	ID    string
	Bytes []byte
}

func (k *key) arn() string        { return arnPrefix + "key/" + k.ID }
func (k *key) current() *material { return &k.Materials[len(k.Materials)-1] }

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

// find returns the key of an id, an ARN and, where aliases are allowed, an
// alias name or alias ARN.
func (s *Server) find(id string, aliases bool) (*key, error) {
	name := strings.TrimPrefix(id, arnPrefix)
	if strings.HasPrefix(name, "alias/") {
		if !aliases {
			return nil, refuse("InvalidArnException", "this operation takes a key id or a key ARN, not an alias")
		}
		if target, ok := s.state.Aliases[name]; ok {
			return s.find(target, false)
		}
		return nil, refuse("NotFoundException", "Alias "+arnPrefix+name+" is not found.")
	}
	name = strings.TrimPrefix(name, "key/")
	for _, k := range s.state.Keys {
		if k.ID == name {
			return k, nil
		}
	}
	if id == "" {
		return nil, refuse("ValidationException", "1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must not be null")
	}
	return nil, refuse("NotFoundException", "Key '"+arnPrefix+"key/"+name+"' does not exist")
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

func (k *key) invalidState() error {
	words := map[string]string{statePendingDeletion: "pending deletion", stateDisabled: "disabled", stateEnabled: "enabled"}
	return refuse("KMSInvalidStateException", k.arn()+" is "+words[k.State]+".")
}

// expireKeys deletes the keys whose waiting period is over, for good.
func (s *Server) expireKeys() {
	now := s.clock.Now()
	kept := s.state.Keys[:0]
	for _, k := range s.state.Keys {
		if k.State == statePendingDeletion && !now.Before(k.Deletion) {
			for _, m := range k.Materials {
				clear(m.Bytes)
			}
			for name, target := range s.state.Aliases {
				if target == k.ID {
					delete(s.state.Aliases, name)
				}
			}
			continue
		}
		kept = append(kept, k)
	}
	clear(s.state.Keys[len(kept):])
	s.state.Keys = kept
}
