package service

import (
	"context"

	"kmsfs/kms"
)

// KeyPolicy is the policy of a key, in AWS's JSON language. Here: not the key's own, but this store's for a key that is elsewhere; it
// may be empty.
type KeyPolicy struct {
	ID     string `json:"key"`
	Policy string `json:"policy"`
	Here   bool   `json:"here"`
}

// KeyPolicyRequest asks for a policy.
type KeyPolicyRequest struct {
	ID   string
	Here bool
}

// KeyPolicy is the policy as it was put.
func (s *Service) KeyPolicy(ctx context.Context, r KeyPolicyRequest) (KeyPolicy, error) {
	if r.Here {
		arn, text, err := s.KMS.LocalPolicy(ctx, r.ID)
		return KeyPolicy{arn, text, true}, err
	}
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return KeyPolicy{}, err
	}
	text, err := s.KMS.GetKeyPolicy(ctx, m.ID, "")
	return KeyPolicy{m.ARN, text, false}, err
}

// KeyPolicySet replaces a key's policy. One that locks its caller out is refused, where it is the key's own.
func (s *Service) KeyPolicySet(ctx context.Context, r KeyPolicy) (KeyPolicy, error) {
	if r.Here {
		arn, err := s.KMS.PutLocalPolicy(ctx, r.ID, r.Policy)
		return KeyPolicy{arn, r.Policy, true}, err
	}
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return KeyPolicy{}, err
	}
	return KeyPolicy{m.ARN, r.Policy, false}, s.KMS.PutKeyPolicy(ctx, kms.PutKeyPolicyInput{KeyID: m.ID, Policy: r.Policy})
}

// KeyTagRequest sets tags of a key and removes others; with neither it only asks.
type KeyTagRequest struct {
	ID     string
	Set    []kms.Tag
	Remove []string
}

// KeyTags changes the tags of a key and answers them as they are then, by name.
func (s *Service) KeyTags(ctx context.Context, r KeyTagRequest) ([]kms.Tag, error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err == nil && len(r.Set) > 0 {
		err = s.KMS.TagResource(ctx, m.ID, r.Set)
	}
	if err == nil && len(r.Remove) > 0 {
		err = s.KMS.UntagResource(ctx, m.ID, r.Remove)
	}
	if err != nil {
		return nil, err
	}
	page, err := s.KMS.ListResourceTags(ctx, m.ID, "", kms.MaxTagPage) // a key has no more
	return page.Tags, err
}

// KeyRotationRequest changes automatic rotation: every so many Days, or Off; with neither it only asks.
type KeyRotationRequest struct {
	ID   string
	Days int
	Off  bool
}

// KeyRotation is how a key is rotated and the materials it has, oldest first.
type KeyRotation struct {
	Status    kms.RotationStatus
	Materials []kms.Rotation
}

// KeyRotation changes automatic rotation and answers how it is then.
func (s *Service) KeyRotation(ctx context.Context, r KeyRotationRequest) (a KeyRotation, err error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	switch {
	case err != nil:
	case r.Off:
		err = s.KMS.DisableKeyRotation(ctx, m.ID)
	case r.Days != 0:
		err = s.KMS.EnableKeyRotation(ctx, m.ID, r.Days)
	}
	if err != nil {
		return a, err
	}
	if a.Status, err = s.KMS.GetKeyRotationStatus(ctx, m.ID); err != nil {
		return a, err
	}
	a.Materials, err = s.KMS.ListKeyRotations(ctx, m.ID)
	return a, err
}

// GrantRequest asks for a grant: Context, where it is not empty, has to be part of the encryption context.
type GrantRequest struct {
	ID, Grantee, Retiring, Name string
	Operations                  []kms.Operation
	Context                     kms.Context
}

// GrantName names a grant of a key.
type GrantName struct{ Key, Grant string }

// GrantCreate lets one principal use a key, beside its policy.
func (s *Service) GrantCreate(ctx context.Context, r GrantRequest) (kms.GrantRef, error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return kms.GrantRef{}, err
	}
	in := kms.CreateGrantInput{KeyID: m.ID, Grantee: r.Grantee, Retiring: r.Retiring, Name: r.Name, Operations: r.Operations}
	if len(r.Context) > 0 {
		in.Constraints.Subset = r.Context
	}
	return s.KMS.CreateGrant(ctx, in)
}

// GrantList lists the grants of a key by id.
func (s *Service) GrantList(ctx context.Context, r KeyID) ([]kms.Grant, error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	all := []kms.Grant{}
	for after := ""; ; {
		page, err := s.KMS.ListGrants(ctx, kms.GrantFilter{KeyID: m.ID}, after, kms.MaxGrantPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Grants...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// GrantRevoke ends a grant, for who administers the key.
func (s *Service) GrantRevoke(ctx context.Context, r GrantName) (Nothing, error) {
	m, err := s.KMS.DescribeKey(ctx, r.Key)
	if err != nil {
		return Nothing{}, err
	}
	return Nothing{}, s.KMS.RevokeGrant(ctx, m.ID, r.Grant, false)
}

// GrantRetire ends a grant, for whom it names as retiring principal.
func (s *Service) GrantRetire(ctx context.Context, r GrantName) (Nothing, error) {
	m, err := s.KMS.DescribeKey(ctx, r.Key)
	if err != nil {
		return Nothing{}, err
	}
	return Nothing{}, s.KMS.RetireGrant(ctx, kms.GrantRef{KeyID: m.ARN, ID: r.Grant}, false)
}
