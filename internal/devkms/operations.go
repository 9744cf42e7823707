package devkms

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// operations are the known ones, by name. They run under the server's lock.
var operations = map[string]func(*Server, []byte) (any, error){
	"CreateKey":           decode((*Server).doCreateKey),
	"DescribeKey":         decode((*Server).doDescribeKey),
	"GenerateDataKey":     decode((*Server).doGenerateDataKey),
	"Encrypt":             decode((*Server).doEncrypt),
	"Decrypt":             decode((*Server).doDecrypt),
	"ReEncrypt":           decode((*Server).doReEncrypt),
	"DisableKey":          decode((*Server).doDisableKey),
	"EnableKey":           decode((*Server).doEnableKey),
	"ScheduleKeyDeletion": decode((*Server).doScheduleKeyDeletion),
	"CancelKeyDeletion":   decode((*Server).doCancelKeyDeletion),
	"RotateKeyOnDemand":   decode((*Server).doRotateKeyOnDemand),
	"CreateAlias":         decode((*Server).doCreateAlias),
	"ListAliases":         decode((*Server).doListAliases),
	"PutKeyPolicy":        decode((*Server).doPutKeyPolicy),
	"GetKeyPolicy":        decode((*Server).doGetKeyPolicy),
}

// decode parses a request before its operation.
func decode[T any](do func(*Server, T) (any, error)) func(*Server, []byte) (any, error) {
	return func(s *Server, body []byte) (any, error) {
		var in T
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, refuse("SerializationException", "the request is not the JSON of this operation")
			}
		}
		return do(s, in)
	}
}

type createKeyInput struct {
	Description string
	KeySpec     string
	KeyUsage    string
	MultiRegion bool
	Policy      string
}

