package kmstest

import (
	"context"

	"kmsfs/kms"
)

// UpdateKeyDescription is kms.Keys'.
func (f *Fault) UpdateKeyDescription(ctx context.Context, keyID, description string) error {
	return f.faulty(ctx, kms.OpUpdateKeyDescription, keyID, func() error { return f.Backend.UpdateKeyDescription(ctx, keyID, description) })
}

// PutKeyPolicy is kms.Policies'.
func (f *Fault) PutKeyPolicy(ctx context.Context, keyID, document string) error {
	return f.faulty(ctx, kms.OpPutKeyPolicy, keyID, func() error { return f.Backend.PutKeyPolicy(ctx, keyID, document) })
}

// CreateGrant is kms.Grants'.
func (f *Fault) CreateGrant(ctx context.Context, g kms.Grant) (kms.GrantRef, error) {
	return faulty(f, ctx, kms.OpCreateGrant, g.KeyARN, func() (kms.GrantRef, error) { return f.Backend.CreateGrant(ctx, g) })
}

// DeleteGrant is kms.Grants'.
func (f *Fault) DeleteGrant(ctx context.Context, keyID, grantID string) error {
	return f.faulty(ctx, kms.OpRevokeGrant, keyID, func() error { return f.Backend.DeleteGrant(ctx, keyID, grantID) })
}

// RotateKeyOnDemand is kms.Rotations'.
func (f *Fault) RotateKeyOnDemand(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return faulty(f, ctx, kms.OpRotateKeyOnDemand, keyID, func() (kms.KeyMetadata, error) { return f.Backend.RotateKeyOnDemand(ctx, keyID) })
}

// ScheduleKeyDeletion is kms.Keys'.
func (f *Fault) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (kms.KeyMetadata, error) {
	return faulty(f, ctx, kms.OpScheduleKeyDeletion, keyID, func() (kms.KeyMetadata, error) {
		return f.Backend.ScheduleKeyDeletion(ctx, keyID, days)
	})
}

// Sign is kms.Signing's.
func (f *Fault) Sign(ctx context.Context, in kms.SignInput) (kms.Signature, error) {
	return faulty(f, ctx, kms.OpSign, in.KeyID, func() (kms.Signature, error) { return f.Backend.Sign(ctx, in) })
}

// GenerateMac is kms.Signing's.
func (f *Fault) GenerateMac(ctx context.Context, in kms.MacInput) (kms.Signature, error) {
	return faulty(f, ctx, kms.OpGenerateMac, in.KeyID, func() (kms.Signature, error) { return f.Backend.GenerateMac(ctx, in) })
}
