// Package localkey is the key provider "local:PATH": a KEK in a file of mode
// 0600, for development and tests. It protects nothing against whoever can read
// that file.
//
// The file is read anew at every call, so that it works as the customer's
// switch: rename it, or take its permissions away, and the next call is denied.
package localkey

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"io/fs"
	"sync"

	"github.com/byokdb/byokdb/crypt"
)

// A wrapped DEK is on disk as
//
//	offset  size  field
//	     0     1  version, 1
//	     1    16  fingerprint of the KEK
//	    17    12  random nonce
//	    29    32  DEK under AES-256-GCM
//	    61    16  tag
//
// with the first 17 bytes and the encryption context as associated data.
const (
	wrapVersion = 1
	wrapHeader  = 1 + fingerprintSize
	wrappedSize = wrapHeader + crypt.Overhead + crypt.KeySize
)

const (
	_ = uint(wrappedSize - 77) // on disk
	_ = uint(77 - wrappedSize)
)

// Codes of this provider's errors, in the manner of a KMS.
const (
	codeNotFound   = "NotFound"
	codeWithheld   = "AccessDenied"
	codeIncorrect  = "IncorrectKey"
	codeExposed    = "InsecureKeyFile"
	codeDamaged    = "DamagedKeyFile"
	codeTooNew     = "NewerKeyFile"
	codeCiphertext = "InvalidCiphertext"
)

// Provider is a [crypt.Provider] on one key file. Make it with Open.
type Provider struct {
	mu  sync.Mutex
	loc location // loc.id is set once the key was seen, or by the URI
}

var _ crypt.Provider = (*Provider)(nil)

// Open returns the provider of a URI "local:PATH[?id=FINGERPRINT]". A relative
// path is made absolute. The file need not be there: Generate makes it, unless
// the URI, or an earlier call, says which key must be in it. An error is about
// the URI.
func Open(_ context.Context, uri string) (*Provider, error) {
	loc, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	p := &Provider{loc: loc}
	if !loc.pinned {
		// A file that cannot be read now is reported by the first call.
		if kek, _, err := p.load(context.Background(), "open"); err == nil {
			kek.Wipe()
		}
	}
	return p, nil
}

// KeyID returns "local:" and the KEK's fingerprint, wherever the file lies. It
// is "local:" alone as long as the URI has no id and the file was never seen.
func (p *Provider) KeyID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keyID()
}

func (p *Provider) keyID() string {
	if !p.loc.pinned {
		return Scheme + ":"
	}
	return Scheme + ":" + p.loc.id.String()
}

// URI returns the URI with an absolute path and, once it is known, the
// fingerprint of the key that must be there.
func (p *Provider) URI() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loc.uri()
}

// Development returns true.
func (p *Provider) Development() bool { return true }

// Check reads the key file. A file that Generate may still make is no error.
func (p *Provider) Check(ctx context.Context) error {
	kek, _, err := p.load(ctx, "check")
	if err == nil {
		kek.Wipe()
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && !p.known() {
		return nil
	}
	return err
}

// Generate makes a DEK. It makes the key file first if that is missing and no
// particular key is expected in it.
func (p *Provider) Generate(ctx context.Context, c crypt.Context) (*crypt.Secret, crypt.Wrapped, crypt.Receipt, error) {
	const op = "generate"
	if !p.known() {
		if err := p.make(op); err != nil {
			return nil, crypt.Wrapped{}, crypt.Receipt{}, err
		}
	}
	kek, id, err := p.load(ctx, op)
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	defer kek.Wipe()
	dek, err := crypt.RandomSecret()
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, p.fail(op, err)
	}
	w, err := wrap(kek, id, dek, c)
	if err != nil {
		dek.Wipe()
		return nil, crypt.Wrapped{}, crypt.Receipt{}, p.fail(op, err)
	}
	return dek, w, crypt.Receipt{MaterialID: id.String()}, nil
}

// Unwrap returns the DEK in w. A DEK that another key wrapped is denied, as a
// KMS has it; one that does not authenticate is tampered.
func (p *Provider) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	kek, id, err := p.load(ctx, "unwrap")
	if err != nil {
		return nil, crypt.Receipt{}, err
	}
	defer kek.Wipe()
	dek, err := p.open("unwrap", kek, id, w, c)
	if err != nil {
		return nil, crypt.Receipt{}, err
	}
	return dek, crypt.Receipt{MaterialID: id.String()}, nil
}

// Rewrap wraps the DEK in w anew, under another nonce: a key file has only one
// material.
func (p *Provider) Rewrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	const op = "rewrap"
	kek, id, err := p.load(ctx, op)
	if err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, err
	}
	defer kek.Wipe()
	dek, err := p.open(op, kek, id, w, c)
	if err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, err
	}
	defer dek.Wipe()
	anew, err := wrap(kek, id, dek, c)
	if err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, p.fail(op, err)
	}
	return anew, crypt.Receipt{MaterialID: id.String()}, nil
}

// Close does nothing: no call leaves anything behind.
func (p *Provider) Close() error { return nil }

func (p *Provider) known() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loc.pinned
}

// make makes the key file unless it is there.
func (p *Provider) make(op string) error {
	switch there, err := exists(p.loc.path); {
	case err != nil:
		return p.fail(op, err)
	case there:
		return nil
	}
	if err := makeKeyFile(p.loc.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return p.fail(op, err)
	}
	return nil
}

