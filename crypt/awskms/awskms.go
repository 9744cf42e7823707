// Package awskms is the key provider "awskms:KEY-ARN": a symmetric key of AWS
// KMS, asked through the AWS SDK. The KEK never leaves the KMS, and every call
// shows in CloudTrail with the encryption context.
//
// Credentials are those of the SDK's default chain, or of a role that is assumed
// with them. An endpoint on this machine is a development KMS: it gets fixed
// credentials, and neither the environment nor the instance metadata is asked.
package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/byokdb/byokdb/crypt"
)

// Names of what was asked, in errors.
const (
	opOpen     = "open"
	opCheck    = "check"
	opGenerate = "generate"
	opUnwrap   = "unwrap"
	opRewrap   = "rewrap"
)

const blobSizeMax = 6144 // bytes; the KMS's own limit

// Provider is a [crypt.Provider] on one key of AWS KMS. Make it with Open.
type Provider struct {
	*site    // of the key itself
	target   target
	replicas []*site
	refusals *refusals
}

// site is a key in one region, and what it takes to ask it.
type site struct {
	keyARN  string
	clients *clients
}

var (
	_ crypt.Provider         = (*Provider)(nil)
	_ crypt.MaterialReporter = (*Provider)(nil)
)

// Open returns the provider of a URI
//
//	awskms:arn:aws:kms:REGION:ACCOUNT:key/ID[?role_arn=…&external_id=…&endpoint=…&region=…&replica=ARN[,ENDPOINT]]
//
// Up to four replicas of a multi-Region key may be named; they unwrap while the
// key itself cannot be reached.
//
// It does not call the network; Check does. An error is about the URI, or, as a
// *crypt.ProviderError of class credentials, about the SDK's configuration.
func Open(ctx context.Context, uri string) (*Provider, error) {
	t, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	p := &Provider{target: t, refusals: newRefusals()}
	if p.site, err = newSite(ctx, t); err != nil {
		return nil, err
	}
	for _, r := range t.replicas {
		replica, err := newSite(ctx, r)
		if err != nil {
			return nil, err
		}
		p.replicas = append(p.replicas, replica)
	}
	return p, nil
}

func newSite(ctx context.Context, t target) (*site, error) {
	c, err := newClients(ctx, t)
	if err != nil {
		return nil, &crypt.ProviderError{
			Class: crypt.ClassCredentials, Op: opOpen, KeyID: t.keyARN, Code: "BadConfiguration",
			Detail: "the AWS configuration of this program does not load: check AWS_PROFILE, AWS_CA_BUNDLE and the files in ~/.aws",
		}
	}
	return &site{keyARN: t.keyARN, clients: c}, nil
}

// KeyID returns the key's ARN.
func (p *Provider) KeyID() string { return p.keyARN }

// URI returns the URI in its shortest form.
func (p *Provider) URI() string { return p.target.uri() }

// Development reports whether the KMS is on this machine.
func (p *Provider) Development() bool { return p.target.loopback }

// Close releases what connections there are.
func (p *Provider) Close() error {
	for _, s := range append([]*site{p.site}, p.replicas...) {
		s.clients.http.CloseIdleConnections()
	}
	return nil
}

// describe asks for the key's description.
func (s *site) describe(ctx context.Context, op string) (*types.KeyMetadata, answer, error) {
	c := s.clients.call(ctx)
	out, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &s.keyARN})
	if err != nil {
		return nil, answer{}, s.sort(ctx, op, c.why(err))
	}
	a := answer{op: op, metadata: out.ResultMetadata}
	if out.KeyMetadata == nil {
		return nil, a, s.empty(a)
	}
	return out.KeyMetadata, a, s.sameKey(a, out.KeyMetadata.Arn)
}

// CurrentMaterial asks for the description too, and returns which material of
// the key wraps now. An answer to Unwrap names the material that the DEK was
// wrapped under, so it does not show that the key was rotated; this does.
func (p *Provider) CurrentMaterial(ctx context.Context) (materialID string, r crypt.Receipt, err error) {
	m, a, err := p.describe(ctx, opCheck)
	if err != nil {
		return "", crypt.Receipt{}, err
	}
	return p.material(m.CurrentKeyMaterialId), a.receipt(p.site, m.CurrentKeyMaterialId), nil
}

// Check asks for the key's description: it must be symmetric, for encryption,
// made by the customer, and enabled.
func (p *Provider) Check(ctx context.Context) error {
	m, a, err := p.describe(ctx, opCheck)
	if err != nil {
		return err
	}
	denied := func(code, detail string) error { return p.refuse(a, crypt.ClassDenied, code, detail) }
	switch {
	case m.KeyUsage != types.KeyUsageTypeEncryptDecrypt:
		return denied(codeUsage, "the key is for "+word(m.KeyUsage)+"; make a symmetric key for encryption: aws kms create-key")
	case m.KeySpec != types.KeySpecSymmetricDefault:
		return denied(codeUsage, "the key is of type "+word(m.KeySpec)+"; make a symmetric key: aws kms create-key")
	case m.KeyManager == types.KeyManagerTypeAws:
		return denied(codeUsage, "the key is managed by AWS and cannot be switched off by you; make a key of your own: aws kms create-key")
	}
	switch m.KeyState {
	case types.KeyStateEnabled:
		return nil
	case types.KeyStateDisabled:
		return denied("DisabledException", details["DisabledException"])
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return denied("KMSInvalidStateException", "the key is pending deletion; cancel that, then enable it: aws kms cancel-key-deletion, aws kms enable-key")
	case types.KeyStatePendingImport:
		return denied("KMSInvalidStateException", "the key has no key material; import it again")
	default: // creating, updating, or its key store is not connected
		return p.refuse(a, crypt.ClassUnreachable, "KMSInvalidStateException", "the key is not ready, its state is "+word(m.KeyState))
	}
}

