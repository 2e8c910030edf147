package kms

import (
	"context"
	"encoding/base64"
)

// Grants keeps grants.
type Grants interface {
	// CreateGrant makes a grant, in force at once. One with the same Name and the same content: that one again. The
	// 50,001st of a key: [LimitExceededException]. A key that is disabled or pending is refused, as [CheckState] says.
	CreateGrant(ctx context.Context, g Grant) (GrantRef, error)
	// ListGrants returns grants in ascending order of id behind the id after, at most limit.
	ListGrants(ctx context.Context, f GrantFilter, after string, limit int) (GrantPage, error)
	// FindGrant finds a grant by its token, or by key and id. No such token: [InvalidGrantTokenException]; id: [NotFoundException].
	FindGrant(ctx context.Context, r GrantRef) (Grant, error)
	// DeleteGrant ends a grant for every Access that starts after it. No such id: [NotFoundException].
	DeleteGrant(ctx context.Context, keyID, grantID string) error
}

// GrantRef names a grant: by Token, or by KeyID and ID.
type GrantRef struct{ Token, KeyID, ID string }

// GrantFilter chooses grants. An empty field chooses all; KeyID may be empty with Retiring only.
type GrantFilter struct{ KeyID, ID, Grantee, Retiring string }

// GrantPage is one page of grants. Where Next is not empty, pass it as after for the next page.
type GrantPage struct {
	Grants []Grant
	Next   string
}

// Limits of AWS KMS for grants.
const (
	MaxGrants        = 50_000 // of one key
	DefaultGrantPage = 50
	MaxGrantPage     = 100
	maxGrantName     = 256
	maxGrantTokens   = 10
	maxGrantToken    = 8192
	maxConstraints   = 8 // pairs
)

// CreateGrantInput is what a grant shall allow.
type CreateGrantInput struct {
	KeyID, Grantee, Retiring, Name string
	Operations                     []Operation
	Constraints                    GrantConstraints
	GrantTokens                    []string
	DryRun                         bool
}

// CreateGrant makes a grant and returns its id and token.
//
// A caller who may only because of a grant of his own can pass on no more than that: its operations, and its constraints or
// stricter ones.
func (s *Service) CreateGrant(ctx context.Context, in CreateGrantInput) (ref GrantRef, err error) {
	q := question{op: OpCreateGrant, keyID: in.KeyID, context: in.Constraints.pairs(), tokens: in.GrantTokens, grantOps: in.Operations, extra: in.conditionKeys()}
	err = s.changeAs(ctx, &q, func(a answer) error {
		if err := in.validate(); err != nil {
			return err
		}
		g := Grant{KeyARN: a.keyID, Name: in.Name, Grantee: in.Grantee, Retiring: in.Retiring, Issuer: RootPrincipal(s.names.Account),
			Operations: in.Operations, Constraints: in.Constraints}
		if a.granted != nil && !a.granted.covers(&g) {
			return denied(s.principals.of(CallerFrom(ctx)), OpCreateGrant, a.keyARN, "because the grant that allows it allows less than the new grant would")
		}
		if in.DryRun {
			return s.dryChange(OpCreateGrant, a)
		}
		ref, err = s.backend.CreateGrant(ctx, g)
		return err
	})
	return ref, err
}

// dryChange checks the key's state for op, and answers as DryRun wants it.
func (s *Service) dryChange(op Operation, a answer) error {
	if a.access != nil {
		if err := CheckState(op, a.access.Key); err != nil {
			return err
		}
	}
	return dryRun(true, nil)
}

// pairs are the constraint's pairs, which conditions on the encryption context see.
func (c GrantConstraints) pairs() Context {
	if c.Equals != nil {
		return c.Equals
	}
	return c.Subset
}

func (in *CreateGrantInput) conditionKeys() map[string]string {
	m := map[string]string{"kms:granteeprincipal": in.Grantee, "kms:retiringprincipal": in.Retiring, "kms:grantisforawsresource": "false"}
	switch {
	case in.Constraints.Equals != nil:
		m["kms:grantconstrainttype"] = "EncryptionContextEquals"
	case in.Constraints.Subset != nil:
		m["kms:grantconstrainttype"] = "EncryptionContextSubset"
	}
	return m
}

// covers reports whether whoever has g may make n.
func (g *Grant) covers(n *Grant) bool {
	for _, op := range n.Operations {
		if !hasOperation(g.Operations, op) {
			return false
		}
	}
	own, new := g.Constraints, n.Constraints
	if own.Equals != nil && (new.Equals == nil || !own.match(new.Equals)) {
		return false
	}
	return own.Subset == nil || (contains(new.pairs(), own.Subset))
}

