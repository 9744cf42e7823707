package devkms

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

func TestFaultNames(t *testing.T) {
	seen := map[string]bool{}
	for f := range nFaults {
		name := f.String()
		var again Fault
		if name == "" || seen[name] || again.UnmarshalText([]byte(name)) != nil || again != f {
			t.Errorf("fault %d is named %q", f, name)
		}
		seen[name] = true
	}
	if len(seen) != len(FaultNames()) {
		t.Error("FaultNames leaves some out")
	}
	var f Fault
	if f.UnmarshalText([]byte("nope")) == nil || nFaults.String() != "fault 28" {
		t.Errorf("an unknown fault is taken, or %d has no name", nFaults)
	}
}

func generate(t *testing.T, c *kms.Client, key *string) error {
	t.Helper()
	_, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
	return err
}

func describe(t *testing.T, c *kms.Client, key *string) error {
	t.Helper()
	_, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
	return err
}

// code returns an answer's error code, or "".
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func addFault(t *testing.T, s *Server, u Rule) string {
	t.Helper()
	id, err := s.AddFault(u)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRules(t *testing.T) {
	s, c := serve(t, "")
	key, other := newKey(t, s), newKey(t, s)
	first := addFault(t, s, Rule{Operations: []string{"GenerateDataKey"}, Key: *key, Fault: FaultLimit, Times: 2})
	second := addFault(t, s, Rule{Fault: FaultError, Code: "TeapotException", Status: 418})
	if list := s.Faults(); len(list) != 2 || list[0].ID != first || list[0].Times != 2 || list[1].ID != second || list[1].Probability != 1 {
		t.Errorf("rules: %+v", list)
	}
	for _, want := range []string{"LimitExceededException", "LimitExceededException", "TeapotException"} {
		wantCode(t, generate(t, c, key), want)
	}
	if !s.RemoveFault(second) || s.RemoveFault(second) || s.RemoveFault(first) {
		t.Error("a rule was removed twice, or one that was used up")
	}
	if err := generate(t, c, key); err != nil {
		t.Error(err)
	}
	// The key is found in whatever form the request names it.
	out, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	addFault(t, s, Rule{Key: *key, Fault: FaultThrottle})
	id := (*key)[strings.LastIndex(*key, "/")+1:]
	wantCode(t, describe(t, c, &id), "ThrottlingException")
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
	wantCode(t, err, "ThrottlingException")
	_, err = c.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: out.CiphertextBlob, SourceKeyId: key, DestinationKeyId: other})
	wantCode(t, err, "ThrottlingException")
	if err := describe(t, c, other); err != nil {
		t.Errorf("another key: %v", err)
	}
	s.ClearFaults()
	if err := describe(t, c, key); err != nil {
		t.Error(err)
	}
}

func TestRuleByChance(t *testing.T) {
	s, c := serve(t, "")
	key := newKey(t, s)
	run := func(seed uint64) string {
		s.ClearFaults()
		addFault(t, s, Rule{Fault: FaultThrottle, Probability: 0.5, Seed: seed})
		var b strings.Builder
		for range 40 {
			b.WriteString(map[bool]string{true: ".", false: "x"}[describe(t, c, key) == nil])
		}
		return b.String()
	}
	one := run(1)
	if n := strings.Count(one, "x"); n < 8 || n > 32 {
		t.Errorf("%d of 40 failed at one half: %s", n, one)
	}
	if again, other := run(1), run(2); again != one || other == one {
		t.Errorf("seed 1: %s, again %s, seed 2: %s", one, again, other)
	}
}

