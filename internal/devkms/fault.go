package devkms

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
)

// Fault is something that goes wrong with one request, on purpose.
type Fault uint8

// The faults. Some answer instead of the operation; others let it happen and
// change its answer.
const (
	FaultNone             Fault = iota
	FaultThrottle               // ThrottlingException, 400
	FaultInternal               // KMSInternalException, 500
	FaultHang                   // no answer until the client gives up
	FaultReset                  // the connection breaks off
	FaultEmptyObject            // 200 with {}
	FaultNotJSON                // 200 with a web page, as from a captive portal
	FaultNotJSON403             // 403 with a web page, as from a proxy
	FaultExpiredToken           // ExpiredTokenException, 400
	FaultUnrecognized           // UnrecognizedClientException, 400
	FaultInvalidSignature       // InvalidSignatureException, 400
	FaultKeyUnavailable         // KeyUnavailableException, 500
	FaultDependency             // DependencyTimeoutException, 503
	FaultLimit                  // LimitExceededException, 400
	FaultInvalidState           // KMSInvalidStateException, 400
	FaultRedirect               // 307 to another address
	FaultAccessDenied           // AccessDeniedException, 400
	FaultWrongKeyID             // the answer names another key
	FaultShortPlaintext         // the plaintext lacks a byte
	FaultOtherPlaintext         // the plaintext is another random one
	FaultNotJSON500             // 500 with a web page, as from a load balancer
	FaultEmptyBody              // 200 without a body
	FaultTruncatedJSON          // 200 with the beginning of an answer
	FaultNoPlaintext            // the plaintext has no bytes
	FaultLongPlaintext          // the plaintext has a byte too many
	FaultWrongSourceKeyID       // ReEncrypt says that another key decrypted
	FaultKeyStore               // KMSInvalidStateException for a key whose external key store cannot be reached; DescribeKey shows it
	FaultError                  // the code and status of the rule
	nFaults
)

// faultNames are stable: rules name faults by them.
var faultNames = [nFaults]string{
	FaultNone: "none", FaultThrottle: "throttle", FaultInternal: "internal", FaultHang: "hang", FaultReset: "reset",
	FaultEmptyObject: "empty-object", FaultNotJSON: "not-json", FaultNotJSON403: "not-json-403", FaultNotJSON500: "not-json-500",
	FaultExpiredToken: "expired-token", FaultUnrecognized: "unrecognized-client", FaultInvalidSignature: "invalid-signature",
	FaultKeyUnavailable: "key-unavailable", FaultDependency: "dependency-timeout", FaultLimit: "limit-exceeded",
	FaultInvalidState: "invalid-state", FaultRedirect: "redirect", FaultAccessDenied: "access-denied",
	FaultWrongKeyID: "wrong-key-id", FaultWrongSourceKeyID: "wrong-source-key-id",
	FaultShortPlaintext: "short-plaintext", FaultNoPlaintext: "no-plaintext", FaultLongPlaintext: "long-plaintext",
	FaultOtherPlaintext: "other-plaintext", FaultEmptyBody: "empty-body", FaultTruncatedJSON: "truncated-json",
	FaultKeyStore: "key-store-unavailable", FaultError: "error",
}

// FaultNames returns the names of all faults.
func FaultNames() []string { return append([]string(nil), faultNames[:]...) }

