package local

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"kmsfs/kms"
)

// metadata is what DescribeKey answers.
func (k *key) metadata() kms.KeyMetadata {
	i := &k.info
	m := kms.KeyMetadata{
		ID: i.ID, ARN: i.ARN, Account: i.Account, Description: i.Description, Created: time.Unix(0, i.Created).UTC(),
		State: i.State, Usage: i.Usage, Spec: i.Spec, Origin: i.Origin, Manager: i.Manager, PendingWindowDays: i.WindowDays,
		MultiRegion: i.MultiRegion,
	}
	if i.DeletionDate != 0 {
		m.DeletionDate = time.Unix(0, i.DeletionDate).UTC()
	}
	if i.Origin == kms.OriginExternal && len(k.materials) > 0 {
		m.ExpirationModel = kms.MaterialDoesNotExpire
	}
	if i.ValidTo != 0 {
		m.ExpirationModel, m.ValidTo = kms.MaterialExpires, time.Unix(0, i.ValidTo).UTC()
	}
	return m
}

// described is metadata with the material's id, which costs an allocation.
func (k *key) described() kms.KeyMetadata {
	m := k.metadata()
	if c := k.current(); c != nil && k.info.Spec == kms.SpecSymmetricDefault {
		m.MaterialID = c.hexID()
	}
	return m
}

// newKey makes a key with its first material, unless that is to be imported. in is complete.
func (p *Provider) newKey(in kms.CreateKeyInput, manager string) (*key, error) {
	var raw [idSize]byte
	rand.Read(raw[:])
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80 // UUID version 4, RFC 9562
	id := formatID(raw)
	if in.MultiRegion {
		id = formatMultiRegion(raw)
	}
	k := &key{
		rawID: raw,
		info: keyInfo{
			ID: id, ARN: p.names.KeyARN(id), Account: p.names.Account, Description: in.Description, Created: p.now().UnixNano(),
			State: kms.StateEnabled, Usage: in.Usage, Spec: in.Spec, Origin: in.Origin, Manager: manager,
			Policy: in.Policy, MultiRegion: in.MultiRegion,
		},
	}
	if err := k.setTags(in.Tags); err != nil {
		return nil, err
	}
	if in.Origin == kms.OriginExternal {
		k.info.State = kms.StatePendingImport
		return k, nil
	}
	k.materials = []material{newMaterial(raw, 0)}
	return k, k.makePair()
}

// symmetric is what a caller of the Backend may leave out.
func symmetric(in kms.CreateKeyInput) kms.CreateKeyInput {
	if in.Spec == "" {
		in.Spec = kms.SpecSymmetricDefault
	}
	if in.Usage == "" {
		in.Usage = kms.UsageEncryptDecrypt
	}
	if in.Origin == "" {
		in.Origin = kms.OriginAWSKMS
	}
	return in
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
	if err := ctx.Err(); err != nil {
		return kms.KeyMetadata{}, err
	}
	k, err := p.newKey(symmetric(in), kms.ManagerCustomer) // an RSA key takes a while, so nobody else waits
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	end, err := p.begin(ctx)
	if err != nil {
		k.wipe()
		return kms.KeyMetadata{}, err
	}
	defer end()
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
	if k, err = p.newKey(symmetric(kms.CreateKeyInput{Description: kms.ManagedDescription}), kms.ManagerAWS); err != nil {
		return nil, err
	}
	k.info.RotationDays, k.info.NextRotation = kms.DefaultRotationDays, p.now().AddDate(0, 0, kms.DefaultRotationDays).UnixNano() // as AWS does
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
	m := k.described()
	if m.State = p.metadata(k).State; m.State == kms.StatePendingImport {
		m.MaterialID = ""
	}
	return m, nil
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
	return k, kms.CheckState(op, p.metadata(k))
}

// EnableKey is kms.Keys'.
func (p *Provider) EnableKey(ctx context.Context, keyID string) error {
	_, err := p.change(ctx, kms.OpEnableKey, keyID, func(k *key) error {
		k.info.State = kms.StateEnabled
		p.rotateIfDue(k) // a disabled key waits for this moment
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