type keyMetadata struct {
	AWSAccountID         string `json:"AWSAccountId"`
	Arn                  string
	CreationDate         float64  // seconds since 1970
	CurrentKeyMaterialID string   `json:"CurrentKeyMaterialId,omitempty"`
	DeletionDate         *float64 `json:",omitempty"`
	Description          string
	Enabled              bool
	EncryptionAlgorithms []string `json:",omitempty"`
	KeyID                string   `json:"KeyId"`
	KeyManager           string
	KeySpec              string
	KeyState             string
	KeyUsage             string
	MultiRegion          bool
	Origin               string
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (k *key) metadata() keyMetadata {
	m := keyMetadata{
		AWSAccountID: Account, Arn: k.arn(), CreationDate: seconds(k.Created), Description: k.Description,
		Enabled: k.State == stateEnabled, KeyID: k.ID, KeyManager: "CUSTOMER", KeySpec: k.Spec,
		KeyState: k.State, KeyUsage: k.Usage, MultiRegion: k.MultiRegion, Origin: "AWS_KMS",
	}
	if k.Spec == specSymmetric {
		m.CurrentKeyMaterialID = k.current().ID
		m.EncryptionAlgorithms = []string{specSymmetric}
	}
	if k.State == statePendingDeletion {
		d := seconds(k.Deletion)
		m.DeletionDate = &d
	}
	return m
}

// createKey makes a key. Of asymmetric and MAC keys only the description
// exists: they are there to be refused.
func (s *Server) createKey(in createKeyInput) (*key, error) {
	k := &key{
		ID: newUUID(), Description: in.Description, Spec: in.KeySpec, Usage: in.KeyUsage, State: stateEnabled,
		MultiRegion: in.MultiRegion, Created: s.clock.Now().UTC(), Policy: in.Policy,
	}
	if in.MultiRegion {
		k.ID = "mrk-" + strings.ReplaceAll(k.ID, "-", "") // as long as a plain id
	}
	if k.Spec == "" {
		k.Spec = specSymmetric
	}
	if k.Usage == "" {
		k.Usage = usageEncrypt
	}
	if k.Policy == "" {
		k.Policy = defaultPolicy
	}
	if _, err := parsePolicy(k.Policy); err != nil {
		return nil, err
	}
	known := map[string][]string{
		specSymmetric: {usageEncrypt}, "RSA_2048": {usageEncrypt, usageSign}, "HMAC_256": {usageMAC},
	}
	if !slices.Contains(known[k.Spec], k.Usage) {
		return nil, refuse("ValidationException", "devkms makes no key of spec "+k.Spec+" and usage "+k.Usage)
	}
	k.Materials = []material{newMaterial()}
	s.state.Keys = append(s.state.Keys, k)
	if err := s.save(); err != nil {
		s.state.Keys = s.state.Keys[:len(s.state.Keys)-1]
		return nil, err
	}
	return k, nil
}

func (s *Server) doCreateKey(in createKeyInput) (any, error) {
	k, err := s.createKey(in)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

type keyInput struct {
	KeyID string `json:"KeyId"`
}

func (s *Server) doDescribeKey(in keyInput) (any, error) {
	k, err := s.find(in.KeyID, true)
	if err != nil {
		return nil, err
	}
	if err := k.allow("DescribeKey"); err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

// cryptOutput answers GenerateDataKey, Encrypt and Decrypt.
type cryptOutput struct {
	KeyID               string `json:"KeyId"`
	KeyMaterialID       string `json:"KeyMaterialId,omitempty"`
	Plaintext           []byte `json:",omitempty"`
	CiphertextBlob      []byte `json:",omitempty"`
	EncryptionAlgorithm string `json:",omitempty"`
}

type generateInput struct {
	KeyID             string `json:"KeyId"`
	KeySpec           string
	NumberOfBytes     int
	EncryptionContext map[string]string
}

// ready returns a key that op may use now.
func (s *Server) ready(id, op string) (*key, error) {
	k, err := s.find(id, true)
	if err != nil {
		return nil, err
	}
	if err := k.allow(op); err != nil {
		return nil, err
	}
	return k, k.usable()
}

func (s *Server) doGenerateDataKey(in generateInput) (any, error) {
	k, err := s.ready(in.KeyID, "GenerateDataKey")
	if err != nil {
		return nil, err
	}
	n := in.NumberOfBytes
	switch {
	case in.KeySpec == "AES_256" && n == 0:
		n = 32
	case in.KeySpec == "AES_128" && n == 0:
		n = 16
	case in.KeySpec != "" || n < 1 || n > 1024:
		return nil, refuse("ValidationException", "Please specify either number of bytes or key spec.")
	}
	plain := make([]byte, n)
	rand.Read(plain)
	blob, err := sealBlob(k, plain, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &cryptOutput{KeyID: k.arn(), KeyMaterialID: k.current().ID, Plaintext: plain, CiphertextBlob: blob}, nil
}

type encryptInput struct {
	KeyID             string `json:"KeyId"`
	Plaintext         []byte
	EncryptionContext map[string]string
}

func (s *Server) doEncrypt(in encryptInput) (any, error) {
	k, err := s.ready(in.KeyID, "Encrypt")
	if err != nil {
		return nil, err
	}
	if len(in.Plaintext) < 1 || len(in.Plaintext) > 4096 {
		return nil, refuse("ValidationException", "Value at 'plaintext' failed to satisfy constraint: Member must have length between 1 and 4096")
	}
	blob, err := sealBlob(k, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &cryptOutput{KeyID: k.arn(), CiphertextBlob: blob, EncryptionAlgorithm: specSymmetric}, nil
}

type decryptInput struct {
	KeyID             string `json:"KeyId"`
	CiphertextBlob    []byte
	EncryptionContext map[string]string
}

// open decrypts for Decrypt and ReEncrypt.
func (s *Server) open(op string, in decryptInput) (k *key, materialID string, plain []byte, err error) {
	invalid := refuse("InvalidCiphertextException", "")
	keyID, materialID, err := blobKeys(in.CiphertextBlob)
	if err != nil {
		return nil, "", nil, invalid
	}
	if in.KeyID != "" {
		named, err := s.find(in.KeyID, true)
		if err != nil {
			return nil, "", nil, err
		}
		if named.ID != keyID {
			return nil, "", nil, refuse("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
		}
	}
	if k, err = s.find(keyID, false); err != nil {
		return nil, "", nil, invalid // its key is gone, or the blob is not genuine
	}
	if err := k.allow(op); err != nil {
		return nil, "", nil, err
	}
	if err := k.usable(); err != nil {
		return nil, "", nil, err
	}
	m := k.material(materialID)
	if m == nil {
		return nil, "", nil, invalid
	}
	if plain, err = openBlob(m, in.CiphertextBlob, in.EncryptionContext); err != nil {
		return nil, "", nil, invalid
	}
	return k, materialID, plain, nil
}

func (s *Server) doDecrypt(in decryptInput) (any, error) {
	k, materialID, plain, err := s.open("Decrypt", in)
	if err != nil {
		return nil, err
	}
	return &cryptOutput{KeyID: k.arn(), KeyMaterialID: materialID, Plaintext: plain, EncryptionAlgorithm: specSymmetric}, nil
}

type reEncryptInput struct {
	CiphertextBlob               []byte
	SourceKeyID                  string `json:"SourceKeyId"`
	SourceEncryptionContext      map[string]string
	DestinationKeyID             string `json:"DestinationKeyId"`
	DestinationEncryptionContext map[string]string
}

type reEncryptOutput struct {
	CiphertextBlob                 []byte `json:",omitempty"`
	KeyID                          string `json:"KeyId"`
	SourceKeyID                    string `json:"SourceKeyId"`
	SourceKeyMaterialID            string `json:"SourceKeyMaterialId"`
	DestinationKeyMaterialID       string `json:"DestinationKeyMaterialId"`
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
}

func (s *Server) doReEncrypt(in reEncryptInput) (any, error) {
	from, materialID, plain, err := s.open("ReEncryptFrom", decryptInput{
		KeyID: in.SourceKeyID, CiphertextBlob: in.CiphertextBlob, EncryptionContext: in.SourceEncryptionContext,
	})
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	to, err := s.ready(in.DestinationKeyID, "ReEncryptTo")
	if err != nil {
		return nil, err
	}
	blob, err := sealBlob(to, plain, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	return &reEncryptOutput{
		CiphertextBlob: blob, KeyID: to.arn(), SourceKeyID: from.arn(), SourceKeyMaterialID: materialID,
		DestinationKeyMaterialID: to.current().ID, SourceEncryptionAlgorithm: specSymmetric, DestinationEncryptionAlgorithm: specSymmetric,
	}, nil
}
