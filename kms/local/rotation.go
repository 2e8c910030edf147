package local

import (
	"context"
	"slices"
	"time"

	"kmsfs/kms"
)

// maxRotations is AWS's limit for rotations on demand of one key.
const maxRotations = 25

// conflictWindow is how long before an automatic rotation AWS refuses one on demand.
const conflictWindow = 20 * time.Minute

// maxMaterials bounds what automatic rotation piles up in a record: 90 days apart, that is centuries.
const maxMaterials = 4096

// rotatable is a change of rotation: fn with the key, once its kind allows rotation.
func (p *Provider) rotatable(ctx context.Context, op kms.Operation, keyID string, fn func(*key) error) (kms.KeyMetadata, error) {
	return p.change(ctx, op, keyID, func(k *key) error {
		if err := kms.CheckRotation(op, k.metadata()); err != nil {
			return err
		}
		return fn(k)
	})
}

// RotateKeyOnDemand is kms.Rotations'.
func (p *Provider) RotateKeyOnDemand(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return p.rotatable(ctx, kms.OpRotateKeyOnDemand, keyID, func(k *key) error {
		if len(k.materials)-1-len(k.info.Automatic) >= maxRotations {
			return kms.Errorf(kms.LimitExceededException, "The on-demand rotations limit has been reached for the given keyId. "+
				"No more on-demand rotations can be performed for this key: %s", k.info.ARN)
		}
		if next := k.info.NextRotation; next != 0 && next <= p.now().Add(conflictWindow).UnixNano() {
			return kms.Errorf(kms.ConflictException, "%s is about to be rotated automatically, at %s. Wait until then.",
				k.info.ARN, time.Unix(0, next).UTC().Format(time.RFC3339))
		}
		k.materials = append(k.materials, newMaterial(k.rawID, p.rotationDate(k)))
		return nil
	})
}

// rotationDate is now, or later where the key has a material of this very moment: dates tell materials apart.
func (p *Provider) rotationDate(k *key) int64 {
	return max(p.now().UnixNano(), k.current().date+1)
}

// EnableKeyRotation is kms.Rotations'.
func (p *Provider) EnableKeyRotation(ctx context.Context, keyID string, days int) error {
	_, err := p.rotatable(ctx, kms.OpEnableKeyRotation, keyID, func(k *key) error {
		k.info.RotationDays = days
		k.info.NextRotation = p.now().AddDate(0, 0, days).UnixNano()
		return nil
	})
	return err
}

// DisableKeyRotation is kms.Rotations'.
func (p *Provider) DisableKeyRotation(ctx context.Context, keyID string) error {
	_, err := p.rotatable(ctx, kms.OpDisableKeyRotation, keyID, func(k *key) error {
		k.info.RotationDays, k.info.NextRotation = 0, 0
		return nil
	})
	return err
}

// GetKeyRotationStatus is kms.Rotations'.
func (p *Provider) GetKeyRotationStatus(ctx context.Context, keyID string) (kms.RotationStatus, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return kms.RotationStatus{}, err
	}
	m := k.metadata()
	if err := kms.CheckState(kms.OpGetKeyRotationStatus, m); err != nil {
		return kms.RotationStatus{}, err
	}
	if err := kms.CheckRotation(kms.OpGetKeyRotationStatus, m); err != nil {
		return kms.RotationStatus{}, err
	}
	if k.info.RotationDays == 0 || m.State == kms.StatePendingDeletion {
		return kms.RotationStatus{}, nil
	}
	return kms.RotationStatus{Enabled: true, PeriodDays: k.info.RotationDays, Next: time.Unix(0, k.info.NextRotation).UTC()}, nil
}

// rotationDue reports whether automatic rotation has to add material now.
func (k *key) rotationDue(now int64) bool {
	return k.info.NextRotation != 0 && k.info.NextRotation <= now && k.info.State == kms.StateEnabled && len(k.materials) < maxMaterials
}

// rotateIfDue rotates once, also when several periods have passed: material that nothing was encrypted with is of no use.
// The key is the caller's own.
func (p *Provider) rotateIfDue(k *key) {
	now := p.now()
	if !k.rotationDue(now.UnixNano()) {
		return
	}
	m := newMaterial(k.rawID, p.rotationDate(k))
	k.materials = append(k.materials, m)
	k.info.Automatic = append(k.info.Automatic, m.date)
	k.info.NextRotation = now.AddDate(0, 0, k.info.RotationDays).UnixNano()
}

// ListKeyRotations is kms.Rotations'.
func (p *Provider) ListKeyRotations(ctx context.Context, keyID string) ([]kms.Rotation, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return nil, err
	}
	if k.info.Spec != kms.SpecSymmetricDefault {
		return nil, kms.CheckRotation(kms.OpListKeyRotations, k.metadata())
	}
	out := make([]kms.Rotation, len(k.materials))
	for i := range k.materials {
		m := &k.materials[i]
		out[i] = kms.Rotation{MaterialID: m.hexID(), Current: m == k.current()}
		if m.date == 0 {
			continue
		}
		out[i].Date, out[i].Type = time.Unix(0, m.date).UTC(), kms.RotationOnDemand
		if slices.Contains(k.info.Automatic, m.date) {
			out[i].Type = kms.RotationAutomatic
		}
	}
	return out, nil
}
