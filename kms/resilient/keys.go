package resilient

import (
	"context"

	"kmsfs/kms"
)

// CreateKey is kms.Keys's.
func (b *Backend) CreateKey(ctx context.Context, in kms.CreateKeyInput) (kms.KeyMetadata, error) {
	return value(ctx, b, once, func(ctx context.Context) (kms.KeyMetadata, error) { return b.next.CreateKey(ctx, in) })
}

// DescribeKey is kms.Keys's.
func (b *Backend) DescribeKey(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.KeyMetadata, error) { return b.next.DescribeKey(ctx, keyID) })
}

// ListKeys is kms.Keys's.
func (b *Backend) ListKeys(ctx context.Context, after string, limit int) (kms.KeyPage, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.KeyPage, error) { return b.next.ListKeys(ctx, after, limit) })
}

// EnableKey is kms.Keys's.
func (b *Backend) EnableKey(ctx context.Context, keyID string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.EnableKey(ctx, keyID) })
}

// DisableKey is kms.Keys's.
func (b *Backend) DisableKey(ctx context.Context, keyID string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.DisableKey(ctx, keyID) })
}

// UpdateKeyDescription is kms.Keys's.
func (b *Backend) UpdateKeyDescription(ctx context.Context, keyID, description string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.UpdateKeyDescription(ctx, keyID, description) })
}

// ScheduleKeyDeletion is kms.Keys's.
func (b *Backend) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (kms.KeyMetadata, error) {
	return value(ctx, b, once, func(ctx context.Context) (kms.KeyMetadata, error) {
		return b.next.ScheduleKeyDeletion(ctx, keyID, days)
	})
}

// CancelKeyDeletion is kms.Keys's.
func (b *Backend) CancelKeyDeletion(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return value(ctx, b, once, func(ctx context.Context) (kms.KeyMetadata, error) { return b.next.CancelKeyDeletion(ctx, keyID) })
}

// CreateAlias is kms.Aliases's.
func (b *Backend) CreateAlias(ctx context.Context, alias, targetKeyID string) error {
	return b.do(ctx, once, func(ctx context.Context) error { return b.next.CreateAlias(ctx, alias, targetKeyID) })
}

// UpdateAlias is kms.Aliases's.
func (b *Backend) UpdateAlias(ctx context.Context, alias, targetKeyID string) error {
	return b.do(ctx, idempotent, func(ctx context.Context) error { return b.next.UpdateAlias(ctx, alias, targetKeyID) })
}

// DeleteAlias is kms.Aliases's.
func (b *Backend) DeleteAlias(ctx context.Context, alias string) error {
	return b.do(ctx, once, func(ctx context.Context) error { return b.next.DeleteAlias(ctx, alias) })
}

// ListAliases is kms.Aliases's.
func (b *Backend) ListAliases(ctx context.Context, keyID, after string, limit int) (kms.AliasPage, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.AliasPage, error) { return b.next.ListAliases(ctx, keyID, after, limit) })
}
