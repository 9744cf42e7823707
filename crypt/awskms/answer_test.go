package awskms

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/byokdb/byokdb/crypt"
)

// spy is below the provider's connections: it keeps the places that they read
// into, and copies of what came.
type spy struct {
	mu     sync.Mutex
	places [][]byte
	came   []byte
}

type spiedConn struct {
	net.Conn
	s *spy
}

func (c spiedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.places, c.s.came = append(c.s.places, p[:n]), append(c.s.came, p[:n]...)
	return n, err
}

func (s *spy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return spiedConn{c, s}, err
}

// What carried a DEK from the connection is cleared when the call ends.
func TestAnswersAreWiped(t *testing.T) {
	for _, secure := range []bool{false, true} {
		w := newWorld(t)
		if secure {
			var pool *x509.CertPool
			w.endpoint, pool = tlsServer(t, w.kms, func(*x509.Certificate, *tls.Config) {})
			w.p = w.open(w.arn)
			transport(t, w.p).TLSClientConfig.RootCAs = pool
		}
		_, wrapped := w.generate()
		for _, op := range []string{opGenerate, opUnwrap} {
			var s spy
			transport(t, w.p).DialContext = noted(s.dial)
			var dek *crypt.Secret
			var err error
			if op == opUnwrap {
				dek, _, err = w.p.Unwrap(t.Context(), wrapped, testContext)
			} else {
				dek, _, _, err = w.p.Generate(t.Context(), testContext)
			}
			if err != nil {
				t.Fatal(err)
			}
			var text string
			if err := dek.Use(func(b []byte) error { text = base64.StdEncoding.EncodeToString(b); return nil }); err != nil {
				t.Fatal(err)
			}
			dek.Wipe()
			if secure == bytes.Contains(s.came, []byte(text)) {
				t.Errorf("%s, TLS %v: the spy saw the DEK, or did not see it", op, secure)
			}
			n, inBuffer := 0, 0
			for _, p := range s.places {
				n += len(p)
				if len(p) <= readBufferSize {
					inBuffer += len(p)
				}
				if !bytes.Equal(p, make([]byte, len(p))) {
					t.Errorf("%s, TLS %v: %d bytes of the answer are left", op, secure, len(p))
				}
			}
			if n < 300 {
				t.Errorf("%s, TLS %v: the spy saw %d bytes", op, secure, n)
			}
			if !secure && n-inBuffer < len(text) {
				t.Errorf("%s: the body went through HTTP's buffer", op)
			}
		}
	}
}

func TestReadDEKAnswer(t *testing.T) {
	const good = `{"KeyId":"k","Plaintext":"AAEC","KeyMaterialId":"m","CiphertextBlob":"/w==","Other":{"x":[1]}}`
	broken := iotest.ErrReader(&brokenBody{io.ErrUnexpectedEOF})
	tests := []struct {
		name string
		in   io.Reader
		err  string
	}{
		{"good", strings.NewReader(good), ""},
		{"a byte at a time", iotest.OneByteReader(strings.NewReader(good)), ""},
		{"with space around", strings.NewReader(" " + good + "\n"), ""},
		{"cut", strings.NewReader(good[:20]), "not the JSON"},
		{"two documents", strings.NewReader(good + "{}"), "not the JSON"},
		{"of another type", strings.NewReader(`{"Plaintext":7}`), "not the JSON"},
		{"not base64", strings.NewReader(`{"Plaintext":"$"}`), "not the JSON"},
		{"too long", io.MultiReader(strings.NewReader(good), strings.NewReader(strings.Repeat(" ", dekAnswerSizeMax))), "too long"},
		{"broken", io.MultiReader(strings.NewReader(good[:20]), broken), "broke off"},
		{"broken at once", broken, "broke off"},
	}
	for _, tt := range tests {
		var a dekAnswer
		err := a.read(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || isBroken(err) != (tt.err == "broke off") {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || *a.KeyID != "k" || *a.KeyMaterialID != "m" || string(a.Plaintext) != "\x00\x01\x02" || string(a.CiphertextBlob) != "\xff" {
			t.Errorf("%s: %+v, %v", tt.name, a, err)
		}
	}
	var a dekAnswer
	if err := a.read(strings.NewReader("")); err != nil || a.KeyID != nil || a.Plaintext != nil {
		t.Errorf("nothing: %+v, %v", a, err)
	}
	if err := a.read(iotest.ErrReader(errors.New("other"))); err == nil {
		t.Error("a reader's error is lost")
	}
}

func TestReadBody(t *testing.T) {
	for _, size := range []int{0, 1, answerSizeMin - 1, answerSizeMin, answerSizeMin + 1, answerSizeMax - 1, answerSizeMax, answerSizeMax + 1} {
		want := bytes.Repeat([]byte("x"), size)
		var b readBody
		b.fill(iotest.HalfReader(bytes.NewReader(want)))
		got, err := io.ReadAll(&b)
		if err != nil || len(got) != min(size, answerSizeMax) {
			t.Errorf("%d bytes: %d read, %v", size, len(got), err)
		}
		held := b.b
		if err := b.Close(); err != nil || bytes.Contains(held, []byte("x")) {
			t.Errorf("%d bytes: closed, and still there: %v", size, err)
		}
	}
	var b readBody
	b.fill(io.MultiReader(strings.NewReader("part"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if got, err := io.ReadAll(&b); string(got) != "part" || !isBroken(err) {
		t.Errorf("broken off: %q, %v", got, err)
	}
}
