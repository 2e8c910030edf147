package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms/local"
)

// What protects the root key file.
const (
	protectNone       = "none" // the file's mode
	protectPassphrase = "passphrase"
)

// RootConfig is about the root key.
type RootConfig struct {
	Protection        string `toml:"protection"`          // of a root key file that is made or changed
	PassphraseFile    string `toml:"passphrase-file"`     // holds the passphrase
	PassphraseCommand string `toml:"passphrase-command"`  // prints the passphrase
	NewPassphraseFile string `toml:"new-passphrase-file"` // of `root change`: holds the new one; empty: ask
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

// loadRoot reads the root key of a store that exists. The caller wipes it.
func (c *Config) loadRoot(store string) ([]byte, error) {
	path, err := c.rootPath(store)
	if err != nil {
		return nil, err
	}
	f, err := c.readRoot(path)
	if err != nil {
		return nil, err
	}
	defer f.Wipe()
	root, err := f.Open(func() ([]byte, error) { return c.passphrase("passphrase of " + path) })
	if errors.Is(err, local.ErrPassphrase) {
		return nil, &service.Error{Code: service.WrongRootKey, Message: "open the root key " + path, Err: err}
	}
	return root, err
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
func (c *Config) rootOf(store string, storeExists bool) ([]byte, error) {
	path, err := c.rootPath(store)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); storeExists || err == nil || isCredential(c.RootKey) {
		return c.loadRoot(store)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the root key: %w", err)
	}
	if c.Root.Protection == protectNone {
		key, _, err := local.LoadOrCreateRootKey(path)
		return key, err
	}
	root := local.NewRootKey()
	content, err := c.rootContent(root, func() ([]byte, error) { return c.newPassphrase(path) })
	if err == nil {
		err = local.CreateRootFile(path, content)
	}
	return root, err
}

// rootContent is a root key file as the configured protection makes it.
func (c *Config) rootContent(root []byte, passphrase func() ([]byte, error)) ([]byte, error) {
	if c.Root.Protection == protectNone {
		return local.PlainRootFile(root), nil
	}
	p, err := passphrase()
	if err != nil {
		return nil, err
	}
	return local.SealRootFile(root, p, local.DefaultKDF())
}