func hasOperation(ops []Operation, op Operation) bool {
	for _, o := range ops {
		if o == op {
			return true
		}
	}
	return false
}

// ListGrants lists the grants of a key; limit 0 means [DefaultGrantPage].
func (s *Service) ListGrants(ctx context.Context, f GrantFilter, after string, limit int) (page GrantPage, err error) {
	if limit == 0 {
		limit = DefaultGrantPage
	}
	err = s.read(ctx, OpListGrants, f.KeyID, func(id string) error {
		if err := validateRange("limit", limit, MaxGrantPage); err != nil {
			return err
		}
		f.KeyID = id
		page, err = s.backend.ListGrants(ctx, f, after, limit)
		return err
	})
	return page, err
}

// ListRetirableGrants lists the grants that a principal may retire. He may ask, and the account's root user.
func (s *Service) ListRetirableGrants(ctx context.Context, retiring, after string, limit int) (page GrantPage, err error) {
	if limit == 0 {
		limit = DefaultGrantPage
	}
	err = s.authorizeAccount(ctx, OpListRetirableGrants)
	if who := s.principals.of(CallerFrom(ctx)); err == nil && who != retiring && who != RootPrincipal(s.names.Account) {
		err = denied(who, OpListRetirableGrants, "*", "because no identity-based policy allows the kms:ListRetirableGrants action")
	}
	if err == nil {
		err = validateRange("limit", limit, MaxGrantPage)
	}
	if err == nil {
		err = validateLength("retiringPrincipal", len(retiring), 256)
	}
	if err == nil {
		page, err = s.backend.ListGrants(ctx, GrantFilter{Retiring: retiring}, after, limit)
	}
	return page, s.record(ctx, Event{Operation: OpListRetirableGrants}, err)
}

// RevokeGrant ends a grant for the key's administrators.
func (s *Service) RevokeGrant(ctx context.Context, keyID, grantID string, dry bool) error {
	return s.changeAs(ctx, &question{op: OpRevokeGrant, keyID: keyID}, func(a answer) error {
		if err := validateGrantID(grantID); err != nil {
			return err
		}
		if dry {
			_, err := s.backend.FindGrant(ctx, GrantRef{KeyID: a.keyID, ID: grantID})
			return dryRun(true, err)
		}
		return s.backend.DeleteGrant(ctx, a.keyID, grantID)
	})
}

// RetireGrant ends a grant for whom it names: its retiring principal, its grantee where it has the operation RetireGrant, and
// whoever the key's policy allows kms:RetireGrant.
func (s *Service) RetireGrant(ctx context.Context, ref GrantRef, dry bool) error {
	g, err := s.retirable(ctx, ref)
	if err == nil && dry {
		err = dryRun(true, nil)
	}
	if err == nil {
		err = s.backend.DeleteGrant(ctx, g.KeyARN, g.ID)
		s.bucketKeys.drop()
	}
	return s.record(ctx, Event{Operation: OpRetireGrant, KeyARN: either(g.KeyARN, s.arn(ref.KeyID))}, err)
}

func (s *Service) retirable(ctx context.Context, ref GrantRef) (Grant, error) {
	who := s.principals.of(CallerFrom(ctx))
	if err := s.quotas.takePatiently(ctx, OpRetireGrant, who, false); err != nil {
		return Grant{}, err
	}
	if err := validateGrantRef(ref); err != nil {
		return Grant{}, err
	}
	g, err := s.backend.FindGrant(ctx, ref)
	if err != nil {
		return g, err
	}
	if who != "" && (who == g.Retiring || (who == g.Grantee && hasOperation(g.Operations, OpRetireGrant))) {
		return g, nil
	}
	_, err = s.authorize(ctx, &question{op: OpRetireGrant, keyID: g.KeyARN})
	return g, err
}

func validateTokens(tokens []string) error {
	if len(tokens) > maxGrantTokens {
		return validateLength("grantTokens", len(tokens), maxGrantTokens)
	}
	for _, t := range tokens { // a grant is in force at once, so tokens are only looked at
		if _, err := base64.StdEncoding.DecodeString(t); err != nil || t == "" || len(t) > maxGrantToken {
			return Errorf(InvalidGrantTokenException, "Grant token is invalid")
		}
	}
	return nil
}
