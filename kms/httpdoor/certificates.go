package httpdoor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// The files of a certificate directory. The CA's certificate is for clients (AWS_CA_BUNDLE); the other two hold private keys
// and are readable by their owner only.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
	leafFile  = "door.pem"
)

const (
	caYears      = 10
	leafLifetime = 365 * 24 * time.Hour
	leafRenewal  = 30 * 24 * time.Hour // before its end, a leaf is made anew
)

// Certificates is a directory with a certificate authority of its own and one certificate for the doors, ECDSA P-256 both. They
// are made when they are first needed, and the doors' one again before it ends or when it lacks a host. It may be used
// concurrently.
type Certificates struct {
	dir string
	now func() time.Time

	mu    sync.Mutex // guards what follows
	hosts []string   // that clients may call the doors
	leaf  *tls.Certificate
}

// OpenCertificates uses dir, which is made with mode 0700 when it is missing. now may be nil.
func OpenCertificates(dir string, now func() time.Time) *Certificates {
	if now == nil {
		now = time.Now
	}
	return &Certificates{dir: dir, now: now, hosts: []string{"localhost", "127.0.0.1", "::1"}}
}

// CAFile is the path of the CA's certificate, for clients.
func (c *Certificates) CAFile() string { return filepath.Join(c.dir, caFile) }

// Add makes sure that the certificate is for host too, a name or an address; "" is this machine's name.
func (c *Certificates) Add(host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if host == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("TLS certificate: %w", err)
		}
		host = name
	}
	if !slices.Contains(c.hosts, host) {
		c.hosts = append(c.hosts, host)
	}
	_, err := c.current()
	return err
}

// Get is for tls.Config.GetCertificate.
func (c *Certificates) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current()
}

// current is a leaf that is good for all hosts and for some time, read or made. The caller holds mu.
func (c *Certificates) current() (*tls.Certificate, error) {
	if c.good(c.leaf) {
		return c.leaf, nil
	}
	ca, err := c.authority()
	if err != nil {
		return nil, err
	}
	leaf, err := c.read(leafFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !c.good(leaf) || leaf.Leaf.CheckSignatureFrom(ca.Leaf) != nil {
		if leaf, err = c.issue(ca); err != nil {
			return nil, err
		}
	}
	c.leaf = leaf
	return leaf, nil
}

func (c *Certificates) good(leaf *tls.Certificate) bool {
	if leaf == nil || c.now().Add(leafRenewal).After(leaf.Leaf.NotAfter) || c.now().Before(leaf.Leaf.NotBefore) {
		return false
	}
	for _, host := range c.hosts {
		if leaf.Leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// authority reads the CA, or makes it.
func (c *Certificates) authority() (*tls.Certificate, error) {
	ca, err := c.read(caKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = c.create()
	}
	if err != nil {
		return nil, err
	}
	// the public copy, which may have got lost
	want := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf.Raw})
	if got, err := os.ReadFile(c.CAFile()); err == nil && bytes.Equal(got, want) {
		return ca, nil
	}
	return ca, c.write(caFile, want, 0o644)
}

func (c *Certificates) create() (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kmsfs certificate authority"},
		NotBefore:             c.now().Add(-time.Hour), // clocks of clients differ
		NotAfter:              c.now().AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	return c.make(caKeyFile, template, nil)
}

func (c *Certificates) issue(ca *tls.Certificate) (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kmsfs"},
		NotBefore:   c.now().Add(-time.Hour),
		NotAfter:    c.now().Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range c.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return c.make(leafFile, template, ca)
}

// make makes a key pair, has ca sign its certificate (nil: itself) and writes both to one file, so that they cannot be of
// different age.
func (c *Certificates) make(name string, template *x509.Certificate, ca *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	var serial [16]byte
	rand.Read(serial[:])
	template.SerialNumber = new(big.Int).SetBytes(serial[:])
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := c.write(name, text, 0o600); err != nil {
		return nil, err
	}
	return c.read(name)
}

// read reads a file with a private key and its certificate. The error wraps fs.ErrNotExist when there is none.
func (c *Certificates) read(name string) (*tls.Certificate, error) {
	path := filepath.Join(c.dir, name)
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("TLS certificate: %s can be read or written by others (mode %04o), so its key may be known to them; "+
			"remove it, and a new one is made", path, perm)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %s is damaged (%w); remove it, and a new one is made", path, err)
	}
	return &pair, nil
}

// write replaces a file, complete and durable before it has its name.
func (c *Certificates) write(name string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	f, err := os.CreateTemp(c.dir, name+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("TLS certificate: %w", err)
	}
	return nil
}
