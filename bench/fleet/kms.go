package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/internal/devkms"
)

// kmsEnv makes this program the KMS: a process of its own, so that its memory
// is not counted.
const kmsEnv = "BYOKDB_BENCH_FLEET_KMS"

const callsPath = "/bench/decrypt-calls"

// serveKMS is the child process: it prints its endpoint, and ends with its stdin.
func serveKMS() error {
	s, err := devkms.New("")
	if err != nil {
		return err
	}
	l, err := devkms.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	var calls atomic.Int64
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == callsPath {
			_, _ = fmt.Fprintln(w, calls.Load()) // the client sees what is missing
			return
		}
		if r.Header.Get("X-Amz-Target") == "TrentService.Decrypt" {
			calls.Add(1)
		}
		s.ServeHTTP(w, r)
	})}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
		_ = server.Close()
	}()
	fmt.Println(devkms.Endpoint(l))
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// kms is the KMS as the parent sees it.
type kms struct {
	endpoint string
	arns     []string
	cmd      *exec.Cmd
	stdin    io.Closer
}

// startKMS starts the child and makes n keys.
func startKMS(ctx context.Context, n int) (*kms, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	k := &kms{cmd: exec.CommandContext(ctx, self)}
	k.cmd.Env = append(os.Environ(), kmsEnv+"=1")
	k.cmd.Stderr = os.Stderr
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	k.endpoint = strings.TrimSpace(line)
	for range n {
		var made struct{ KeyMetadata struct{ Arn string } }
		if err := k.call(ctx, "CreateKey", map[string]string{}, &made); err != nil {
			return nil, errors.Join(err, k.close())
		}
		k.arns = append(k.arns, made.KeyMetadata.Arn)
	}
	return k, nil
}

func (k *kms) close() error {
	return errors.Join(k.stdin.Close(), k.cmd.Wait())
}

// each calls an operation for every key.
func (k *kms) each(ctx context.Context, op string) error {
	for _, arn := range k.arns {
		if err := k.call(ctx, op, map[string]string{"KeyId": arn}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (k *kms) call(ctx context.Context, op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Target", "TrentService."+op)
	answer, err := send(r)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// calls returns how many unwraps the KMS was asked for.
func (k *kms) calls(ctx context.Context) (n int64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.endpoint+callsPath, http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := send(r)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(answer), &n)
	return n, err
}

func send(r *http.Request) (answer []byte, err error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	answer, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("KMS: %s: %s", resp.Status, answer)
	}
	return answer, err
}
