// Package keyuri opens key providers by URI.
//
//	awskms:arn:aws:kms:REGION:ACCOUNT:key/ID   a key of AWS KMS; see [awskms.Open]
//	local:PATH                                 a key file, for development; see [localkey.Open]
//
// A URI holds nothing secret: it is stored in the database's catalog and shown.
package keyuri

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/awskms"
	"github.com/byokdb/byokdb/crypt/localkey"
)

const known = "awskms:KEY-ARN or local:PATH"

// Open returns the provider of a key URI. It does not call the network, and
// makes no file. The caller closes the provider.
//
// An error is about the URI: an unknown scheme or parameter, or a value that
// cannot serve, in words that say what to write instead; parameters' values are
// never in it. An AWS configuration that does not load is a
// *crypt.ProviderError of class credentials.
func Open(ctx context.Context, uri string) (crypt.Provider, error) {
	scheme, _, ok := strings.Cut(uri, ":")
	switch {
	case uri == "":
		return nil, errors.New("the key URI is empty; write " + known)
	case !ok || !isScheme(scheme):
		return nil, errors.New("the key URI has no scheme; write " + known)
	}
	switch scheme {
	case awskms.Scheme:
		p, err := awskms.Open(ctx, uri)
		return opened(p, err)
	case localkey.Scheme:
		p, err := localkey.Open(ctx, uri)
		return opened(p, err)
	case "arn":
		return nil, errors.New("the key URI is a bare ARN; write awskms: before it")
	}
	return nil, fmt.Errorf("unknown scheme %q in the key URI; write %s", scheme, known)
}

// opened keeps a nil pointer from becoming a provider.
func opened[P crypt.Provider](p P, err error) (crypt.Provider, error) {
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return p, nil
}

const schemeSizeMax = 16 // bytes

func isScheme(s string) bool {
	if s == "" || len(s) > schemeSizeMax {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}
