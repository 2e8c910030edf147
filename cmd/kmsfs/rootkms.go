package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/awskms"
	"kmsfs/kms/local"
	"kmsfs/kms/resilient"
)

// protectAWS begins a protection of the root key by a key of AWS KMS, or of a service that speaks its protocol.
const protectAWS = "aws:"

// rootKMSPatience is how long a key service that is away is waited for when a store is opened.
const rootKMSPatience = 15 * time.Second

// rootKMS is the key service that wraps a root key.
type rootKMS struct {
	crypto kms.Crypto
	where  string
}

// openRootKMS makes no request.
func (c *Config) openRootKMS(key, endpoint string) (*rootKMS, error) {
	region := c.KMS.Region
	if f := strings.SplitN(key, ":", 6); len(f) == 6 && f[0] == "arn" {
		region = f[3]
	}
	p, err := awskms.Open(context.Background(), awskms.Options{Endpoint: endpoint, Region: region, Profile: c.Root.KMSProfile})
	if err != nil {
		return nil, &configError{fmt.Errorf("root key: %w", err)}
	}
	return &rootKMS{resilient.New(p, resilient.Options{Name: p.Where(), Deadline: rootKMSPatience, Attempts: 6}), p.Where()}, nil
}

// decrypt unwraps a root key for the store with this identity.
func (k *rootKMS) decrypt(key, store, rootID string, blob []byte) ([]byte, error) {
	p, err := k.crypto.Decrypt(context.Background(), kms.DecryptInput{KeyID: key, Context: local.RootContext(store, rootID), Blob: blob})
	return p.Bytes, err
}

// failed says which key service did not do its part.
func (k *rootKMS) failed(what, key string, err error) error {
	return &service.Error{Code: service.RootKMS, Message: fmt.Sprintf("%s by key %s of %s", what, key, k.where), Err: err}
}

// wrapRoot makes a root key file for a store, and proves that it can be unwrapped.
func (c *Config) wrapRoot(root []byte, key, endpoint, store string) ([]byte, error) {
	k, err := c.openRootKMS(key, endpoint)
	if err != nil {
		return nil, err
	}
	id := local.RootKeyID(root)
	out, err := k.crypto.Encrypt(context.Background(), kms.EncryptInput{KeyID: key, Context: local.RootContext(store, id), Plaintext: root})
	if err != nil {
		return nil, k.failed("the root key could not be wrapped", key, err)
	}
	back, err := k.decrypt(out.KeyARN, store, id, out.Blob)
	defer kms.Wipe(back)
	if err == nil && !bytes.Equal(back, root) {
		err = errors.New("the key service answers another key than it was given")
	}
	if err != nil {
		return nil, k.failed("the root key was wrapped, but cannot be unwrapped", key, err)
	}
	return local.WrappedRootFile(id, local.WrappedRoot{Key: out.KeyARN, Endpoint: endpoint, Store: store, Blob: out.Blob}), nil
}

// unwrapRoot opens a wrapped root key file. store is the identity of the store that it shall open; empty: what the file says.
func (c *Config) unwrapRoot(path string, f *local.RootFile, store string) (*rootKey, error) {
	w := f.Wrapped()
	if store != "" && store != w.Store {
		return nil, &service.Error{Code: service.WrongRootKey, Message: fmt.Sprintf("%s is wrapped for the store with the identity %s, but this one is %s", path, w.Store, store)}
	}
	k, err := c.openRootKMS(w.Key, c.rootEndpoint(w))
	if err != nil {
		return nil, err
	}
	secret, err := f.Unwrap(func(w *local.WrappedRoot) ([]byte, error) { return k.decrypt(w.Key, w.Store, f.ID(), w.Blob) })
	if errors.Is(err, local.ErrWrapped) {
		return nil, &service.Error{Code: service.WrongRootKey, Message: "open the root key " + path, Err: err}
	}
	if err != nil {
		return nil, k.failed("the root key "+path+" cannot be unwrapped", w.Key, err)
	}
	return &rootKey{secret: secret, store: w.Store}, nil
}

// rootEndpoint is where the key service is: the configuration wins over the file.
func (c *Config) rootEndpoint(w *local.WrappedRoot) string {
	if c.Root.KMSEndpoint != "" {
		return c.Root.KMSEndpoint
	}
	return w.Endpoint
}

// validProtection is a protection that a root key file can be made with.
func validProtection(p string) bool {
	key, aws := strings.CutPrefix(p, protectAWS)
	return p == protectNone || p == protectPassphrase || aws && key != "" && !strings.ContainsAny(key, " \t\n")
}
