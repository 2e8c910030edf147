package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

// PutKeyPolicy is kms.Policies'. AWS refuses a policy under which this program could not put the next one.
func (p *Provider) PutKeyPolicy(ctx context.Context, keyID, document string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.PutKeyPolicy, &sdk.PutKeyPolicyInput{KeyId: id, Policy: &document, PolicyName: aws.String(kms.DefaultPolicyName)})
}

// GetKeyPolicy is kms.Policies'.
func (p *Provider) GetKeyPolicy(ctx context.Context, keyID string) (string, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return "", err
	}
	out, err := call(ctx, p, p.client.GetKeyPolicy, &sdk.GetKeyPolicyInput{KeyId: id, PolicyName: aws.String(kms.DefaultPolicyName)})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Policy), nil
}

func tagsOf(tags []kms.Tag) (out []types.Tag) {
	for _, t := range tags {
		out = append(out, types.Tag{TagKey: &t.Key, TagValue: &t.Value})
	}
	return out
}

// TagResource is kms.Tags'.
func (p *Provider) TagResource(ctx context.Context, keyID string, tags []kms.Tag) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.TagResource, &sdk.TagResourceInput{KeyId: id, Tags: tagsOf(tags)})
}

// UntagResource is kms.Tags'.
func (p *Provider) UntagResource(ctx context.Context, keyID string, names []string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.UntagResource, &sdk.UntagResourceInput{KeyId: id, TagKeys: names})
}

// ListResourceTags is kms.Tags'.
func (p *Provider) ListResourceTags(ctx context.Context, keyID, after string, limit int) (kms.TagPage, error) {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return kms.TagPage{}, err
	}
	tags, err := all(ctx, func(ctx context.Context, marker *string) ([]kms.Tag, *string, error) {
		out, err := call(ctx, p, p.client.ListResourceTags, &sdk.ListResourceTagsInput{KeyId: id, Marker: marker, Limit: aws.Int32(kms.MaxTagPage)})
		if err != nil {
			return nil, nil, err
		}
		part := make([]kms.Tag, len(out.Tags))
		for i, t := range out.Tags {
			part[i] = kms.Tag{Key: aws.ToString(t.TagKey), Value: aws.ToString(t.TagValue)}
		}
		return part, out.NextMarker, nil
	})
	if err != nil {
		return kms.TagPage{}, err
	}
	page, next := cut(tags, func(t kms.Tag) string { return t.Key }, after, limit)
	return kms.TagPage{Tags: page, Next: next}, nil
}
