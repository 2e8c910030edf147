package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
)

// identity is what a store signs with.
type identity struct {
	store   string
	version uint32
	key     ed25519.PrivateKey
}

func newIdentity(ring *keyring.Ring) identity {
	return identity{ring.Head.Store, ring.Newest(keyring.Identity).Version, ring.Signer()}
}

func (i *identity) wipe() { kms.Wipe(i.key) }

// witness is told of keys that the provider destroys.
func (o *owned) witness(c *Config, audit kms.Auditor, log *slog.Logger) *witness {
	now := c.now
	if now == nil {
		now = time.Now
	}
	return &witness{dir: filepath.Join(beside(c.AuditDir, o.path, ".audit"), destroyedDir), store: o.store, audit: audit, log: log, now: now,
		root: kms.RootPrincipal(c.KMS.Account)}
}

// certifier certifies the destruction of keys; nil when they lie in another key service.
func (o *owned) certifier() func(context.Context, string) (kms.Certificate, error) {
	p, ok := o.keys.(*local.Provider)
	if !ok {
		return nil
	}
	return func(ctx context.Context, keyID string) (kms.Certificate, error) {
		d, err := p.Destruction(ctx, keyID)
		if errors.Is(err, kms.KMSInvalidStateException) {
			err = &service.Error{Code: service.BadRequest, Message: err.Error()}
		}
		if err != nil {
			return kms.Certificate{}, err
		}
		return kms.Certify(o.identity.store, d, o.identity.version, o.identity.key), nil
	}
}
