package resilient

import (
	"context"

	"kmsfs/kms"
)

// GenerateDataKey is kms.Crypto's.
func (b *Backend) GenerateDataKey(ctx context.Context, in kms.GenerateDataKeyInput) (kms.DataKey, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.DataKey, error) { return b.next.GenerateDataKey(ctx, in) })
}

// Encrypt is kms.Crypto's.
func (b *Backend) Encrypt(ctx context.Context, in kms.EncryptInput) (kms.Ciphertext, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.Ciphertext, error) { return b.next.Encrypt(ctx, in) })
}

// Decrypt is kms.Crypto's.
func (b *Backend) Decrypt(ctx context.Context, in kms.DecryptInput) (kms.Plaintext, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.Plaintext, error) { return b.next.Decrypt(ctx, in) })
}

// ReEncrypt is kms.Crypto's.
func (b *Backend) ReEncrypt(ctx context.Context, in kms.ReEncryptInput) (kms.ReEncrypted, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.ReEncrypted, error) { return b.next.ReEncrypt(ctx, in) })
}

// Sign is kms.Signing's.
func (b *Backend) Sign(ctx context.Context, in kms.SignInput) (kms.Signature, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.Signature, error) { return b.next.Sign(ctx, in) })
}

// Verify is kms.Signing's.
func (b *Backend) Verify(ctx context.Context, in kms.SignInput, signature []byte) (string, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (string, error) { return b.next.Verify(ctx, in, signature) })
}

// GenerateMac is kms.Signing's.
func (b *Backend) GenerateMac(ctx context.Context, in kms.MacInput) (kms.Signature, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.Signature, error) { return b.next.GenerateMac(ctx, in) })
}

// VerifyMac is kms.Signing's.
func (b *Backend) VerifyMac(ctx context.Context, in kms.MacInput, mac []byte) (string, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (string, error) { return b.next.VerifyMac(ctx, in, mac) })
}

// GetPublicKey is kms.Signing's.
func (b *Backend) GetPublicKey(ctx context.Context, keyID string) (kms.PublicKey, error) {
	return value(ctx, b, idempotent, func(ctx context.Context) (kms.PublicKey, error) { return b.next.GetPublicKey(ctx, keyID) })
}