func TestRuleRefusals(t *testing.T) {
	s, _ := serve(t, "")
	minus := -1
	for _, u := range []Rule{
		{},
		{Fault: nFaults},
		{Fault: FaultReset, Times: -1},
		{Fault: FaultReset, Probability: 1.1},
		{Fault: FaultReset, Probability: -0.1},
		{LatencyMS: -1},
		{LatencyMS: latencyMSMax + 1},
		{TrickleMS: latencyMSMax + 1},
		{CutAfter: &minus},
		{Fault: FaultError},
		{Fault: FaultReset, Code: "X"},
		{Fault: FaultReset, Status: 400},
		{Fault: FaultError, Code: "X", Status: 200},
		{Fault: FaultReset, Operations: []string{"Decypher"}},
	} {
		if _, err := s.AddFault(u); err == nil {
			t.Errorf("took %+v", u)
		}
	}
	for range rulesMax {
		addFault(t, s, Rule{Fault: FaultReset})
	}
	if _, err := s.AddFault(Rule{Fault: FaultReset}); err == nil {
		t.Error("takes rules without limit")
	}
}

// A body can be cut at every byte, and comes with its full length all the same.
func TestCutAndTrickle(t *testing.T) {
	s, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	defer hs.Close()
	arn, err := s.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (int64, string, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hs.URL, strings.NewReader(`{"KeyId":"`+arn+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "TrentService.DescribeKey")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return resp.ContentLength, string(b), err
	}
	size, whole, err := ask()
	if err != nil || int(size) != len(whole) {
		t.Fatalf("%d bytes, %d read, %v", size, len(whole), err)
	}
	for _, n := range []int{0, 1, len(whole) - 1, len(whole), len(whole) + 1} {
		s.ClearFaults()
		addFault(t, s, Rule{CutAfter: &n})
		got, part, err := ask()
		cut := n < len(whole)
		if got != size || part != whole[:min(n, len(whole))] || (err != nil) != cut {
			t.Errorf("cut after %d: %d bytes announced, %d read, %v", n, got, len(part), err)
		}
	}
	s.ClearFaults()
	addFault(t, s, Rule{TrickleMS: 1, LatencyMS: 1})
	if got, all, err := ask(); got != size || all != whole || err != nil {
		t.Errorf("trickling: %d bytes, %v", len(all), err)
	}
}

func TestFaultAPI(t *testing.T) {
	s, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		method, path, kind, body string
		status                   int
		want                     string
	}{
		{"GET", "/faults", "", "", 200, `{"rules":[]}`},
		{"POST", "/faults", "application/json", `{"fault":"throttle","operations":["Decrypt"],"times":3}`, 201, `"id":"1"`},
		{"POST", "/faults", "application/json; charset=utf-8", `{"latency_ms":5,"cut_after":0}`, 201, `"id":"2"`},
		{"GET", "/faults", "", "", 200, `{"rules":[{"id":"1","operations":["Decrypt"],"fault":"throttle","times":3,"probability":1},` +
			`{"id":"2","fault":"none","probability":1,"latency_ms":5,"cut_after":0}]}`},
		{"POST", "/faults", "text/plain", `{"fault":"throttle"}`, 400, "application/json"},
		{"POST", "/faults", "", `{"fault":"throttle"}`, 400, "application/json"},
		{"POST", "/faults", "application/json", `{"fault":"nope"}`, 400, "no fault is named"},
		{"POST", "/faults", "application/json", `{"fualt":"throttle"}`, 400, "unknown field"},
		{"POST", "/faults", "application/json", `{"fault":"throttle"}{}`, 400, "more than one"},
		{"POST", "/faults", "application/json", `{}`, 400, "does nothing"},
		{"PATCH", "/faults", "", "", 405, "GET"},
		{"GET", "/faults/1", "", "", 405, "DELETE"},
		{"DELETE", "/faults/1", "", "", 204, ""},
		{"DELETE", "/faults/1", "", "", 404, "no rule"},
		{"DELETE", "/faults", "", "", 204, ""},
		{"GET", "/faults", "", "", 200, `{"rules":[]}`},
		{"PUT", "/consistency", "application/json", `{"delay_ms":5000,"requests":4,"seed":7,"odd":true}`, 200, `{"delay_ms":5000,"requests":4,"seed":7,"odd":true}`},
		{"GET", "/consistency", "", "", 200, `{"delay_ms":5000,"requests":4,"seed":7,"odd":true}`},
		{"PUT", "/consistency", "application/json", `{"delay_ms":-1}`, 400, "between 0"},
		{"PUT", "/consistency", "application/json", `{"delay_ms":9223372036854775807}`, 400, "between 0"},
		{"PUT", "/consistency", "text/plain", `{}`, 400, "application/json"},
		{"DELETE", "/consistency", "", "", 405, "PUT"},
		{"PUT", "/consistency", "application/json", `{}`, 200, `{"delay_ms":0,"requests":0,"seed":0,"odd":false}`},
	}
	ask := func(host, origin, method, path, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://"+host+path, strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	for _, tt := range tests {
		w := ask("127.0.0.1:1", "", tt.method, tt.path, tt.kind, tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, w.Code, w.Body)
		}
		if w.Code >= 400 {
			var refusal struct{ Error string }
			if json.Unmarshal(w.Body.Bytes(), &refusal) != nil || refusal.Error == "" {
				t.Errorf("%s %s: the refusal is %s", tt.method, tt.path, w.Body)
			}
		}
	}
	if w := ask("evil.example", "", "GET", "/faults", "", ""); w.Code != 403 {
		t.Errorf("another host name: %d", w.Code)
	}
	if w := ask("127.0.0.1:1", "http://evil.example", "DELETE", "/faults", "", ""); w.Code != 403 {
		t.Errorf("a web page: %d", w.Code)
	}
}

