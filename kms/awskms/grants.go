package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

// CreateGrant is kms.Grants'. Its issuer is whose credentials this program has.
func (p *Provider) CreateGrant(ctx context.Context, g kms.Grant) (kms.GrantRef, error) {
	id, err := p.keyOf(ctx, g.KeyARN)
	if err != nil {
		return kms.GrantRef{}, err
	}
	in := &sdk.CreateGrantInput{KeyId: id, GranteePrincipal: &g.Grantee, RetiringPrincipal: optional(g.Retiring), Name: optional(g.Name)}
	for _, op := range g.Operations {
		in.Operations = append(in.Operations, types.GrantOperation(op))
	}
	if c := g.Constraints; c.Equals != nil || c.Subset != nil {
		in.Constraints = &types.GrantConstraints{EncryptionContextEquals: c.Equals, EncryptionContextSubset: c.Subset}
	}
	out, err := call(ctx, p, p.client.CreateGrant, in)
	if err != nil {
		return kms.GrantRef{}, err
	}
	return kms.GrantRef{Token: aws.ToString(out.GrantToken), KeyID: *id, ID: aws.ToString(out.GrantId)}, nil
}

// ListGrants is kms.Grants'.
func (p *Provider) ListGrants(ctx context.Context, f kms.GrantFilter, after string, limit int) (kms.GrantPage, error) {
	grants, err := p.grants(ctx, f)
	if err != nil {
		return kms.GrantPage{}, err
	}
	page, next := cut(grants, func(g kms.Grant) string { return g.ID }, after, limit)
	return kms.GrantPage{Grants: page, Next: next}, nil
}

// grants lists a key's grants, or those of every key that f.Retiring may take back.
func (p *Provider) grants(ctx context.Context, f kms.GrantFilter) ([]kms.Grant, error) {
	limit := aws.Int32(kms.MaxGrantPage)
	if f.KeyID == "" {
		return all(ctx, func(ctx context.Context, marker *string) ([]kms.Grant, *string, error) {
			out, err := call(ctx, p, p.client.ListRetirableGrants, &sdk.ListRetirableGrantsInput{RetiringPrincipal: &f.Retiring, Marker: marker, Limit: limit})
			if err != nil {
				return nil, nil, err
			}
			return chosen(out.Grants, f), out.NextMarker, nil
		})
	}
	id, err := p.keyOf(ctx, f.KeyID)
	if err != nil {
		return nil, err
	}
	return all(ctx, func(ctx context.Context, marker *string) ([]kms.Grant, *string, error) {
		out, err := call(ctx, p, p.client.ListGrants, &sdk.ListGrantsInput{KeyId: id, GrantId: optional(f.ID), GranteePrincipal: optional(f.Grantee), Marker: marker, Limit: limit})
		if err != nil {
			return nil, nil, err
		}
		return chosen(out.Grants, f), out.NextMarker, nil
	})
}

// chosen are the entries that f chooses; AWS has no filter for some of its fields.
func chosen(entries []types.GrantListEntry, f kms.GrantFilter) (out []kms.Grant) {
	for i := range entries {
		g := grant(&entries[i])
		if (f.ID == "" || f.ID == g.ID) && (f.Grantee == "" || f.Grantee == g.Grantee) && (f.Retiring == "" || f.Retiring == g.Retiring) {
			out = append(out, g)
		}
	}
	return out
}

func grant(e *types.GrantListEntry) kms.Grant {
	g := kms.Grant{ID: aws.ToString(e.GrantId), KeyARN: aws.ToString(e.KeyId), Name: aws.ToString(e.Name), Created: aws.ToTime(e.CreationDate),
		Grantee: aws.ToString(e.GranteePrincipal), Retiring: aws.ToString(e.RetiringPrincipal), Issuer: aws.ToString(e.IssuingAccount)}
	for _, op := range e.Operations {
		g.Operations = append(g.Operations, kms.Operation(op))
	}
	if c := e.Constraints; c != nil {
		g.Constraints = kms.GrantConstraints{Equals: c.EncryptionContextEquals, Subset: c.EncryptionContextSubset}
	}
	return g
}

// FindGrant is kms.Grants', by key and id only: AWS has no way to look a token up ([kms.UnsupportedOperationException]).
func (p *Provider) FindGrant(ctx context.Context, r kms.GrantRef) (kms.Grant, error) {
	if r.KeyID == "" || r.ID == "" {
		return kms.Grant{}, kms.Errorf(kms.UnsupportedOperationException, "A remote key service cannot find a grant by its token. Name the key and the grant's id.")
	}
	found, err := p.grants(ctx, kms.GrantFilter{KeyID: r.KeyID, ID: r.ID})
	if err != nil {
		return kms.Grant{}, err
	}
	if len(found) == 0 {
		return kms.Grant{}, kms.Errorf(kms.NotFoundException, "Grant ID %s not found", r.ID)
	}
	return found[0], nil
}

// DeleteGrant is kms.Grants'.
func (p *Provider) DeleteGrant(ctx context.Context, keyID, grantID string) error {
	id, err := p.keyOf(ctx, keyID)
	if err != nil {
		return err
	}
	return done(ctx, p, p.client.RevokeGrant, &sdk.RevokeGrantInput{KeyId: id, GrantId: &grantID})
}
