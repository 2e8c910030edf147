package awskms

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

// RotateKeyOnDemand is kms.Rotations'. AWS rotates a while after it has answered, so the material may still be the old one.
func (p *Provider) RotateKeyOnDemand(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	if _, err := call(ctx, p, p.client.RotateKeyOnDemand, &sdk.RotateKeyOnDemandInput{KeyId: id}); err != nil {
		return kms.KeyMetadata{}, err
	}
	return p.after(ctx, kms.KeyMetadata{ARN: *id, State: kms.StateEnabled}), nil
}

// ListKeyRotations is kms.Rotations'.
func (p *Provider) ListKeyRotations(ctx context.Context, keyID string) ([]kms.Rotation, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return nil, err
	}
	list, err := all(ctx, func(ctx context.Context, marker *string) ([]kms.Rotation, *string, error) {
		out, err := call(ctx, p, p.client.ListKeyRotations, &sdk.ListKeyRotationsInput{KeyId: id, Marker: marker,
			Limit: aws.Int32(kms.MaxKeysPage), IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
		if err != nil {
			return nil, nil, err
		}
		part := make([]kms.Rotation, len(out.Rotations))
		for i, r := range out.Rotations {
			part[i] = kms.Rotation{MaterialID: aws.ToString(r.KeyMaterialId), Current: r.KeyMaterialState == types.KeyMaterialStateCurrent,
				Date: aws.ToTime(r.RotationDate), Type: string(r.RotationType)}
		}
		return part, out.NextMarker, nil
	})
	slices.SortStableFunc(list, func(a, b kms.Rotation) int { return a.Date.Compare(b.Date) })
	return list, err
}

// EnableKeyRotation is kms.Rotations'.
func (p *Provider) EnableKeyRotation(ctx context.Context, keyID string, days int) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.EnableKeyRotation, &sdk.EnableKeyRotationInput{KeyId: id, RotationPeriodInDays: aws.Int32(int32(days))})
}

// DisableKeyRotation is kms.Rotations'.
func (p *Provider) DisableKeyRotation(ctx context.Context, keyID string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.DisableKeyRotation, &sdk.DisableKeyRotationInput{KeyId: id})
}

// GetKeyRotationStatus is kms.Rotations'.
func (p *Provider) GetKeyRotationStatus(ctx context.Context, keyID string) (kms.RotationStatus, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.RotationStatus{}, err
	}
	out, err := call(ctx, p, p.client.GetKeyRotationStatus, &sdk.GetKeyRotationStatusInput{KeyId: id})
	if err != nil || !out.KeyRotationEnabled {
		return kms.RotationStatus{}, err
	}
	return kms.RotationStatus{Enabled: true, PeriodDays: int(aws.ToInt32(out.RotationPeriodInDays)), Next: aws.ToTime(out.NextRotationDate)}, nil
}
