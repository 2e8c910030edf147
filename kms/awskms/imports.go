package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

// GetParametersForImport is kms.Imports'.
func (p *Provider) GetParametersForImport(ctx context.Context, keyID, algorithm, spec string) (kms.ImportParameters, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.ImportParameters{}, err
	}
	out, err := call(ctx, p, p.client.GetParametersForImport, &sdk.GetParametersForImportInput{KeyId: id,
		WrappingAlgorithm: types.AlgorithmSpec(algorithm), WrappingKeySpec: types.WrappingKeySpec(spec)})
	if err != nil {
		return kms.ImportParameters{}, err
	}
	return kms.ImportParameters{KeyARN: aws.ToString(out.KeyId), Token: out.ImportToken, PublicKey: out.PublicKey, ValidTo: aws.ToTime(out.ParametersValidTo)}, nil
}

// ImportKeyMaterial is kms.Imports'.
func (p *Provider) ImportKeyMaterial(ctx context.Context, in kms.ImportKeyMaterialInput) (kms.KeyMetadata, error) {
	id, err := p.keyOf(ctx, in.KeyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	q := &sdk.ImportKeyMaterialInput{KeyId: id, ImportToken: in.Token, EncryptedKeyMaterial: in.Encrypted, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire}
	if !in.ValidTo.IsZero() {
		q.ExpirationModel, q.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, &in.ValidTo
	}
	if _, err := call(ctx, p, p.client.ImportKeyMaterial, q); err != nil {
		return kms.KeyMetadata{}, err
	}
	return p.after(ctx, kms.KeyMetadata{ARN: *id, State: kms.StateEnabled, ExpirationModel: string(q.ExpirationModel), ValidTo: in.ValidTo}), nil
}

// DeleteImportedKeyMaterial is kms.Imports'.
func (p *Provider) DeleteImportedKeyMaterial(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	if _, err := call(ctx, p, p.client.DeleteImportedKeyMaterial, &sdk.DeleteImportedKeyMaterialInput{KeyId: id}); err != nil {
		return kms.KeyMetadata{}, err
	}
	return p.after(ctx, kms.KeyMetadata{ARN: *id, State: kms.StatePendingImport}), nil
}
