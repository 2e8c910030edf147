package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"kmsfs/kms"
)

// CreateAlias is kms.Aliases'.
func (p *Provider) CreateAlias(ctx context.Context, alias, targetKeyID string) error {
	id, err := p.keyOf(ctx, targetKeyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.CreateAlias, &sdk.CreateAliasInput{AliasName: &alias, TargetKeyId: id})
}

// UpdateAlias is kms.Aliases'.
func (p *Provider) UpdateAlias(ctx context.Context, alias, targetKeyID string) error {
	id, err := p.keyOf(ctx, targetKeyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.UpdateAlias, &sdk.UpdateAliasInput{AliasName: &alias, TargetKeyId: id})
}

// DeleteAlias is kms.Aliases'.
func (p *Provider) DeleteAlias(ctx context.Context, alias string) error {
	return done(ctx, p, p.client.DeleteAlias, &sdk.DeleteAliasInput{AliasName: &alias})
}

// ListAliases is kms.Aliases'.
func (p *Provider) ListAliases(ctx context.Context, keyID, after string, limit int) (kms.AliasPage, error) {
	var of *string
	if keyID != "" {
		var err error
		if of, err = p.keyOf(ctx, keyID); err != nil {
			return kms.AliasPage{}, err
		}
	}
	aliases, err := all(ctx, func(ctx context.Context, marker *string) ([]kms.Alias, *string, error) {
		out, err := call(ctx, p, p.client.ListAliases, &sdk.ListAliasesInput{KeyId: of, Marker: marker, Limit: aws.Int32(kms.MaxAliasPage)})
		if err != nil {
			return nil, nil, err
		}
		part := make([]kms.Alias, len(out.Aliases))
		for i, a := range out.Aliases {
			part[i] = kms.Alias{Name: aws.ToString(a.AliasName), ARN: aws.ToString(a.AliasArn), TargetKeyID: aws.ToString(a.TargetKeyId),
				Created: aws.ToTime(a.CreationDate), Updated: aws.ToTime(a.LastUpdatedDate)}
		}
		return part, out.NextMarker, nil
	})
	if err != nil {
		return kms.AliasPage{}, err
	}
	page, next := cut(aliases, func(a kms.Alias) string { return a.Name }, after, limit)
	return kms.AliasPage{Aliases: page, Next: next}, nil
}
