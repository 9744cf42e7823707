package devkms

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"
)

// operations are the known ones, by name. They run under the server's lock.
var operations = map[string]func(*call, []byte) (any, error){
	"CreateKey":           decode((*call).doCreateKey),
	"DescribeKey":         decode((*call).doDescribeKey),
	"GenerateDataKey":     decode((*call).doGenerateDataKey),
	"Encrypt":             decode((*call).doEncrypt),
	"Decrypt":             decode((*call).doDecrypt),
	"ReEncrypt":           decode((*call).doReEncrypt),
	"DisableKey":          decode((*call).doDisableKey),
	"EnableKey":           decode((*call).doEnableKey),
	"ScheduleKeyDeletion": decode((*call).doScheduleKeyDeletion),
	"CancelKeyDeletion":   decode((*call).doCancelKeyDeletion),
	"ReplicateKey":        decode((*call).doReplicateKey),
	"RotateKeyOnDemand":   decode((*call).doRotateKeyOnDemand),
	"CreateAlias":         decode((*call).doCreateAlias),
	"ListAliases":         decode((*call).doListAliases),
	"PutKeyPolicy":        decode((*call).doPutKeyPolicy),
	"GetKeyPolicy":        decode((*call).doGetKeyPolicy),
}

// decode parses a request before its operation.
func decode[T any](do func(*call, T) (any, error)) func(*call, []byte) (any, error) {
	return func(c *call, body []byte) (any, error) {
		var in T
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, refuse("SerializationException", "the request is not the JSON of this operation")
			}
		}
		return do(c, in)
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
	MultiRegionConfig    *multiRegionConfiguration `json:"MultiRegionConfiguration,omitempty"`
	Origin               string
	PendingWindowInDays  int `json:"PendingDeletionWindowInDays,omitempty"`
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (c *call) metadata(k *key) keyMetadata {
	m := keyMetadata{
		AWSAccountID: Account, Arn: k.arn(), CreationDate: seconds(k.Created), Description: k.Description,
		Enabled: k.State == stateEnabled, KeyID: k.ID, KeyManager: "CUSTOMER", KeySpec: k.Spec,
		KeyState: k.State, KeyUsage: k.Usage, MultiRegion: k.MultiRegion,
		MultiRegionConfig: c.state.configuration(k), Origin: "AWS_KMS",
	}
	if k.Spec == specSymmetric {
		m.CurrentKeyMaterialID = k.current().ID
		m.EncryptionAlgorithms = []string{specSymmetric}
	}
	if k.State == statePendingReplicaDeletion {
		m.PendingWindowInDays = k.Window
	}
	if k.State == statePendingDeletion {
		d := seconds(k.Deletion)
		m.DeletionDate = &d
	}
	return m
}

// createKey makes a key. Of asymmetric and MAC keys only the description
// exists: they are there to be refused.
func (c *call) createKey(in createKeyInput) (*key, error) {
	k := &key{
		ID: newUUID(), Region: c.home(), Description: in.Description, Spec: in.KeySpec, Usage: in.KeyUsage, State: stateEnabled,
		MultiRegion: in.MultiRegion, Created: c.clock.Now().UTC(), Policy: in.Policy,
	}
	if in.MultiRegion {
		k.ID = multiRegionID(k.ID)
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
	return k, c.add(k)
}

// add keeps a new key.
func (c *call) add(k *key) error {
	c.state.Keys = append(c.state.Keys, k)
	if err := c.save(); err != nil {
		c.state.Keys = c.state.Keys[:len(c.state.Keys)-1]
		return err
	}
	c.changed(k, nil)
	return nil
}

func (c *call) doCreateKey(in createKeyInput) (any, error) {
	k, err := c.createKey(in)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": c.metadata(k)}, nil
}

type keyInput struct {
	KeyID string `json:"KeyId"`
}

func (c *call) doDescribeKey(in keyInput) (any, error) {
	k, err := c.look(in.KeyID)
	if err != nil {
		return nil, err
	}
	if err := k.allow("DescribeKey", nil); err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": c.metadata(k)}, nil
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
func (c *call) ready(id, op string, context map[string]string) (*key, error) {
	k, err := c.look(id)
	if err != nil {
		return nil, err
	}
	if err := k.allow(op, context); err != nil {
		return nil, err
	}
	return k, k.usable()
}

func (c *call) doGenerateDataKey(in generateInput) (any, error) {
	k, err := c.ready(in.KeyID, "GenerateDataKey", in.EncryptionContext)
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

func (c *call) doEncrypt(in encryptInput) (any, error) {
	k, err := c.ready(in.KeyID, "Encrypt", in.EncryptionContext)
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
func (c *call) open(op string, in decryptInput) (k *key, materialID string, plain []byte, err error) {
	invalid := refuse("InvalidCiphertextException", "")
	keyID, materialID, err := blobKeys(in.CiphertextBlob)
	if err != nil {
		return nil, "", nil, invalid
	}
	if in.KeyID == "" {
		k, err = c.find(keyID, false)
	} else {
		k, err = c.find(in.KeyID, true)
	}
	switch {
	case err != nil && in.KeyID == "":
		return nil, "", nil, invalid // its key is gone, or the blob is not genuine
	case err != nil:
		return nil, "", nil, err
	case k.ID != keyID:
		return nil, "", nil, refuse("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	if k, err = c.seen(k); err != nil {
		return nil, "", nil, err
	}
	if err := k.allow(op, in.EncryptionContext); err != nil {
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

func (c *call) doDecrypt(in decryptInput) (any, error) {
	k, materialID, plain, err := c.open("Decrypt", in)
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

func (c *call) doReEncrypt(in reEncryptInput) (any, error) {
	from, materialID, plain, err := c.open("ReEncryptFrom", decryptInput{
		KeyID: in.SourceKeyID, CiphertextBlob: in.CiphertextBlob, EncryptionContext: in.SourceEncryptionContext,
	})
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	to, err := c.ready(in.DestinationKeyID, "ReEncryptTo", in.DestinationEncryptionContext)
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
