package httpdoor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of a Server by default.
const (
	DefaultHeaderTimeout  = 5 * time.Second
	DefaultReadTimeout    = 10 * time.Second
	DefaultWriteTimeout   = 30 * time.Second
	DefaultIdleTimeout    = 2 * time.Minute
	DefaultMaxConnections = 512
	maxHeader             = 32 << 10 // bytes
)

// Options sets a Server up. The timeouts are for a whole request, so that a slow client is cut off; 0 is the default.
type Options struct {
	Handler      http.Handler
	Certificates *Certificates // for addresses with TLS; nil: those are refused
	Logger       *slog.Logger  // nil: nothing is logged
	// HeaderTimeout is for the headers, ReadTimeout for headers and body, WriteTimeout for the answer, IdleTimeout for the
	// pause between two requests.
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxConnections is how many clients are served at once; others wait. A door must not use up the process's files.
	MaxConnections int
}

// Server listens for one door on any number of addresses. Make it with [New], then Listen, Serve, Shutdown.
type Server struct {
	http      *http.Server
	certs     *Certificates
	slots     chan struct{}
	listeners []listener
}

type listener struct {
	net.Listener
	tls bool
}

// New serves o.Handler.
func New(o Options) *Server {
	or := func(d, otherwise time.Duration) time.Duration {
		if d == 0 {
			return otherwise
		}
		return d
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	s := &Server{certs: o.Certificates, slots: make(chan struct{}, o.MaxConnections)}
	s.http = &http.Server{
		Handler:           o.Handler,
		ReadHeaderTimeout: or(o.HeaderTimeout, DefaultHeaderTimeout),
		ReadTimeout:       or(o.ReadTimeout, DefaultReadTimeout),
		WriteTimeout:      or(o.WriteTimeout, DefaultWriteTimeout),
		IdleTimeout:       or(o.IdleTimeout, DefaultIdleTimeout),
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		Protocols:         new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true) // as AWS's own endpoints
	if o.Certificates != nil {
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: o.Certificates.Get}
	}
	return s
}

// Listen opens an address and returns its URL, which has the real port where addr's is 0. addr is HOST:PORT, with http:// or
// https:// before it or not: without, a loopback address has plain HTTP, every other one TLS. Plain HTTP on another address is
// refused, because data keys would be readable on the network. No request is answered before Serve.
func (s *Server) Listen(addr string) (url string, err error) {
	scheme, hostPort, given := strings.Cut(addr, "://")
	if !given {
		scheme, hostPort = "", addr
	}
	hostPort = strings.TrimSuffix(hostPort, "/")
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil || given && scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("listen on %q: not an address; write HOST:PORT, such as 127.0.0.1:8080 or https://0.0.0.0:8443", addr)
	}
	l, err := net.Listen("tcp", hostPort)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	loopback := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	if scheme == "" {
		scheme = map[bool]string{true: "http", false: "https"}[loopback]
	}
	if err := s.allow(scheme, host, loopback); err != nil {
		l.Close()
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	s.listeners = append(s.listeners, listener{limit(l, s.slots), scheme == "https"})
	return scheme + "://" + reachable(host, l.Addr().(*net.TCPAddr)), nil
}

func (s *Server) allow(scheme, host string, loopback bool) error {
	switch {
	case scheme == "http" && !loopback:
		return errors.New("plain HTTP is for loopback addresses only, because data keys would be readable on the network; write https://")
	case scheme == "http":
		return nil
	case s.certs == nil:
		return errors.New("there is no directory for TLS certificates")
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	return s.certs.Add(host)
}

// reachable is what a client on this machine writes for a listener's address.
func reachable(host string, a *net.TCPAddr) string {
	if host == "" || a.IP.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, fmt.Sprint(a.Port))
}

// Serve answers requests until Shutdown, and then returns nil. It is called once.
func (s *Server) Serve() error {
	errs := make([]error, len(s.listeners))
	var wg sync.WaitGroup
	for i, l := range s.listeners {
		wg.Go(func() {
			if l.tls {
				errs[i] = s.http.ServeTLS(l, "", "")
			} else {
				errs[i] = s.http.Serve(l)
			}
			if errors.Is(errs[i], http.ErrServerClosed) {
				errs[i] = nil
				return
			}
			s.http.Close() // one door that fails ends the others
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Shutdown takes no more requests and waits for those that are being answered, until ctx is done; then it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	for _, l := range s.listeners { // those that were never served
		l.Close()
	}
	return err
}

// limited accepts a connection when there is a slot for it.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	close  func() error
}

func limit(l net.Listener, slots chan struct{}) *limited {
	closed := make(chan struct{})
	return &limited{l, slots, closed, sync.OnceValue(func() error {
		close(closed)
		return l.Close()
	})}
}

// Accept is net.Listener's.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close is net.Listener's.
func (l *limited) Close() error { return l.close() }

// slotted gives its slot back when it is closed.
type slotted struct {
	net.Conn
	free func()
}

// Close is net.Conn's.
func (c *slotted) Close() error {
	c.free()
	return c.Conn.Close()
}
