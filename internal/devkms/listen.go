package devkms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Time limits of the HTTP server; clients are on the same machine.
const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 2 * time.Second
)

// Listen listens on addr, such as "127.0.0.1:0". It refuses addresses that
// other machines could reach.
func Listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", addr, err)
	}
	if !loopbackHost(host) {
		return nil, fmt.Errorf("devkms serves this machine alone: %q is no loopback address; use 127.0.0.1:PORT", addr)
	}
	if host == "localhost" {
		host = "127.0.0.1" // whatever the name resolves to
	}
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
}

// Endpoint returns the URL of a service on l.
func Endpoint(l net.Listener) string { return "http://" + l.Addr().String() }

// Serve answers requests on l until ctx ends, then waits for those under way for
// two seconds at most. It closes l, and returns nil when ctx ended it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	hs := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := hs.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		abort() // requests that hang
		err = hs.Close()
	}
	if serr := <-failed; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
