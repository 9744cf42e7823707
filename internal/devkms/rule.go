package devkms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rule says which requests go wrong, and how. Of several rules the first one
// that applies counts.
type Rule struct {
	ID          string   `json:"id,omitempty"`         // given by the service
	Operations  []string `json:"operations,omitempty"` // such as "Decrypt"; empty: all
	Key         string   `json:"key,omitempty"`        // ARN of a key that the request uses; empty: all
	Fault       Fault    `json:"fault"`                // FaultNone: the answer is right, if late or cut
	Times       int      `json:"times,omitempty"`      // applies so many times; 0: until it is removed
	Probability float64  `json:"probability,omitempty"`
	Seed        uint64   `json:"seed,omitempty"`       // of the random choice
	LatencyMS   int      `json:"latency_ms,omitempty"` // before anything else happens
	CutAfter    *int     `json:"cut_after,omitempty"`  // bytes of the body, then the connection breaks off
	TrickleMS   int      `json:"trickle_ms,omitempty"` // between the bytes of the body
	Code        string   `json:"code,omitempty"`       // of FaultError, such as "AccessDeniedException"
	Status      int      `json:"status,omitempty"`     // of FaultError; 0: 400
}

// Limits of rules.
const (
	rulesMax     = 64
	latencyMSMax = 10 * 60 * 1000
)

// validate checks a rule and fills in what was left out.
func (u *Rule) validate() error {
	if u.Probability == 0 {
		u.Probability = 1
	}
	if u.Fault == FaultError && u.Status == 0 {
		u.Status = http.StatusBadRequest
	}
	switch {
	case u.Fault >= nFaults:
		return fmt.Errorf("no fault has the number %d", u.Fault)
	case u.Fault == FaultNone && u.LatencyMS == 0 && u.CutAfter == nil && u.TrickleMS == 0:
		return errors.New("the rule does nothing: give a fault, latency_ms, cut_after or trickle_ms")
	case u.Times < 0 || !(u.Probability > 0 && u.Probability <= 1):
		return errors.New("times is not negative, and probability is above 0 and at most 1")
	case u.LatencyMS < 0 || u.LatencyMS > latencyMSMax || u.TrickleMS < 0 || u.TrickleMS > latencyMSMax:
		return fmt.Errorf("latency_ms and trickle_ms are between 0 and %d", latencyMSMax)
	case u.CutAfter != nil && *u.CutAfter < 0:
		return errors.New("cut_after is not negative")
	case (u.Fault == FaultError) != (u.Code != "") || (u.Fault == FaultError) != (u.Status != 0):
		return errors.New("code and status belong to the fault error, which needs a code")
	case u.Fault == FaultError && (u.Status < 300 || u.Status > 599 || strings.ContainsAny(u.Code, "\r\n")):
		return errors.New("status is between 300 and 599, and code is one word")
	}
	for _, op := range u.Operations {
		if _, ok := operations[op]; !ok {
			return fmt.Errorf("no operation is named %q", op)
		}
	}
	return nil
}

// rule is a Rule at work.
type rule struct {
	Rule
	left   int // times; below 0: no limit
	random random
}

// AddFault adds a rule after those that there are, and returns its id.
func (s *Server) AddFault(u Rule) (id string, err error) {
	u.Operations = slices.Clone(u.Operations)
	if err := u.validate(); err != nil {
		return "", err
	}
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	if len(s.rules) == rulesMax {
		return "", fmt.Errorf("there are %d rules already; remove some", rulesMax)
	}
	s.lastRule++
	u.ID = strconv.Itoa(s.lastRule)
	at := &rule{Rule: u, left: -1, random: random(u.Seed)}
	if u.Times > 0 {
		at.left = u.Times
	}
	s.rules = append(s.rules, at)
	return u.ID, nil
}

// Faults returns the rules in their order; Times is what is left of it.
func (s *Server) Faults() []Rule {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	out := make([]Rule, len(s.rules))
	for i, u := range s.rules {
		out[i] = u.Rule
		out[i].Times = max(u.left, 0)
	}
	return out
}

