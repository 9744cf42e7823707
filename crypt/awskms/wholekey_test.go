package awskms

import (
	"errors"
	"slices"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/byokdb/byokdb/crypt"
)

// TestWholeKey sorts every code: which denials concern the key itself, and not
// only this caller or this envelope.
func TestWholeKey(t *testing.T) {
	w := newWorld(t)
	want := []string{"DisabledException", "KMSInvalidStateException", "NotFoundException"}
	for code := range classes {
		err := w.p.sort(t.Context(), opUnwrap, &smithy.GenericAPIError{Code: code})
		pe, ok := errors.AsType[*crypt.ProviderError](err)
		if !ok || pe.WholeKey != slices.Contains(want, code) || pe.WholeKey && pe.Class != crypt.ClassDenied {
			t.Errorf("%s: %+v", code, pe)
		}
	}
}