// receipt is that of a good answer.
func (a answer) receipt(s *site, materialID *string) crypt.Receipt {
	return crypt.Receipt{RequestID: a.requestID(), MaterialID: s.material(materialID), KeyID: s.keyARN}
}

// word keeps what a KMS calls something to the letters that such words have.
func word[T ~string](v T) string {
	for _, r := range v {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return "an unknown kind"
		}
	}
	if v == "" || len(v) > 32 {
		return "an unknown kind"
	}
	return string(v)
}

// Generate has the KMS make a DEK.
func (p *Provider) Generate(ctx context.Context, c crypt.Context) (*crypt.Secret, crypt.Wrapped, crypt.Receipt, error) {
	var read readings
	call := p.clients.call(ctx)
	out, err := call.GenerateDataKey(read.with(ctx), &kms.GenerateDataKeyInput{
		KeyId: &p.keyARN, KeySpec: types.DataKeySpecAes256, EncryptionContext: c.Map(),
	})
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, p.refusals.note(c, p.sort(ctx, opGenerate, call.why(err)))
	}
	defer read.wipe()
	defer clear(out.Plaintext)
	a := answer{op: opGenerate, metadata: out.ResultMetadata}
	if err := p.checkBlob(a, out.CiphertextBlob); err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	dek, err := p.take(a, out.KeyId, out.Plaintext)
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	r := a.receipt(p.site, out.KeyMaterialId)
	return dek, crypt.Wrapped{Bytes: out.CiphertextBlob, MaterialID: r.MaterialID}, r, nil
}

// Unwrap has the KMS decrypt the DEK in w. A replica may serve while the key
// itself cannot be reached: see unwrapAnywhere.
func (p *Provider) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	if len(p.replicas) > 0 {
		return p.unwrapAnywhere(ctx, w, c)
	}
	return p.unwrap(ctx, w, c)
}

// unwrap asks the key in one region.
func (s *site) unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	var read readings
	call := s.clients.call(ctx)
	out, err := call.Decrypt(read.with(ctx), &kms.DecryptInput{
		KeyId: &s.keyARN, CiphertextBlob: w.Bytes, EncryptionContext: c.Map(),
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault,
	})
	if err != nil {
		return nil, crypt.Receipt{}, s.sort(ctx, opUnwrap, call.why(err))
	}
	defer read.wipe()
	defer clear(out.Plaintext)
	a := answer{op: opUnwrap, metadata: out.ResultMetadata}
	dek, err := s.take(a, out.KeyId, out.Plaintext)
	if err != nil {
		return nil, crypt.Receipt{}, err
	}
	return dek, a.receipt(s, out.KeyMaterialId), nil
}

// Rewrap has the KMS encrypt the DEK in w anew, without its leaving the KMS.
func (p *Provider) Rewrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	call := p.clients.call(ctx)
	out, err := call.ReEncrypt(ctx, &kms.ReEncryptInput{
		CiphertextBlob: w.Bytes,
		SourceKeyId:    &p.keyARN, SourceEncryptionContext: c.Map(),
		DestinationKeyId: &p.keyARN, DestinationEncryptionContext: c.Map(),
	})
	if err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, p.refusals.note(c, p.sort(ctx, opRewrap, call.why(err)))
	}
	a := answer{op: opRewrap, metadata: out.ResultMetadata}
	if err := p.checkBlob(a, out.CiphertextBlob); err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, err
	}
	for _, id := range []*string{out.KeyId, out.SourceKeyId} {
		if err := p.sameKey(a, id); err != nil {
			return crypt.Wrapped{}, crypt.Receipt{}, err
		}
	}
	r := a.receipt(p.site, out.DestinationKeyMaterialId)
	return crypt.Wrapped{Bytes: out.CiphertextBlob, MaterialID: r.MaterialID}, r, nil
}

// take checks an answer that holds a DEK, and moves the DEK to secret memory.
func (s *site) take(a answer, keyID *string, plain []byte) (*crypt.Secret, error) {
	if len(plain) == 0 && keyID == nil {
		return nil, s.empty(a)
	}
	if err := s.sameKey(a, keyID); err != nil {
		return nil, err
	}
	if len(plain) != crypt.KeySize {
		return nil, s.refuse(a, crypt.ClassTampered, codeAnswer, "the KMS returned a data key of the wrong size")
	}
	dek, err := crypt.NewSecret(plain)
	if err != nil {
		return nil, &crypt.ProviderError{
			Class: crypt.ClassUnreachable, Op: a.op, KeyID: s.keyARN, RequestID: a.requestID(), Err: err,
			Detail: "no secret memory for the data key: " + err.Error(),
		}
	}
	return dek, nil
}

// sameKey refuses an answer that another key gave.
func (s *site) sameKey(a answer, keyID *string) error {
	if aws.ToString(keyID) != s.keyARN {
		return s.refuse(a, crypt.ClassTampered, codeAnswer, "the KMS answered for another key")
	}
	return nil
}

// checkBlob refuses an answer without a ciphertext, or one that is too large.
func (s *site) checkBlob(a answer, blob []byte) error {
	switch {
	case len(blob) == 0:
		return s.empty(a)
	case len(blob) > blobSizeMax:
		return s.refuse(a, crypt.ClassTampered, codeAnswer, "the KMS returned a wrapped data key that is too large")
	}
	return nil
}

const materialIDSizeMax = 256 // bytes; what an envelope holds

// material returns a key material id, if there is one that can be kept.
func (s *site) material(id *string) string {
	if m := aws.ToString(id); len(m) <= materialIDSizeMax {
		return m
	}
	return ""
}
