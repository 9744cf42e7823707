package devkms

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// The service's own API, beside that of AWS KMS:
//
//	GET    /faults       {"rules":[…]}
//	POST   /faults       a Rule; answers with it and its id
//	DELETE /faults       removes all rules
//	DELETE /faults/ID    removes one
//	GET    /consistency  {"delay_ms":…,"requests":…,"seed":…,"odd":…}
//	PUT    /consistency  the same
//
// Bodies are application/json. A refusal is {"error":"…"}.
const (
	pathFaults      = "/faults"
	pathConsistency = "/consistency"
)

// RuleList is what GET /faults answers.
type RuleList struct {
	Rules []Rule `json:"rules"`
}

// ConsistencyJSON is [Consistency] as the API has it.
type ConsistencyJSON struct {
	DelayMS  int64  `json:"delay_ms"`
	Requests int    `json:"requests"`
	Seed     uint64 `json:"seed"`
	Odd      bool   `json:"odd"`
}

// serveFaults answers the service's own API, and reports whether it did.
func (s *Server) serveFaults(w http.ResponseWriter, r *http.Request) bool {
	id, one := strings.CutPrefix(r.URL.Path, pathFaults+"/")
	if r.URL.Path != pathFaults && r.URL.Path != pathConsistency && !one {
		return false
	}
	if r.Header.Get("Origin") != "" { // a web page must not change anything here
		reply(w, http.StatusForbidden, errors.New("requests of web pages are refused"))
		return true
	}
	switch {
	case one && r.Method == http.MethodDelete:
		if !s.RemoveFault(id) {
			reply(w, http.StatusNotFound, errors.New("no rule has this id"))
			return true
		}
		w.WriteHeader(http.StatusNoContent)
	case one:
		reply(w, http.StatusMethodNotAllowed, errors.New("a rule is removed with DELETE"))
	case r.URL.Path == pathConsistency:
		s.serveConsistency(w, r)
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, RuleList{Rules: s.Faults()})
	case r.Method == http.MethodDelete:
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost:
		var u Rule
		if err := readJSON(w, r, &u); err != nil {
			reply(w, http.StatusBadRequest, err)
			return true
		}
		id, err := s.AddFault(u)
		if err != nil {
			reply(w, http.StatusBadRequest, err)
			return true
		}
		u.ID = id
		reply(w, http.StatusCreated, u)
	default:
		reply(w, http.StatusMethodNotAllowed, errors.New("faults are read with GET, added with POST and removed with DELETE"))
	}
	return true
}

func (s *Server) serveConsistency(w http.ResponseWriter, r *http.Request) {
	var in ConsistencyJSON
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		err := readJSON(w, r, &in)
		if err == nil {
			const msMax = int64(consistencyDelayMax / time.Millisecond)
			delay := time.Duration(min(max(in.DelayMS, -1), msMax+1)) * time.Millisecond // no overflow
			err = s.SetConsistency(Consistency{Delay: delay, Requests: in.Requests, Seed: in.Seed, Odd: in.Odd})
		}
		if err != nil {
			reply(w, http.StatusBadRequest, err)
			return
		}
	default:
		reply(w, http.StatusMethodNotAllowed, errors.New("consistency is read with GET and set with PUT"))
		return
	}
	c := s.Consistency()
	reply(w, http.StatusOK, ConsistencyJSON{DelayMS: c.Delay.Milliseconds(), Requests: c.Requests, Seed: c.Seed, Odd: c.Odd})
}

// readJSON reads one document. Its type keeps web pages out: a browser asks
// before it sends application/json elsewhere, and is not answered.
func readJSON(w http.ResponseWriter, r *http.Request, to any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errors.New("the body is of type application/json, and says so")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, requestSizeMax))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body holds more than one document")
	}
	return nil
}

// reply answers with a document; an error becomes one.
func reply(w http.ResponseWriter, status int, out any) {
	if err, ok := out.(error); ok {
		out = map[string]string{"error": err.Error()}
	}
	b, err := json.Marshal(out)
	if err != nil {
		http.Error(w, "devkms could not encode its answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone: nobody is left to tell
}
