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
	target  target
	clients *clients
}

var _ crypt.Provider = (*Provider)(nil)

// Open returns the provider of a URI
//
//	awskms:arn:aws:kms:REGION:ACCOUNT:key/ID[?role_arn=…&external_id=…&endpoint=…&region=…]
//
// It does not call the network; Check does. An error is about the URI, or, as a
// *crypt.ProviderError of class credentials, about the SDK's configuration.
func Open(ctx context.Context, uri string) (*Provider, error) {
	t, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	c, err := newClients(ctx, t)
	if err != nil {
		return nil, &crypt.ProviderError{
			Class: crypt.ClassCredentials, Op: opOpen, KeyID: t.keyARN, Code: "BadConfiguration",
			Detail: "the AWS configuration of this program does not load: check AWS_PROFILE, AWS_CA_BUNDLE and the files in ~/.aws",
		}
	}
	return &Provider{target: t, clients: c}, nil
}

// KeyID returns the key's ARN.
func (p *Provider) KeyID() string { return p.target.keyARN }

// URI returns the URI in its shortest form.
func (p *Provider) URI() string { return p.target.uri() }

// Development reports whether the KMS is on this machine.
func (p *Provider) Development() bool { return p.target.loopback }

// Close releases what connections there are.
func (p *Provider) Close() error {
	p.clients.http.CloseIdleConnections()
	return nil
}

// Check asks for the key's description: it must be symmetric, for encryption,
// made by the customer, and enabled.
func (p *Provider) Check(ctx context.Context) error {
	out, err := p.clients.client().DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &p.target.keyARN})
	if err != nil {
		return p.sort(ctx, opCheck, err)
	}
	a := answer{op: opCheck, metadata: out.ResultMetadata}
	m := out.KeyMetadata
	if m == nil {
		return p.empty(a)
	}
	if err := p.sameKey(a, m.Arn); err != nil {
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

// Material asks which material the key has now.
func (p *Provider) Material(ctx context.Context) (string, error) {
	out, err := p.clients.client().DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &p.target.keyARN})
	if err != nil {
		return "", p.sort(ctx, opCheck, err)
	}
	a := answer{op: opCheck, metadata: out.ResultMetadata}
	if out.KeyMetadata == nil {
		return "", p.empty(a)
	}
	if err := p.sameKey(a, out.KeyMetadata.Arn); err != nil {
		return "", err
	}
	return p.material(out.KeyMetadata.CurrentKeyMaterialId), nil
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
	out, err := p.clients.client().GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: &p.target.keyARN, KeySpec: types.DataKeySpecAes256, EncryptionContext: c.Map(),
	})
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, p.sort(ctx, opGenerate, err)
	}
	defer clear(out.Plaintext)
	a := answer{op: opGenerate, metadata: out.ResultMetadata}
	if err := p.checkBlob(a, out.CiphertextBlob); err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	dek, err := p.take(a, out.KeyId, out.Plaintext)
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	material := p.material(out.KeyMaterialId)
	return dek, crypt.Wrapped{Bytes: out.CiphertextBlob, MaterialID: material},
		crypt.Receipt{RequestID: a.requestID(), MaterialID: material}, nil
}

// Unwrap has the KMS decrypt the DEK in w.
func (p *Provider) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	out, err := p.clients.client().Decrypt(ctx, &kms.DecryptInput{
		KeyId: &p.target.keyARN, CiphertextBlob: w.Bytes, EncryptionContext: c.Map(),
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault,
	})
	if err != nil {
		return nil, crypt.Receipt{}, p.sort(ctx, opUnwrap, err)
	}
	defer clear(out.Plaintext)
	a := answer{op: opUnwrap, metadata: out.ResultMetadata}
	dek, err := p.take(a, out.KeyId, out.Plaintext)
	if err != nil {
		return nil, crypt.Receipt{}, err
	}
	return dek, crypt.Receipt{RequestID: a.requestID(), MaterialID: p.material(out.KeyMaterialId)}, nil
}

// Rewrap has the KMS encrypt the DEK in w anew, without its leaving the KMS.
func (p *Provider) Rewrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	out, err := p.clients.client().ReEncrypt(ctx, &kms.ReEncryptInput{
		CiphertextBlob: w.Bytes,
		SourceKeyId:    &p.target.keyARN, SourceEncryptionContext: c.Map(),
		DestinationKeyId: &p.target.keyARN, DestinationEncryptionContext: c.Map(),
	})
	if err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, p.sort(ctx, opRewrap, err)
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
	material := p.material(out.DestinationKeyMaterialId)
	return crypt.Wrapped{Bytes: out.CiphertextBlob, MaterialID: material},
		crypt.Receipt{RequestID: a.requestID(), MaterialID: material}, nil
}

// take checks an answer that holds a DEK, and moves the DEK to secret memory.
func (p *Provider) take(a answer, keyID *string, plain []byte) (*crypt.Secret, error) {
	if len(plain) == 0 {
		return nil, p.empty(a)
	}
	if err := p.sameKey(a, keyID); err != nil {
		return nil, err
	}
	if len(plain) != crypt.KeySize {
		return nil, p.refuse(a, crypt.ClassTampered, codeAnswer, "the KMS returned a data key of the wrong size")
	}
	s, err := crypt.NewSecret(plain)
	if err != nil {
		return nil, &crypt.ProviderError{
			Class: crypt.ClassUnreachable, Op: a.op, KeyID: p.target.keyARN, RequestID: a.requestID(), Err: err,
			Detail: "no secret memory for the data key: " + err.Error(),
		}
	}
	return s, nil
}

// sameKey refuses an answer that another key gave.
func (p *Provider) sameKey(a answer, keyID *string) error {
	if aws.ToString(keyID) != p.target.keyARN {
		return p.refuse(a, crypt.ClassTampered, codeAnswer, "the KMS answered for another key")
	}
	return nil
}

// checkBlob refuses an answer without a ciphertext, or one that is too large.
func (p *Provider) checkBlob(a answer, blob []byte) error {
	switch {
	case len(blob) == 0:
		return p.empty(a)
	case len(blob) > blobSizeMax:
		return p.refuse(a, crypt.ClassTampered, codeAnswer, "the KMS returned a wrapped data key that is too large")
	}
	return nil
}

const materialIDSizeMax = 256 // bytes; what an envelope holds

// material returns a key material id, if there is one that can be kept.
func (p *Provider) material(id *string) string {
	if s := aws.ToString(id); len(s) <= materialIDSizeMax {
		return s
	}
	return ""
}
