package kmsapi

import (
	"context"

	"kmsfs/kms"
)

type grantConstraints struct {
	EncryptionContextEquals kms.Context `json:",omitempty"`
	EncryptionContextSubset kms.Context `json:",omitempty"`
	SourceArn               *string     `json:",omitempty"`
}

type createGrantRequest struct {
	KeyId, GranteePrincipal, RetiringPrincipal, Name  *string
	GranteeServicePrincipal, RetiringServicePrincipal *string
	Operations                                        []kms.Operation
	Constraints                                       grantConstraints
	use
}

func (r *createGrantRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("operations", r.Operations != nil)
	v.grantTokens(r.GrantTokens)
}

type createGrantAnswer struct{ GrantId, GrantToken string }

func createGrant(ctx context.Context, s *kms.Service, in *createGrantRequest) (*createGrantAnswer, error) {
	if in.GranteeServicePrincipal != nil || in.RetiringServicePrincipal != nil {
		return nil, unsupported("a service principal")
	}
	if in.Constraints.SourceArn != nil {
		return nil, unsupported("the constraint SourceArn")
	}
	ref, err := s.CreateGrant(ctx, kms.CreateGrantInput{
		KeyID: *in.KeyId, Grantee: text(in.GranteePrincipal), Retiring: text(in.RetiringPrincipal), Name: text(in.Name), Operations: in.Operations,
		Constraints: kms.GrantConstraints{Equals: in.Constraints.EncryptionContextEquals, Subset: in.Constraints.EncryptionContextSubset},
		GrantTokens: in.GrantTokens, DryRun: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	return &createGrantAnswer{ref.ID, ref.Token}, nil
}

type listGrantsRequest struct {
	KeyId, GrantId, GranteePrincipal, GranteeServicePrincipal *string
	page
}

func (r *listGrantsRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	r.page.check(v, kms.MaxGrantPage)
}

type grantEntry struct {
	Constraints       *grantConstraints `json:",omitempty"`
	CreationDate      *timestamp
	GrantId           string
	GranteePrincipal  string
	IssuingAccount    string
	KeyId             string
	Name              string `json:",omitempty"`
	Operations        []kms.Operation
	RetiringPrincipal string `json:",omitempty"`
}

type listGrantsAnswer struct {
	Grants []grantEntry
	next
}

func listGrants(ctx context.Context, s *kms.Service, in *listGrantsRequest) (*listGrantsAnswer, error) {
	if in.GranteeServicePrincipal != nil {
		return nil, unsupported("a service principal")
	}
	after, err := in.after("grant")
	if err != nil {
		return nil, err
	}
	p, err := s.ListGrants(ctx, kms.GrantFilter{KeyID: *in.KeyId, ID: text(in.GrantId), Grantee: text(in.GranteePrincipal)}, after, number(in.Limit))
	if err != nil {
		return nil, err
	}
	return grantsAnswer(p), nil
}

func grantsAnswer(p kms.GrantPage) *listGrantsAnswer {
	out := &listGrantsAnswer{Grants: make([]grantEntry, len(p.Grants)), next: nextPage("grant", p.Next)}
	for i, g := range p.Grants {
		out.Grants[i] = grantEntry{CreationDate: at(g.Created), GrantId: g.ID, GranteePrincipal: g.Grantee, IssuingAccount: g.Issuer, KeyId: g.KeyARN,
			Name: g.Name, Operations: g.Operations, RetiringPrincipal: g.Retiring}
		if c := g.Constraints; c.Equals != nil || c.Subset != nil {
			out.Grants[i].Constraints = &grantConstraints{EncryptionContextEquals: c.Equals, EncryptionContextSubset: c.Subset}
		}
	}
	return out
}

type listRetirableRequest struct {
	RetiringPrincipal, RetiringServicePrincipal *string
	page
}

func (r *listRetirableRequest) check(v *violations) { r.page.check(v, kms.MaxGrantPage) }

func listRetirableGrants(ctx context.Context, s *kms.Service, in *listRetirableRequest) (*listGrantsAnswer, error) {
	if in.RetiringServicePrincipal != nil {
		return nil, unsupported("a service principal")
	}
	after, err := in.after("grant")
	if err != nil {
		return nil, err
	}
	p, err := s.ListRetirableGrants(ctx, text(in.RetiringPrincipal), after, number(in.Limit))
	if err != nil {
		return nil, err
	}
	return grantsAnswer(p), nil
}

type retireGrantRequest struct {
	GrantToken, KeyId, GrantId *string
	DryRun                     bool
}

func (r *retireGrantRequest) check(*violations) {}

func retireGrant(ctx context.Context, s *kms.Service, in *retireGrantRequest) (*nothing, error) {
	return nil, s.RetireGrant(ctx, kms.GrantRef{Token: text(in.GrantToken), KeyID: text(in.KeyId), ID: text(in.GrantId)}, in.DryRun)
}

type revokeGrantRequest struct {
	KeyId, GrantId *string
	DryRun         bool
}

func (r *revokeGrantRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("grantId", r.GrantId != nil)
}

func revokeGrant(ctx context.Context, s *kms.Service, in *revokeGrantRequest) (*nothing, error) {
	return nil, s.RevokeGrant(ctx, *in.KeyId, *in.GrantId, in.DryRun)
}