func TestConsistency(t *testing.T) {
	s, c := serve(t, "")
	fc := &fakeClock{now: time.Unix(1e9, 0)}
	s.clock = fc
	key := newKey(t, s)
	answers := func(n int) map[string]int {
		out := map[string]int{}
		for range n {
			out[code(generate(t, c, key))]++
		}
		return out
	}
	set := func(c Consistency) {
		t.Helper()
		if err := s.SetConsistency(c); err != nil {
			t.Fatal(err)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	disable := func() {
		_, err := c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key})
		do(err)
	}
	enable := func() {
		_, err := c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key})
		do(err)
	}

	set(Consistency{Delay: 5 * time.Second, Seed: 1})
	disable()
	if got := answers(40); got[""] == 0 || got["DisabledException"] == 0 || len(got) != 2 {
		t.Errorf("within the delay: %v", got)
	}
	fc.advance(5*time.Second - 1)
	if got := answers(20); got[""] == 0 {
		t.Errorf("at its end: %v", got)
	}
	fc.advance(1)
	if got := answers(20); got["DisabledException"] != 20 {
		t.Errorf("after the delay: %v", got)
	}

	set(Consistency{Requests: 120, Seed: 2, Odd: true})
	enable()
	if got := answers(120); got[""] == 0 || got["DisabledException"] == 0 || got["NotFoundException"] == 0 || got["KMSInvalidStateException"] == 0 {
		t.Errorf("odd answers: %v", got)
	}
	if got := answers(20); got[""] != 20 {
		t.Errorf("after so many requests: %v", got)
	}

	set(Consistency{Requests: 20, Seed: 3})
	created, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
	do(err)
	key = created.KeyMetadata.Arn
	if got := answers(20); got[""] == 0 || got["NotFoundException"] == 0 {
		t.Errorf("a new key: %v", got)
	}
	deny := aws.String(`{"Statement":{"Effect":"Deny","Action":"kms:GenerateDataKey","Resource":"*"}}`)
	if _, err := c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: deny}); err == nil {
		t.Error("a Statement that is no list was taken")
	}
	deny = aws.String(`{"Statement":[{"Effect":"Deny","Action":"kms:GenerateDataKey","Resource":"*"}]}`)
	_, err = c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: deny})
	do(err)
	if got := answers(20); got[""] == 0 || got["AccessDeniedException"] == 0 {
		t.Errorf("a new policy: %v", got)
	}
	set(Consistency{})
	if got := answers(10); got["AccessDeniedException"] != 10 {
		t.Errorf("consistent again: %v", got)
	}
	if s.SetConsistency(Consistency{Delay: 2 * time.Hour}) == nil || s.SetConsistency(Consistency{Requests: -1}) == nil {
		t.Error("limits are not kept")
	}
}
