package local

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"kmsfs/kms"
)

// maxRotations is AWS's limit for rotations on demand of one key.
const maxRotations = 25

// metadata is what DescribeKey answers.
func (k *key) metadata() kms.KeyMetadata {
	i := &k.info
	m := kms.KeyMetadata{
		ID: i.ID, ARN: i.ARN, Account: i.Account, Description: i.Description, Created: time.Unix(0, i.Created).UTC(),
		State: i.State, Usage: i.Usage, Spec: i.Spec, Origin: i.Origin, Manager: i.Manager, PendingWindowDays: i.WindowDays,
	}
	if i.DeletionDate != 0 {
		m.DeletionDate = time.Unix(0, i.DeletionDate).UTC()
	}
	return m
}

// described is metadata with the material's id, which costs an allocation.
func (k *key) described() kms.KeyMetadata {
	m := k.metadata()
	m.MaterialID = k.current().hexID()
	return m
}

// newKey makes an enabled key with its first material.
func (p *Provider) newKey(description, manager string) *key {
	var raw [idSize]byte
	rand.Read(raw[:])
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80 // UUID version 4, RFC 9562
	id := formatID(raw)
	return &key{
		rawID: raw,
		info: keyInfo{
			ID: id, ARN: p.names.KeyARN(id), Account: p.names.Account, Description: description, Created: p.now().UnixNano(),
			State: kms.StateEnabled, Usage: kms.UsageEncryptDecrypt, Spec: kms.SpecSymmetricDefault, Origin: kms.OriginAWSKMS, Manager: manager,
		},
		materials: []material{newMaterial(raw, 0)},
	}
}

// begin takes the admin lock for a change, unless ctx is done or the provider is closed.
func (p *Provider) begin(ctx context.Context) (end func(), err error) {
	p.admin.Lock()
	p.mu.RLock()
	closed := p.closed
	p.mu.RUnlock()
	switch err := ctx.Err(); {
	case err != nil:
		p.admin.Unlock()
		return nil, err
	case closed:
		p.admin.Unlock()
		return nil, kms.Errorf(kms.KMSInternalException, "the key store is closed")
	}
	return p.admin.Unlock, nil
}

// CreateKey is kms.Keys'.
func (p *Provider) CreateKey(ctx context.Context, in kms.CreateKeyInput) (kms.KeyMetadata, error) {
	end, err := p.begin(ctx)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	defer end()
	k := p.newKey(in.Description, kms.ManagerCustomer)
	m := k.described()
	if err := p.replace(k, nil); err != nil {
		return kms.KeyMetadata{}, err
	}
	return m, nil
}

// createManaged makes the key of [kms.ManagedAlias] and that alias in one step.
func (p *Provider) createManaged(ctx context.Context) (*key, error) {
	end, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	p.mu.RLock()
	k, err := p.find(kms.KeyRef{Alias: kms.ManagedAlias})
	p.mu.RUnlock()
	if err == nil {
		return k, nil // another caller was first
	}
	k = p.newKey(kms.ManagedDescription, kms.ManagerAWS)
	a := alias{info: aliasInfo{Target: k.info.ID, Created: k.info.Created, Updated: k.info.Created}}
	if err := p.replace(k, map[string][]byte{kms.ManagedAlias: p.sealAlias(kms.ManagedAlias, a.info)}); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.aliases[kms.ManagedAlias] = a
	p.mu.Unlock()
	return k, nil
}

// DescribeKey is kms.Keys'.
func (p *Provider) DescribeKey(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	return k.described(), nil
}

// ListKeys is kms.Keys'.
func (p *Provider) ListKeys(ctx context.Context, after string, limit int) (kms.KeyPage, error) {
	if err := ctx.Err(); err != nil {
		return kms.KeyPage{}, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	var page kms.KeyPage
	for _, id := range slices.Sorted(maps.Keys(p.keys)) {
		k := p.keys[id]
		if id <= after || p.due(k) {
			continue
		}
		if len(page.Keys) == limit {
			page.Next = page.Keys[limit-1].ID
			break
		}
		page.Keys = append(page.Keys, kms.KeyEntry{ID: id, ARN: k.info.ARN})
	}
	return page, nil
}

// change does op on a key: fn alters a copy, which is saved and put in force.
func (p *Provider) change(ctx context.Context, op kms.Operation, keyID string, fn func(*key) error) (kms.KeyMetadata, error) {
	end, err := p.begin(ctx)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	defer end()
	old, err := p.changeable(ctx, op, keyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	k, err := p.openKey(old.info.ID, old.record)
	if err != nil {
		return kms.KeyMetadata{}, damaged(old.info.ARN, err)
	}
	if err := fn(k); err != nil {
		k.wipe()
		return kms.KeyMetadata{}, err
	}
	m := k.described()
	if err := p.replace(k, nil); err != nil {
		return kms.KeyMetadata{}, err
	}
	return m, nil
}

// changeable finds a key that op may change. The caller holds admin.
func (p *Provider) changeable(ctx context.Context, op kms.Operation, keyID string) (*key, error) {
	ref, err := p.names.Parse(keyID)
	if err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.find(ref)
	if err != nil {
		return nil, err
	}
	if k.info.Manager == kms.ManagerAWS {
		return nil, kms.Errorf(kms.AccessDeniedException, "User: %s is not authorized to perform: kms:%s on resource: %s "+
			"because no resource-based policy allows the kms:%s action", kms.CallerFrom(ctx).Principal, op, k.info.ARN, op)
	}
	return k, kms.CheckState(op, k.metadata())
}

// EnableKey is kms.Keys'.
func (p *Provider) EnableKey(ctx context.Context, keyID string) error {
	_, err := p.change(ctx, kms.OpEnableKey, keyID, func(k *key) error {
		k.info.State = kms.StateEnabled
		return nil
	})
	return err
}

// DisableKey is kms.Keys'. The material leaves the memory.
func (p *Provider) DisableKey(ctx context.Context, keyID string) error {
	_, err := p.change(ctx, kms.OpDisableKey, keyID, func(k *key) error {
		k.info.State = kms.StateDisabled
		return nil
	})
	return err
}

// UpdateKeyDescription is kms.Keys'.
func (p *Provider) UpdateKeyDescription(ctx context.Context, keyID, description string) error {
	_, err := p.change(ctx, kms.OpUpdateKeyDescription, keyID, func(k *key) error {
		k.info.Description = description
		return nil
	})
	return err
}

// RotateKeyOnDemand is kms.Keys'.
func (p *Provider) RotateKeyOnDemand(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return p.change(ctx, kms.OpRotateKeyOnDemand, keyID, func(k *key) error {
		if len(k.materials) > maxRotations {
			return kms.Errorf(kms.LimitExceededException, "The on-demand rotations limit has been reached for the given keyId. "+
				"No more on-demand rotations can be performed for this key: %s", k.info.ARN)
		}
		k.materials = append(k.materials, newMaterial(k.rawID, p.now().UnixNano()))
		return nil
	})
}

// ListKeyRotations is kms.Keys'.
func (p *Provider) ListKeyRotations(ctx context.Context, keyID string) ([]kms.Rotation, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return nil, err
	}
	out := make([]kms.Rotation, len(k.materials))
	for i := range k.materials {
		m := &k.materials[i]
		out[i] = kms.Rotation{MaterialID: m.hexID(), Current: m == k.current()}
		if m.date != 0 {
			out[i].Date = time.Unix(0, m.date).UTC()
		}
	}
	return out, nil
}