// load reads the key file, and remembers the first key that it sees: another
// one in its place is refused from then on.
func (p *Provider) load(ctx context.Context, op string) (*crypt.Secret, fingerprint, error) {
	kek, id, err := readKeyFile(ctx, p.loc.path)
	if err != nil {
		return nil, fingerprint{}, p.fail(op, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loc.pinned && p.loc.id != id {
		kek.Wipe()
		return nil, fingerprint{}, &crypt.ProviderError{
			Class: crypt.ClassDenied, Op: op, KeyID: p.keyID(), Code: codeIncorrect, WholeKey: true,
			Detail: "the file " + p.loc.path + " holds another key, local:" + id.String() + "; put the right key file back",
		}
	}
	p.loc.id, p.loc.pinned = id, true
	return kek, id, nil
}

// open unwraps with the KEK that was loaded.
func (p *Provider) open(op string, kek *crypt.Secret, id fingerprint, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, error) {
	e := &crypt.ProviderError{Class: crypt.ClassTampered, Op: op, KeyID: p.KeyID(), Code: codeCiphertext}
	if len(w.Bytes) != wrappedSize || w.Bytes[0] != wrapVersion {
		e.Detail = "the wrapped data key was not made by a local key, or it is damaged"
		return nil, e
	}
	if by := fingerprint(w.Bytes[1:wrapHeader]); by != id {
		e.Class, e.Code = crypt.ClassDenied, codeIncorrect
		e.Detail = "the data key was wrapped by another key, local:" + hex.EncodeToString(by[:])
		return nil, e
	}
	dek, err := unwrap(kek, w.Bytes, c)
	if errors.Is(err, crypt.ErrAuth) {
		e.Err = err
		e.Detail = "the wrapped data key is damaged, or belongs to another database or epoch"
		return nil, e
	}
	if err != nil {
		return nil, p.fail(op, err)
	}
	return dek, nil
}

// fail sorts an error of the key file.
func (p *Provider) fail(op string, err error) error {
	e := &crypt.ProviderError{Class: crypt.ClassUnreachable, Op: op, KeyID: p.KeyID(), Err: err}
	path := p.loc.path
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Class, e.Code, e.WholeKey = crypt.ClassDenied, codeNotFound, true
		e.Detail = "the key file " + path + " is missing; put it back"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errWithheld):
		e.Class, e.Code, e.WholeKey = crypt.ClassDenied, codeWithheld, true
		e.Detail = "the key file " + path + " may not be read; run: chmod 600 " + path
	case errors.Is(err, errExposed):
		e.Class, e.Code = crypt.ClassCredentials, codeExposed
		e.Detail = "the key file " + path + " is open to its group or to others; run: chmod 600 " + path
	case errors.Is(err, errTooNew):
		e.Class, e.Code = crypt.ClassTampered, codeTooNew
		e.Detail = "the key file " + path + " was written by a newer version of byokdb; update this program"
	case errors.Is(err, errDamaged):
		e.Class, e.Code = crypt.ClassTampered, codeDamaged
		e.Detail = "the file " + path + " is no intact key file (" + err.Error() + "); restore it from a copy"
	default:
		e.Detail = "the key file " + path + " could not be used: " + err.Error()
	}
	return e
}

// wrap seals dek under kek.
func wrap(kek *crypt.Secret, id fingerprint, dek *crypt.Secret, c crypt.Context) (crypt.Wrapped, error) {
	out := make([]byte, wrapHeader, wrappedSize)
	out[0] = wrapVersion
	copy(out[1:], id[:])
	err := withAEAD(kek, func(a cipher.AEAD) error {
		return dek.Use(func(b []byte) error {
			out = a.Seal(out, nil, b, aad(out[:wrapHeader], c))
			return nil
		})
	})
	if err != nil {
		return crypt.Wrapped{}, err
	}
	return crypt.Wrapped{Bytes: out, MaterialID: id.String()}, nil
}

// unwrap opens b, which has the right size. It returns crypt.ErrAuth when b
// does not authenticate.
func unwrap(kek *crypt.Secret, b []byte, c crypt.Context) (dek *crypt.Secret, err error) {
	err = withAEAD(kek, func(a cipher.AEAD) error {
		plain := make([]byte, 0, crypt.KeySize)
		defer func() { clear(plain[:cap(plain)]) }()
		plain, err := a.Open(plain, nil, b[wrapHeader:], aad(b[:wrapHeader], c))
		if err != nil {
			return crypt.ErrAuth
		}
		dek, err = crypt.NewSecret(plain)
		return err
	})
	return dek, err
}

// aad returns the associated data of a wrapped DEK.
func aad(header []byte, c crypt.Context) []byte {
	return append(header[:wrapHeader:wrapHeader], c.Canonical()...)
}

// withAEAD calls fn with AES-256-GCM under kek and wipes it afterwards.
func withAEAD(kek *crypt.Secret, fn func(cipher.AEAD) error) error {
	return kek.Use(func(b []byte) error {
		block, err := aes.NewCipher(b)
		if err != nil {
			return err
		}
		defer crypt.WipeCipher(block)
		a, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return err
		}
		defer crypt.WipeCipher(a)
		return fn(a)
	})
}
