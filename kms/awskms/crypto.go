package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

// The SDK's buffers of requests and answers, which hold plaintexts for a moment, cannot be wiped from here.

// GenerateDataKey is kms.Crypto's.
func (p *Provider) GenerateDataKey(ctx context.Context, in kms.GenerateDataKeyInput) (kms.DataKey, error) {
	if in.WithoutPlaintext {
		return p.generateBlob(ctx, in)
	}
	out, err := call(ctx, p, p.client.GenerateDataKey, &sdk.GenerateDataKeyInput{
		KeyId: &in.KeyID, EncryptionContext: in.Context, NumberOfBytes: aws.Int32(int32(in.Bytes)), GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.DataKey{}, err
	}
	if len(out.Plaintext) != in.Bytes {
		kms.Wipe(out.Plaintext)
		return kms.DataKey{}, kms.Errorf(kms.KMSInternalException, "%s answers a data key of %d bytes, not of %d", p.where, len(out.Plaintext), in.Bytes)
	}
	return kms.DataKey{Plaintext: out.Plaintext, Blob: out.CiphertextBlob, KeyARN: aws.ToString(out.KeyId), MaterialID: aws.ToString(out.KeyMaterialId)}, nil
}

func (p *Provider) generateBlob(ctx context.Context, in kms.GenerateDataKeyInput) (kms.DataKey, error) {
	out, err := call(ctx, p, p.client.GenerateDataKeyWithoutPlaintext, &sdk.GenerateDataKeyWithoutPlaintextInput{
		KeyId: &in.KeyID, EncryptionContext: in.Context, NumberOfBytes: aws.Int32(int32(in.Bytes)), GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.DataKey{}, err
	}
	return kms.DataKey{Blob: out.CiphertextBlob, KeyARN: aws.ToString(out.KeyId), MaterialID: aws.ToString(out.KeyMaterialId)}, nil
}

// Encrypt is kms.Crypto's.
func (p *Provider) Encrypt(ctx context.Context, in kms.EncryptInput) (kms.Ciphertext, error) {
	out, err := call(ctx, p, p.client.Encrypt, &sdk.EncryptInput{KeyId: &in.KeyID, EncryptionContext: in.Context, Plaintext: in.Plaintext,
		EncryptionAlgorithm: types.EncryptionAlgorithmSpec(in.Algorithm), GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.Ciphertext{}, err
	}
	return kms.Ciphertext{Blob: out.CiphertextBlob, KeyARN: aws.ToString(out.KeyId)}, nil
}

// Decrypt is kms.Crypto's.
func (p *Provider) Decrypt(ctx context.Context, in kms.DecryptInput) (kms.Plaintext, error) {
	if err := p.checkBlob(ctx, in.Blob, in.KeyID, in.Algorithm); err != nil {
		return kms.Plaintext{}, err
	}
	out, err := call(ctx, p, p.client.Decrypt, &sdk.DecryptInput{KeyId: optional(in.KeyID), EncryptionContext: in.Context, CiphertextBlob: in.Blob,
		EncryptionAlgorithm: types.EncryptionAlgorithmSpec(in.Algorithm), GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.Plaintext{}, err
	}
	return kms.Plaintext{Bytes: out.Plaintext, KeyARN: aws.ToString(out.KeyId), MaterialID: aws.ToString(out.KeyMaterialId)}, nil
}

// ReEncrypt is kms.Crypto's.
func (p *Provider) ReEncrypt(ctx context.Context, in kms.ReEncryptInput) (kms.ReEncrypted, error) {
	if err := p.checkBlob(ctx, in.Blob, "", ""); err != nil {
		return kms.ReEncrypted{}, err
	}
	out, err := call(ctx, p, p.client.ReEncrypt, &sdk.ReEncryptInput{CiphertextBlob: in.Blob, SourceKeyId: optional(in.SourceKeyID),
		SourceEncryptionContext: in.SourceContext, DestinationKeyId: &in.KeyID, DestinationEncryptionContext: in.Context, GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.ReEncrypted{}, err
	}
	return kms.ReEncrypted{Blob: out.CiphertextBlob, KeyARN: aws.ToString(out.KeyId), SourceKeyARN: aws.ToString(out.SourceKeyId),
		MaterialID: aws.ToString(out.DestinationKeyMaterialId), SourceMaterialID: aws.ToString(out.SourceKeyMaterialId)}, nil
}

// checkBlob refuses what cannot be asked over the wire: an empty blob, and one of an RSA key that is not named.
func (p *Provider) checkBlob(ctx context.Context, blob []byte, keyID, algorithm string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(blob) == 0:
		return &kms.Error{Code: kms.InvalidCiphertextException}
	case keyID == "" && algorithm != "" && algorithm != kms.AlgorithmSymmetric:
		return kms.Errorf(kms.ValidationException, "A blob of an asymmetric key does not name its key: KeyId is required with %s.", algorithm)
	}
	return nil
}