// RemoveFault removes a rule, and reports whether there was one of that id.
func (s *Server) RemoveFault(id string) bool {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	before := len(s.rules)
	s.rules = slices.DeleteFunc(s.rules, func(u *rule) bool { return u.ID == id })
	return len(s.rules) < before
}

// ClearFaults removes all rules.
func (s *Server) ClearFaults() {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.rules = nil
}

// SetFault lets fn choose what goes wrong with each request, by its operation's
// name, before the rules do; nil ends that. fn is called concurrently.
func (s *Server) SetFault(fn func(op string) Fault) {
	if fn == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&fn)
}

// ruleFor returns what is to go wrong with a request.
func (s *Server) ruleFor(c *call, op string, body []byte) Rule {
	if fn := s.fault.Load(); fn != nil {
		if f := (*fn)(op); f != FaultNone {
			return Rule{Fault: f}
		}
	}
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	for i, u := range s.rules {
		if len(u.Operations) > 0 && !slices.Contains(u.Operations, op) || u.Key != "" && !c.uses(u.Key, body) {
			continue
		}
		if u.Probability < 1 && u.random.float() >= u.Probability {
			continue
		}
		if u.left > 0 {
			u.left--
		}
		if u.left == 0 {
			s.rules = slices.Delete(s.rules, i, i+1)
		}
		return u.Rule
	}
	return Rule{}
}

// uses reports whether a request names the key of an ARN.
func (c *call) uses(keyARN string, body []byte) bool {
	var in struct {
		KeyID, SourceKeyID, DestinationKeyID string
		CiphertextBlob                       []byte
	}
	if json.Unmarshal(body, &in) != nil { // names match whatever their case
		return false
	}
	ids := []string{in.KeyID, in.SourceKeyID, in.DestinationKeyID}
	if in.KeyID == "" && in.SourceKeyID == "" {
		if id, _, err := blobKeys(in.CiphertextBlob); err == nil {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		if id == "" {
			continue
		}
		region, name, err := c.locate(id)
		if err == nil && arnPrefix(region)+"key/"+strings.TrimPrefix(name, "key/") == keyARN {
			return true
		}
	}
	return false
}

// delay waits for d, and reports whether the client is still there.
func delay(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// shape returns the writer to answer through, and what to call at the end.
func (u Rule) shape(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, func()) {
	if u.CutAfter == nil && u.TrickleMS == 0 {
		return w, func() {}
	}
	h := &heldWriter{ResponseWriter: w, status: http.StatusOK}
	return h, func() { h.release(r.Context(), u) }
}

// heldWriter holds an answer back, to send it badly.
type heldWriter struct {
	http.ResponseWriter
	status int
	body   []byte
}

// WriteHeader keeps the status.
func (h *heldWriter) WriteHeader(status int) { h.status = status }

// Write keeps the body.
func (h *heldWriter) Write(b []byte) (int, error) {
	h.body = append(h.body, b...)
	return len(b), nil
}

// release sends the answer with its full length in the header, slowly or cut.
func (h *heldWriter) release(ctx context.Context, u Rule) {
	h.Header().Set("Content-Length", strconv.Itoa(len(h.body)))
	h.ResponseWriter.WriteHeader(h.status)
	body, cut := h.body, false
	if u.CutAfter != nil && *u.CutAfter < len(body) {
		body, cut = body[:*u.CutAfter], true
	}
	step := max(len(body), 1)
	if u.TrickleMS > 0 {
		step = 1
	}
	flush := http.NewResponseController(h.ResponseWriter).Flush
	for part := range slices.Chunk(body, step) {
		if _, err := h.ResponseWriter.Write(part); err != nil || !delay(ctx, time.Duration(u.TrickleMS)*time.Millisecond) {
			return // the client has gone
		}
		if u.TrickleMS > 0 && flush() != nil {
			return // as above
		}
	}
	if cut {
		_ = flush() // as above
		panic(http.ErrAbortHandler)
	}
}
