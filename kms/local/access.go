package local

import (
	"context"
	"fmt"

	"kmsfs/kms"
	"kmsfs/kms/policy"
)

// policyOf is the text of a key's policy.
func (p *Provider) policyOf(k *key) string {
	switch {
	case k.info.Manager == kms.ManagerAWS:
		return policy.ManagedS3(p.names.Account, p.names.Region)
	case k.info.Policy == "":
		return policy.Default(p.names.Account)
	}
	return k.info.Policy
}

// accessOf compiles what decides about a key.
func (p *Provider) accessOf(k *key) (*kms.Access, error) {
	compiled, err := kms.ParsePolicy(p.policyOf(k))
	if err != nil {
		return nil, fmt.Errorf("the key's policy: %w", err)
	}
	id := k.info.ID
	return &kms.Access{
		Key: k.metadata(), Policy: compiled,
		GrantsOf: func(grantee string) []*kms.Grant { return p.grantsOf(id, grantee) },
	}, nil
}

// Access is kms.Policies'.
func (p *Provider) Access(ctx context.Context, keyID string, blob []byte) (*kms.Access, error) {
	if keyID == "" {
		return p.accessOfBlob(ctx, blob)
	}
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return nil, err
	}
	return p.accessNow(k), nil
}

// accessNow is what was compiled, unless time has changed the key.
func (p *Provider) accessNow(k *key) *kms.Access {
	if k.info.ValidTo == 0 || !k.expired(p.now().UnixNano()) {
		return k.access
	}
	a := *k.access
	a.Key = p.metadata(k)
	return &a
}

func (p *Provider) accessOfBlob(ctx context.Context, blob []byte) (*kms.Access, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, _, err := parseBlob(blob)
	if err != nil {
		return nil, &kms.Error{Code: kms.InvalidCiphertextException}
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.blobKey(h, "")
	if err != nil {
		return nil, err
	}
	return p.accessNow(k), nil
}

// PutKeyPolicy is kms.Policies'.
func (p *Provider) PutKeyPolicy(ctx context.Context, keyID, document string) error {
	_, err := p.change(ctx, kms.OpPutKeyPolicy, keyID, func(k *key) error {
		k.info.Policy = document
		return nil
	})
	return err
}

// GetKeyPolicy is kms.Policies'.
func (p *Provider) GetKeyPolicy(ctx context.Context, keyID string) (string, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return "", err
	}
	return p.policyOf(k), nil
}
