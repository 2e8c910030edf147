package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
)

// stagedSuffix is behind the name of the root key file in that of a root key which a rotation is about to put into use.
const stagedSuffix = ".next"

// readKeyring reads the keyring of a store that exists. It proves nothing of it.
func readKeyring(store string) (*keyring.File, error) {
	f, err := keyring.Read(store)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &service.Error{Code: service.NoKeyring, Message: fmt.Sprintf("the keyring of the store %s is missing (kmsfs.keyring and its copy)", store)}
	case err != nil:
		return nil, &service.Error{Code: service.NoKeyring, Message: "read the keyring", Err: err}
	}
	return f, nil
}

// openKeyring opens the keyring of a store that exists. The caller wipes it.
func openKeyring(store string, root []byte) (*keyring.Ring, error) {
	f, err := readKeyring(store)
	if err != nil {
		return nil, err
	}
	ring, err := f.Open(root)
	switch {
	case errors.Is(err, keyring.ErrRootKey):
		return nil, &service.Error{Code: service.WrongRootKey, Message: "open the store", Err: err}
	case err != nil:
		return nil, &service.Error{Code: service.NoKeyring, Message: "open the keyring", Err: err}
	}
	return ring, nil
}

// unlock opens or makes the keyring, and ends what a rotation of the root key that was cut short left to do. This process is
// the only one that has the store open.
func (c *Config) unlock(store string, root *rootKey) (*keyring.Ring, error) {
	exists, err := storeExists(store)
	if err != nil {
		return nil, err
	}
	if !exists {
		id := root.store
		if id == "" {
			id = keyring.NewID()
		}
		ring := keyring.New(id, time.Now())
		return ring, ring.Write(store, root.secret, time.Now())
	}
	ring, err := openKeyring(store, root.secret)
	if err != nil {
		return nil, err
	}
	return ring, errors.Join(ring.Heal(store, root.secret), c.settleRoot(store, ring.Root))
}

// settleRoot gives a staged root key its name when it is the one in use, and removes one that never came into use.
func (c *Config) settleRoot(store, id string) error {
	path, err := c.rootPath(store)
	if err != nil || isCredential(c.RootKey) {
		return err
	}
	staged := path + stagedSuffix
	if _, err := os.Lstat(staged); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if f, err := c.readRoot(path); err == nil {
		defer f.Wipe()
		if f.ID() == id {
			return os.Remove(staged)
		}
	}
	f, err := c.readRoot(staged)
	if err != nil {
		return err
	}
	defer f.Wipe()
	if f.ID() != id {
		return nil // the root key in use comes from elsewhere: nothing here is ours to remove
	}
	return local.AdoptRootFile(staged, path)
}

// auditKey is the key of the audit records' chain. The caller wipes it.
func (c *Config) auditKey(store string) ([]byte, error) {
	root, err := c.loadRoot(store)
	if err != nil {
		return nil, err
	}
	defer root.wipe()
	ring, err := openKeyring(store, root.secret)
	if err != nil {
		return nil, err
	}
	defer ring.Wipe()
	return bytes.Clone(ring.Newest(keyring.Audit).Secret), nil
}
