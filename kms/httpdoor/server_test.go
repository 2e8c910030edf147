package httpdoor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/httpdoor"
)

// serve runs s on addr until the end of the test.
func serve(t testing.TB, s *httpdoor.Server, addr string) string {
	t.Helper()
	url, err := s.Listen(addr)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-done)
	})
	return url
}

func TestListen(t *testing.T) {
	certs := httpdoor.OpenCertificates(t.TempDir(), nil)
	for addr, want := range map[string]string{
		"127.0.0.1:0": "http://127.0.0.1:", "http://127.0.0.1:0/": "http://127.0.0.1:", "https://127.0.0.1:0": "https://127.0.0.1:",
		"localhost:0": "http://localhost:", "0.0.0.0:0": "https://localhost:", ":0": "https://localhost:", "https://localhost:0": "https://localhost:",
	} {
		s := httpdoor.New(httpdoor.Options{Certificates: certs})
		url, err := s.Listen(addr)
		require.NoError(t, err, addr)
		require.Regexp(t, "^"+want+"[0-9]+$", url, addr)
		require.NoError(t, s.Shutdown(context.Background()))
	}
	for addr, want := range map[string]string{
		"http://0.0.0.0:0": "plain HTTP is for loopback addresses only", "http://:0": "plain HTTP is for loopback", "": "write HOST:PORT",
		"127.0.0.1": "write HOST:PORT", "ftp://127.0.0.1:0": "write HOST:PORT", "127.0.0.1:99999": "invalid port",
	} {
		_, err := httpdoor.New(httpdoor.Options{Certificates: certs}).Listen(addr)
		require.Error(t, err, addr)
		require.ErrorContains(t, err, want, addr)
	}
	_, err := httpdoor.New(httpdoor.Options{}).Listen("https://127.0.0.1:0")
	require.Error(t, err)
	require.ErrorContains(t, err, "no directory for TLS certificates")
	s := httpdoor.New(httpdoor.Options{})
	url, err := s.Listen("127.0.0.1:0")
	require.NoError(t, err)
	_, err = s.Listen(url)
	require.Error(t, err)
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, s.Shutdown(context.Background()))
}

// TestTLS: a client that trusts the CA file is served, any other refuses.
func TestTLS(t *testing.T) {
	certs := httpdoor.OpenCertificates(filepath.Join(t.TempDir(), "tls"), nil)
	url := serve(t, httpdoor.New(httpdoor.Options{Certificates: certs, Handler: newHello()}), "https://127.0.0.1:0")
	_, err := http.Get(url)
	require.Error(t, err)
	require.ErrorContains(t, err, "certificate")
	text, err := os.ReadFile(certs.CAFile())
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		resp, err := (&http.Client{Transport: transport}).Get(strings.Replace(url, "127.0.0.1", host, 1))
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, "HTTP/1.1", resp.Proto)
		require.GreaterOrEqual(t, resp.TLS.Version, uint16(tls.VersionTLS12))
	}
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}}
	_, err = (&http.Client{Transport: old}).Get(url)
	require.Error(t, err)
}

func newHello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
}

func TestCertificates(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "store.tls"), time.Now()
	clock := func() time.Time { return now }
	certs := httpdoor.OpenCertificates(dir, clock)
	require.NoError(t, certs.Add("kms.example.org"))
	first, err := certs.Get(nil)
	require.NoError(t, err)
	require.NoError(t, first.Leaf.VerifyHostname("kms.example.org"))
	require.NoError(t, first.Leaf.VerifyHostname("::1"))
	require.False(t, first.Leaf.IsCA)
	require.Equal(t, elliptic.P256(), first.Leaf.PublicKey.(*ecdsa.PublicKey).Curve)
	for name, mode := range map[string]os.FileMode{"ca-key.pem": 0o600, "door.pem": 0o600, "ca.pem": 0o644, ".": 0o700} {
		st, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, st.Mode().Perm(), name)
	}
	ca, err := os.ReadFile(certs.CAFile())
	require.NoError(t, err)
	require.NotContains(t, string(ca), "PRIVATE")

	serial := func(c *httpdoor.Certificates) string {
		leaf, err := c.Get(nil)
		require.NoError(t, err)
		return leaf.Leaf.SerialNumber.String()
	}
	certs = httpdoor.OpenCertificates(dir, clock) // another process
	require.Equal(t, first.Leaf.SerialNumber.String(), serial(certs))
	require.NoError(t, os.Remove(certs.CAFile()))
	now = now.Add(336 * 24 * time.Hour) // less than 30 days are left
	require.NotEqual(t, first.Leaf.SerialNumber.String(), serial(certs))
	again, err := os.ReadFile(certs.CAFile())
	require.NoError(t, err)
	require.Equal(t, ca, again, "clients keep the CA that they know")

	path := filepath.Join(dir, "ca-key.pem")
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, damage := range map[string]func() error{
		"can be read or written by others": func() error { return os.Chmod(path, 0o640) },
		"is damaged":                       func() error { return os.WriteFile(path, []byte("x"), 0o600) },
	} {
		require.NoError(t, damage())
		_, err := httpdoor.OpenCertificates(dir, clock).Get(nil)
		require.Error(t, err)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, path)
		require.NoError(t, os.WriteFile(path, good, 0o600))
		require.NoError(t, os.Chmod(path, 0o600))
	}
	require.NoError(t, os.Remove(path))
	require.NotEqual(t, first.Leaf.SerialNumber.String(), serial(httpdoor.OpenCertificates(dir, clock)), "a leaf of another CA is not used")
}

// TestShutdownWaits: a request that is being answered is answered.
func TestShutdownWaits(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s := httpdoor.New(httpdoor.Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		io.WriteString(w, "done")
	})})
	url, err := s.Listen("127.0.0.1:0")
	require.NoError(t, err)
	served, answered := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve() }()
	go func() {
		resp, err := http.Get(url)
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	<-started
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	require.NoError(t, s.Shutdown(context.Background()))
	require.NoError(t, <-answered)
	require.NoError(t, <-served)
}
