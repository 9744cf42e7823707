package awskms

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// An answer with a DEK passes through buffers of others: the connection's, those
// of TLS and of HTTP, the SDK's, and strings that its decoder makes. They would
// hold the DEK until the Go heap is scrubbed, and anew with every probe. So HTTP
// reads past its buffer, what was read from the connection is noted and cleared
// (TLS decrypts in place), and such answers are decoded here.

// readBufferSize makes HTTP read bodies right into the caller's buffer, but for
// the first bytes; it is bufio's least.
const readBufferSize = 16 // bytes

// readings are the places into which the answer to one call was read.
type readings struct {
	mu     sync.Mutex
	places [][]byte
}

type readingsKey struct{}

// with returns a context whose connections note their readings.
func (r *readings) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, readingsKey{}, r)
}

func (r *readings) add(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places = append(r.places, b)
}

// wipe clears them. The answer must have been read to its end: nothing else
// reads from its connection any more.
func (r *readings) wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.places {
		clear(b)
	}
	r.places = nil
}

// notedConn is a connection that notes its readings.
type notedConn struct {
	net.Conn
	readings *readings
}

func (c notedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.readings.add(p[:n])
	return n, err
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// noted returns dial with its connections noted, where the context says so.
func noted(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if r, ok := ctx.Value(readingsKey{}).(*readings); ok && err == nil {
			return notedConn{Conn: conn, readings: r}, nil
		}
		return conn, err
	}
}

// ownProtocol decodes the answers that hold a DEK.
type ownProtocol struct{ smithyhttp.ClientProtocol }

// DeserializeResponse decodes an answer; a refusal is the SDK's to decode.
func (p ownProtocol) DeserializeResponse(
	ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable,
) error {
	decrypted, isDecrypt := out.(*kms.DecryptOutput)
	generated, isGenerate := out.(*kms.GenerateDataKeyOutput)
	if resp.StatusCode != http.StatusOK || !isDecrypt && !isGenerate {
		return p.ClientProtocol.DeserializeResponse(ctx, schema, types, resp, out)
	}
	var a dekAnswer
	if err := a.read(resp.Body); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if isDecrypt {
		decrypted.KeyId, decrypted.KeyMaterialId, decrypted.Plaintext = a.KeyID, a.KeyMaterialID, a.Plaintext
	} else {
		generated.KeyId, generated.KeyMaterialId, generated.Plaintext = a.KeyID, a.KeyMaterialID, a.Plaintext
		generated.CiphertextBlob = a.CiphertextBlob
	}
	return nil
}

// dekAnswer is what is read of an answer to Decrypt or GenerateDataKey.
type dekAnswer struct {
	KeyID          *string `json:"KeyId"`
	KeyMaterialID  *string `json:"KeyMaterialId"`
	Plaintext      []byte
	CiphertextBlob []byte
}

const dekAnswerSizeMax = 32 << 10 // bytes; a blob has 6 KiB at most

// read decodes one document; no document is an answer without members. The
// errors say nothing of what was read.
func (a *dekAnswer) read(r io.Reader) error {
	b := make([]byte, dekAnswerSizeMax)
	defer clear(b)
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return errors.New("the answer is too long")
	case errors.Is(err, io.EOF):
		return nil
	case !errors.Is(err, io.ErrUnexpectedEOF) || isBroken(err):
		return err
	}
	if json.Unmarshal(b[:n], a) != nil {
		clear(a.Plaintext)
		return errors.New("the answer is not the JSON of this operation")
	}
	return nil
}

func isBroken(err error) bool {
	_, ok := errors.AsType[*brokenBody](err)
	return ok
}
