package resilient

import (
	"context"

	"kmsfs/kms"
)

// Access is kms.Policies'. It is no call of the key service, so it goes through.
func (b *Backend) Access(ctx context.Context, keyID string, blob []byte) (*kms.Access, error) {
	return b.next.Access(ctx, keyID, blob)
}

// PutKeyPolicy is kms.Policies's.
func (b *Backend) PutKeyPolicy(ctx context.Context, keyID, document string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.PutKeyPolicy(ctx, keyID, document) })
}

// GetKeyPolicy is kms.Policies's.
func (b *Backend) GetKeyPolicy(ctx context.Context, keyID string) (string, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (string, error) { return b.next.GetKeyPolicy(ctx, keyID) })
}

// CreateGrant is kms.Grants's.
func (b *Backend) CreateGrant(ctx context.Context, g kms.Grant) (kms.GrantRef, error) {
	return value(ctx, b, once, func(ctx context.Context) (kms.GrantRef, error) { return b.next.CreateGrant(ctx, g) })
}

// ListGrants is kms.Grants's.
func (b *Backend) ListGrants(ctx context.Context, f kms.GrantFilter, after string, limit int) (kms.GrantPage, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.GrantPage, error) { return b.next.ListGrants(ctx, f, after, limit) })
}

// FindGrant is kms.Grants's.
func (b *Backend) FindGrant(ctx context.Context, r kms.GrantRef) (kms.Grant, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.Grant, error) { return b.next.FindGrant(ctx, r) })
}

// DeleteGrant is kms.Grants's.
func (b *Backend) DeleteGrant(ctx context.Context, keyID, grantID string) error {
	return b.do(ctx, once, func(ctx context.Context) error { return b.next.DeleteGrant(ctx, keyID, grantID) })
}

// TagResource is kms.Tags's.
func (b *Backend) TagResource(ctx context.Context, keyID string, tags []kms.Tag) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.TagResource(ctx, keyID, tags) })
}

// UntagResource is kms.Tags's.
func (b *Backend) UntagResource(ctx context.Context, keyID string, names []string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.UntagResource(ctx, keyID, names) })
}

// ListResourceTags is kms.Tags's.
func (b *Backend) ListResourceTags(ctx context.Context, keyID, after string, limit int) (kms.TagPage, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.TagPage, error) {
		return b.next.ListResourceTags(ctx, keyID, after, limit)
	})
}

// RotateKeyOnDemand is kms.Rotations's.
func (b *Backend) RotateKeyOnDemand(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return value(ctx, b, once, func(ctx context.Context) (kms.KeyMetadata, error) { return b.next.RotateKeyOnDemand(ctx, keyID) })
}

// ListKeyRotations is kms.Rotations's.
func (b *Backend) ListKeyRotations(ctx context.Context, keyID string) ([]kms.Rotation, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) ([]kms.Rotation, error) { return b.next.ListKeyRotations(ctx, keyID) })
}

// EnableKeyRotation is kms.Rotations's.
func (b *Backend) EnableKeyRotation(ctx context.Context, keyID string, days int) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.EnableKeyRotation(ctx, keyID, days) })
}

// DisableKeyRotation is kms.Rotations's.
func (b *Backend) DisableKeyRotation(ctx context.Context, keyID string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.DisableKeyRotation(ctx, keyID) })
}

// GetKeyRotationStatus is kms.Rotations's.
func (b *Backend) GetKeyRotationStatus(ctx context.Context, keyID string) (kms.RotationStatus, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.RotationStatus, error) { return b.next.GetKeyRotationStatus(ctx, keyID) })
}

// GetParametersForImport is kms.Imports's.
func (b *Backend) GetParametersForImport(ctx context.Context, keyID, algorithm, spec string) (kms.ImportParameters, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.ImportParameters, error) {
		return b.next.GetParametersForImport(ctx, keyID, algorithm, spec)
	})
}

// ImportKeyMaterial is kms.Imports's.
func (b *Backend) ImportKeyMaterial(ctx context.Context, in kms.ImportKeyMaterialInput) (kms.KeyMetadata, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.KeyMetadata, error) { return b.next.ImportKeyMaterial(ctx, in) })
}

// DeleteImportedKeyMaterial is kms.Imports's.
func (b *Backend) DeleteImportedKeyMaterial(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.KeyMetadata, error) {
		return b.next.DeleteImportedKeyMaterial(ctx, keyID)
	})
}
