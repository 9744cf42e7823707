package devkms

import (
	"crypto/rand"
	"net/http"
)

// Fault is something that goes wrong with one request, on purpose.
type Fault uint8

// The faults. Those up to FaultAccessDenied answer instead of the operation; the
// others let it happen and change its answer.
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
)

// SetFault lets fn choose what goes wrong with each request, by its operation's
// name; nil ends that. fn is called concurrently.
func (s *Server) SetFault(fn func(op string) Fault) {
	if fn == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&fn)
}

func (s *Server) faultFor(op string) Fault {
	if fn := s.fault.Load(); fn != nil {
		return (*fn)(op)
	}
	return FaultNone
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
}

// before answers in place of the operation, and reports whether it did.
func (f Fault) before(w http.ResponseWriter, r *http.Request) bool {
	page := func(status int) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>please log in</html>")) // the client has gone: nobody is left to tell
	}
	switch f {
	case FaultHang:
		<-r.Context().Done()
	case FaultReset:
		panic(http.ErrAbortHandler)
	case FaultEmptyObject:
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte("{}")) // as above
	case FaultNotJSON:
		page(http.StatusOK)
	case FaultNotJSON403:
		page(http.StatusForbidden)
	case FaultRedirect:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	default:
		e, ok := faultErrors[f]
		if !ok {
			return false
		}
		(*Server)(nil).answer(w, nil, e)
	}
	return true
}

// change alters what the operation answers.
func (f Fault) change(out any) {
	const other = arnPrefix + "key/00000000-0000-4000-8000-000000000000"
	switch o := out.(type) {
	case *cryptOutput:
		switch {
		case o == nil:
		case f == FaultWrongKeyID:
			o.KeyID = other
		case f == FaultShortPlaintext && len(o.Plaintext) > 0:
			o.Plaintext = o.Plaintext[1:]
		case f == FaultOtherPlaintext:
			o.Plaintext = make([]byte, len(o.Plaintext))
			rand.Read(o.Plaintext)
		}
	case *reEncryptOutput:
		if f == FaultWrongKeyID {
			o.KeyID = other
		}
	case map[string]any:
		if m, ok := o["KeyMetadata"].(keyMetadata); ok && f == FaultWrongKeyID {
			m.Arn = other
			o["KeyMetadata"] = m
		}
	}
}
