package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
)

// What protects the root key file.
const (
	protectNone       = "none" // the file's mode
	protectPassphrase = "passphrase"
)

// RootConfig is about the root key.
type RootConfig struct {
	Protection        string `toml:"protection"`          // of a root key file that is made or changed: none, passphrase, aws:KEY
	KMSEndpoint       string `toml:"kms-endpoint"`        // of the key service of aws:KEY; empty: what the file says, or AWS's own
	KMSProfile        string `toml:"kms-profile"`         // of AWS's configuration files
	PassphraseFile    string `toml:"passphrase-file"`     // holds the passphrase
	PassphraseCommand string `toml:"passphrase-command"`  // prints the passphrase
	NewPassphraseFile string `toml:"new-passphrase-file"` // of `root change`: holds the new one; empty: ask
	NewKeyFile        string `toml:"new-key-file"`        // of `root rotate` with a credential: where the new root key is written
	RecoveryKit       string `toml:"recovery-kit"`        // where init writes the kit; empty: STORE.recovery; none: no kit
}

// credentialPrefix begins the name of a root key that systemd hands over.
const credentialPrefix = "credential:"

func isCredential(rootKey string) bool { return strings.HasPrefix(rootKey, credentialPrefix) }

// rootPath is the file of a store's root key.
func (c *Config) rootPath(store string) (string, error) {
	name, ok := strings.CutPrefix(c.RootKey, credentialPrefix)
	if !ok {
		return beside(c.RootKey, store, ".key"), nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", &configError{fmt.Errorf("root-key is %s, but systemd handed over no credentials ($CREDENTIALS_DIRECTORY is not set); "+
			"put LoadCredential=%s:FILE into the unit", c.RootKey, name)}
	}
	if name == "" || name != filepath.Base(name) {
		return "", &configError{fmt.Errorf("root-key: %q is no name of a credential", name)}
	}
	return filepath.Join(dir, name), nil
}

// rootKey is a root key that was read or made.
type rootKey struct {
	secret     []byte
	passphrase []byte // that opened it; nil: there is none
	store      string // the identity of the only store that it is for; empty: it says nothing of that
}

func (r *rootKey) wipe() {
	kms.Wipe(r.secret)
	kms.Wipe(r.passphrase)
}

// loadRoot reads the root key of a store that exists. The caller wipes it. Errors: NoRootKey, OpenRootKey, WrongRootKey,
// NoKeyring of package service.
func (c *Config) loadRoot(store string) (*rootKey, error) {
	ring, err := readKeyring(store)
	if err != nil {
		return nil, err
	}
	path, f, err := c.findRoot(store, ring)
	if err != nil {
		return nil, err
	}
	defer f.Wipe()
	return c.openRoot(path, f, ring.Head().Store)
}

// findRoot reads the file with the root key that the keyring is sealed under: the configured one, or the one that a rotation
// staged before it was cut short.
func (c *Config) findRoot(store string, ring *keyring.File) (path string, f *local.RootFile, err error) {
	if path, err = c.rootPath(store); err != nil {
		return "", nil, err
	}
	f, err = c.readRoot(path)
	if err == nil && ring.SealedUnder(f.ID()) {
		return path, f, nil
	}
	if !isCredential(c.RootKey) {
		staged, bad := c.readRoot(path + stagedSuffix)
		if bad == nil && ring.SealedUnder(staged.ID()) {
			return path + stagedSuffix, staged, nil
		}
	}
	if err != nil {
		return "", nil, err
	}
	f.Wipe()
	h := ring.Head()
	return "", nil, &service.Error{Code: service.WrongRootKey, Message: fmt.Sprintf("%s is root key %s, but the store %s is sealed under root key %s (since %s)",
		path, f.ID(), store, h.Root, timeText(h.Since))}
}

// openRoot gets the root key out of its file. store is the identity of the store that it shall open; empty: it is new.
func (c *Config) openRoot(path string, f *local.RootFile, store string) (*rootKey, error) {
	if f.Wrapped() != nil {
		return c.unwrapRoot(path, f, store)
	}
	r := &rootKey{}
	var err error
	r.secret, err = f.Open(func() ([]byte, error) {
		p, err := c.passphrase("passphrase of " + path)
		r.passphrase = bytes.Clone(p)
		return p, err
	})
	if errors.Is(err, local.ErrPassphrase) {
		err = &service.Error{Code: service.WrongRootKey, Message: "open the root key " + path, Err: err}
	}
	if err != nil {
		r.wipe()
		return nil, err
	}
	return r, nil
}

func (c *Config) readRoot(path string) (*local.RootFile, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &service.Error{Code: service.NoRootKey, Message: fmt.Sprintf("the store's root key %s is missing", path)}
	case isCredential(c.RootKey):
		return local.ReadCredential(path)
	case err == nil && st.Mode().Perm()&0o077 != 0:
		return nil, &service.Error{Code: service.OpenRootKey,
			Message: fmt.Sprintf("others can read or write the root key %s (mode %04o)", path, st.Mode().Perm())}
	}
	return local.ReadRootFile(path)
}

// rootOf reads the root key, or makes one for a store that is new.
func (c *Config) rootOf(store string, storeExists bool) (*rootKey, error) {
	if storeExists {
		return c.loadRoot(store)
	}
	path, err := c.rootPath(store)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil || isCredential(c.RootKey) {
		f, err := c.readRoot(path)
		if err != nil {
			return nil, err
		}
		defer f.Wipe()
		return c.openRoot(path, f, "")
	}
	return c.makeRoot(path)
}

// makeRoot makes a root key with its file.
func (c *Config) makeRoot(path string) (*rootKey, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the root key: %w", err)
	}
	if c.Root.Protection == protectNone {
		secret, _, err := local.LoadOrCreateRootKey(path)
		return &rootKey{secret: secret}, err
	}
	r := &rootKey{secret: local.NewRootKey(), store: keyring.NewID()}
	content, err := c.rootContent(r.secret, r.store, func() ([]byte, error) { return c.newPassphrase(path) })
	if err == nil {
		err = local.CreateRootFile(path, content)
	}
	return r, err
}

// rootContent is a root key file as the configured protection makes it, for the store with this identity.
func (c *Config) rootContent(root []byte, store string, passphrase func() ([]byte, error)) ([]byte, error) {
	if key, ok := strings.CutPrefix(c.Root.Protection, protectAWS); ok {
		return c.wrapRoot(root, key, c.Root.KMSEndpoint, store)
	}
	if c.Root.Protection == protectNone {
		return local.PlainRootFile(root), nil
	}
	p, err := passphrase()
	if err != nil {
		return nil, err
	}
	return local.SealRootFile(root, p, local.DefaultKDF())
}
