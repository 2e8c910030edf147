package awskms

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

func metadata(m *types.KeyMetadata) kms.KeyMetadata {
	if m == nil {
		return kms.KeyMetadata{}
	}
	return kms.KeyMetadata{
		ID: aws.ToString(m.KeyId), ARN: aws.ToString(m.Arn), Account: aws.ToString(m.AWSAccountId), Description: aws.ToString(m.Description),
		Created: aws.ToTime(m.CreationDate), State: kms.KeyState(m.KeyState),
		Usage: string(m.KeyUsage), Spec: string(m.KeySpec), Origin: string(m.Origin), Manager: string(m.KeyManager),
		DeletionDate: aws.ToTime(m.DeletionDate), PendingWindowDays: int(aws.ToInt32(m.PendingDeletionWindowInDays)),
		MaterialID: aws.ToString(m.CurrentKeyMaterialId), MultiRegion: aws.ToBool(m.MultiRegion),
		ExpirationModel: string(m.ExpirationModel), ValidTo: aws.ToTime(m.ValidTo),
	}
}

// keyOf is what an operation that takes key ids and key ARNs only is given: the ARN in place of an alias.
func (p *Provider) keyOf(ctx context.Context, keyID string) (*string, error) {
	if !strings.HasPrefix(keyID, "alias/") && !strings.Contains(keyID, ":alias/") {
		return &keyID, nil
	}
	m, err := p.DescribeKey(ctx, keyID)
	if err != nil {
		return nil, err
	}
	return &m.ARN, nil
}

// after describes a key that was changed. The change is made, so where that fails what is known is the answer.
func (p *Provider) after(ctx context.Context, known kms.KeyMetadata) kms.KeyMetadata {
	m, err := p.DescribeKey(ctx, known.ARN)
	if err != nil {
		return known
	}
	return m
}

// CreateKey is kms.Keys'.
func (p *Provider) CreateKey(ctx context.Context, in kms.CreateKeyInput) (kms.KeyMetadata, error) {
	out, err := call(ctx, p, p.client.CreateKey, &sdk.CreateKeyInput{
		Description: optional(in.Description), KeySpec: types.KeySpec(in.Spec), KeyUsage: types.KeyUsageType(in.Usage), Origin: types.OriginType(in.Origin),
		MultiRegion: aws.Bool(in.MultiRegion), Policy: optional(in.Policy), Tags: tagsOf(in.Tags), BypassPolicyLockoutSafetyCheck: in.BypassLockoutCheck,
	})
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	return metadata(out.KeyMetadata), nil
}

// DescribeKey is kms.Keys'.
func (p *Provider) DescribeKey(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	out, err := call(ctx, p, p.client.DescribeKey, &sdk.DescribeKeyInput{KeyId: &keyID})
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	return metadata(out.KeyMetadata), nil
}

// ListKeys is kms.Keys'.
func (p *Provider) ListKeys(ctx context.Context, after string, limit int) (kms.KeyPage, error) {
	keys, err := all(ctx, func(ctx context.Context, marker *string) ([]kms.KeyEntry, *string, error) {
		out, err := call(ctx, p, p.client.ListKeys, &sdk.ListKeysInput{Marker: marker, Limit: aws.Int32(kms.MaxKeysPage)})
		if err != nil {
			return nil, nil, err
		}
		part := make([]kms.KeyEntry, len(out.Keys))
		for i, k := range out.Keys {
			part[i] = kms.KeyEntry{ID: aws.ToString(k.KeyId), ARN: aws.ToString(k.KeyArn)}
		}
		return part, out.NextMarker, nil
	})
	if err != nil {
		return kms.KeyPage{}, err
	}
	page, next := cut(keys, func(k kms.KeyEntry) string { return k.ID }, after, limit)
	return kms.KeyPage{Keys: page, Next: next}, nil
}

// EnableKey is kms.Keys'.
func (p *Provider) EnableKey(ctx context.Context, keyID string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.EnableKey, &sdk.EnableKeyInput{KeyId: id})
}

// DisableKey is kms.Keys'.
func (p *Provider) DisableKey(ctx context.Context, keyID string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.DisableKey, &sdk.DisableKeyInput{KeyId: id})
}

// UpdateKeyDescription is kms.Keys'.
func (p *Provider) UpdateKeyDescription(ctx context.Context, keyID, description string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.UpdateKeyDescription, &sdk.UpdateKeyDescriptionInput{KeyId: id, Description: &description})
}

// ScheduleKeyDeletion is kms.Keys'.
func (p *Provider) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (kms.KeyMetadata, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	out, err := call(ctx, p, p.client.ScheduleKeyDeletion, &sdk.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(int32(days))})
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	return p.after(ctx, kms.KeyMetadata{ARN: aws.ToString(out.KeyId), State: kms.KeyState(out.KeyState), DeletionDate: aws.ToTime(out.DeletionDate), PendingWindowDays: days}), nil
}

// CancelKeyDeletion is kms.Keys'.
func (p *Provider) CancelKeyDeletion(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	out, err := call(ctx, p, p.client.CancelKeyDeletion, &sdk.CancelKeyDeletionInput{KeyId: id})
	if err != nil {
		return kms.KeyMetadata{}, err
	}
	return p.after(ctx, kms.KeyMetadata{ARN: aws.ToString(out.KeyId), State: kms.StateDisabled}), nil
}