// String returns the fault's name.
func (f Fault) String() string {
	if f < nFaults {
		return faultNames[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// MarshalText returns the fault's name.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText parses a fault's name; no text is FaultNone.
func (f *Fault) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*f = FaultNone
		return nil
	}
	for i, name := range faultNames {
		if name == string(text) {
			*f = Fault(i)
			return nil
		}
	}
	return fmt.Errorf("no fault is named %q", text)
}

var faultErrors = map[Fault]*apiError{
	FaultThrottle:         {"ThrottlingException", "Rate exceeded", http.StatusBadRequest},
	FaultInternal:         {"KMSInternalException", "", http.StatusInternalServerError},
	FaultExpiredToken:     {"ExpiredTokenException", "The security token included in the request is expired", http.StatusBadRequest},
	FaultUnrecognized:     {"UnrecognizedClientException", "The security token included in the request is invalid.", http.StatusBadRequest},
	FaultInvalidSignature: {"InvalidSignatureException", "The request signature we calculated does not match", http.StatusBadRequest},
	FaultKeyUnavailable:   {"KeyUnavailableException", "", http.StatusInternalServerError},
	FaultDependency:       {"DependencyTimeoutException", "", http.StatusServiceUnavailable},
	FaultLimit:            {"LimitExceededException", "", http.StatusBadRequest},
	FaultInvalidState:     {"KMSInvalidStateException", "", http.StatusBadRequest},
	FaultAccessDenied:     {"AccessDeniedException", "not authorized", http.StatusBadRequest},
	FaultKeyStore:         {"KMSInvalidStateException", "", http.StatusBadRequest},
}

const describeKey = "DescribeKey"

// before answers in place of the operation, and reports whether it did.
func (u Rule) before(w http.ResponseWriter, r *http.Request, op string) bool {
	write := func(kind string, status int, body string) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client has gone: nobody is left to tell
	}
	const page = "<html>please log in</html>"
	switch u.Fault {
	case FaultHang:
		<-r.Context().Done()
	case FaultReset:
		panic(http.ErrAbortHandler)
	case FaultEmptyObject:
		write(contentType, http.StatusOK, "{}")
	case FaultEmptyBody:
		write(contentType, http.StatusOK, "")
	case FaultTruncatedJSON:
		write(contentType, http.StatusOK, `{"KeyId":"arn:aws:kms:`)
	case FaultNotJSON:
		write("text/html", http.StatusOK, page)
	case FaultNotJSON403:
		write("text/html", http.StatusForbidden, page)
	case FaultNotJSON500:
		write("text/html", http.StatusInternalServerError, page)
	case FaultRedirect:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	case FaultError:
		(*Server)(nil).answer(w, nil, &apiError{code: u.Code, status: u.Status})
	default:
		e, ok := faultErrors[u.Fault]
		if !ok || u.Fault == FaultKeyStore && op == describeKey {
			return false
		}
		(*Server)(nil).answer(w, nil, e)
	}
	return true
}

// change alters what the operation answers.
func (f Fault) change(out any) {
	const other = "arn:aws:kms:" + Region + ":" + Account + ":key/00000000-0000-4000-8000-000000000000"
	switch o := out.(type) {
	case *cryptOutput:
		if o != nil {
			f.changeCrypt(o, other)
		}
	case *reEncryptOutput:
		switch {
		case o == nil:
		case f == FaultWrongKeyID:
			o.KeyID = other
		case f == FaultWrongSourceKeyID:
			o.SourceKeyID = other
		}
	case map[string]any:
		m, ok := o["KeyMetadata"].(keyMetadata)
		switch {
		case !ok:
			return
		case f == FaultWrongKeyID:
			m.Arn = other
		case f == FaultKeyStore:
			m.KeyState, m.Origin, m.Enabled = "Unavailable", "EXTERNAL_KEY_STORE", false
		}
		o["KeyMetadata"] = m
	}
}

func (f Fault) changeCrypt(o *cryptOutput, other string) {
	if f == FaultWrongKeyID {
		o.KeyID = other
	}
	if len(o.Plaintext) == 0 {
		return
	}
	switch f {
	case FaultShortPlaintext:
		o.Plaintext = o.Plaintext[1:]
	case FaultNoPlaintext:
		o.Plaintext = nil
	case FaultLongPlaintext:
		o.Plaintext = append(slices.Clip(o.Plaintext), 0)
	case FaultOtherPlaintext:
		o.Plaintext = make([]byte, len(o.Plaintext))
		rand.Read(o.Plaintext)
	default:
	}
}
