// Package devkms is a small key management service for development and tests.
// It speaks enough of the AWS KMS JSON protocol for the AWS SDK to work against
// it on a laptop. It checks no signatures: whoever reaches it may use its keys,
// which is why [Listen] serves loopback addresses alone. Never put data behind
// it that matters.
package devkms

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/internal/clock"
)

// Where the keys of this service claim to be. Requests signed for another
// region make and find keys there.
const (
	Region  = "eu-west-1"
	Account = "111122223333"
)

// requestSizeMax limits a request's body in bytes; KMS takes 4 KiB of plaintext
// and 32 KiB of policy.
const requestSizeMax = 256 << 10

// Server is the service: an http.Handler with its keys. Safe for concurrent use.
type Server struct {
	clock clock.Clock
	fault atomic.Pointer[func(op string) Fault]

	faultMu  sync.Mutex // of the rules
	rules    []*rule
	lastRule int // id

	mu          sync.Mutex // of everything below
	state       state
	store       store // nil: in memory only
	consistency Consistency
	random      random
	changes     map[*key]*unsettled
}

// New returns a server that keeps its keys in memory, or, when dir is not
// empty, in the file devkms.json in that directory, which is made when absent.
func New(dir string) (*Server, error) {
	s := &Server{clock: clock.System(), state: newState(), changes: map[*key]*unsettled{}}
	if dir == "" {
		return s, nil
	}
	st, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	if s.state, err = st.load(); err != nil {
		return nil, err
	}
	s.store = st
	return s, nil
}

// CreateKey makes a symmetric key in Region and returns its ARN.
func (s *Server) CreateKey() (arn string, err error) {
	return s.newKey(createKeyInput{})
}

// CreateMultiRegionKey makes a multi-Region primary key in Region.
func (s *Server) CreateMultiRegionKey() (arn string, err error) {
	return s.newKey(createKeyInput{MultiRegion: true})
}

func (s *Server) newKey(in createKeyInput) (arn string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := (&call{Server: s}).createKey(in)
	if err != nil {
		return "", err
	}
	return k.arn(), nil
}

// ReplicateKey makes a replica of a multi-Region primary key in another region,
// and returns its ARN.
func (s *Server) ReplicateKey(primary, region string) (arn string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := (&call{Server: s}).replicate(replicateInput{KeyID: primary, ReplicaRegion: region})
	if err != nil {
		return "", err
	}
	return k.arn(), nil
}

// Keys returns the ARNs of all keys, in the order in which they were made.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	arns := make([]string, len(s.state.Keys))
	for i, k := range s.state.Keys {
		arns[i] = k.arn()
	}
	return arns
}

// apiError is what the service answers instead of a result.
type apiError struct {
	code    string
	message string
	status  int
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func refuse(code, message string) error {
	return &apiError{code: code, message: message, status: http.StatusBadRequest}
}

const contentType = "application/x-amz-json-1.1"

// ServeHTTP answers one request of the AWS KMS JSON 1.1 protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newUUID()
	w.Header().Set("X-Amzn-Requestid", requestID)
	if !loopbackHost(r.Host) {
		// A web page must not reach the service through a name of its own.
		http.Error(w, "devkms serves loopback host names only", http.StatusForbidden)
		return
	}
	if s.serveFaults(w, r) {
		return
	}
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if r.Method != http.MethodPost || !ok {
		http.Error(w, "devkms, a development KMS: POST with X-Amz-Target TrentService.…", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestSizeMax))
	if err != nil {
		s.answer(w, nil, refuse("SerializationException", "the request's body could not be read"))
		return
	}
	c := &call{Server: s, region: signingRegion(r)}
	u := s.ruleFor(c, op, body)
	if !delay(r.Context(), time.Duration(u.LatencyMS)*time.Millisecond) {
		return
	}
	held, release := u.shape(w, r)
	if !u.before(held, r, op) {
		out, err := c.serve(op, body)
		u.Fault.change(out)
		s.answer(held, out, err)
	}
	release()
}

// serve carries out one operation.
func (c *call) serve(op string, body []byte) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expireKeys()
	handle, ok := operations[op]
	if !ok {
		return nil, refuse("UnknownOperationException", "devkms does not know this operation")
	}
	return handle(c, body)
}

func (s *Server) answer(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if err != nil {
		var e *apiError
		if !errors.As(err, &e) {
			e = &apiError{code: "KMSInternalException", message: "devkms could not keep its state", status: http.StatusInternalServerError}
		}
		status = e.status
		out = map[string]string{"__type": e.code, "message": e.message}
	}
	b, err := json.Marshal(out)
	if err != nil {
		http.Error(w, "devkms could not encode its answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client has gone: nobody is left to tell
}

// loopbackHost reports whether a Host header or address names this machine.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// newUUID returns a random UUID, as key ids and request ids have it.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newMaterialID returns 64 random hexadecimal digits.
func newMaterialID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
