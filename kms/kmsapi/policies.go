package kmsapi

import (
	"context"

	"kmsfs/kms"
)

type getPolicyRequest struct{ KeyId, PolicyName *string }

func (r *getPolicyRequest) check(v *violations) { v.required("keyId", r.KeyId != nil) }

type getPolicyAnswer struct{ Policy, PolicyName string }

func getKeyPolicy(ctx context.Context, s *kms.Service, in *getPolicyRequest) (*getPolicyAnswer, error) {
	document, err := s.GetKeyPolicy(ctx, *in.KeyId, text(in.PolicyName))
	if err != nil {
		return nil, err
	}
	return &getPolicyAnswer{document, kms.DefaultPolicyName}, nil
}

type putPolicyRequest struct {
	KeyId, Policy, PolicyName      *string
	BypassPolicyLockoutSafetyCheck bool
}

func (r *putPolicyRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("policy", r.Policy != nil)
}

func putKeyPolicy(ctx context.Context, s *kms.Service, in *putPolicyRequest) (*nothing, error) {
	return nil, s.PutKeyPolicy(ctx, kms.PutKeyPolicyInput{KeyID: *in.KeyId, PolicyName: text(in.PolicyName), Policy: *in.Policy,
		BypassLockoutCheck: in.BypassPolicyLockoutSafetyCheck})
}

type listPoliciesRequest struct {
	KeyId *string
	page
}

func (r *listPoliciesRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	r.page.check(v, 1000)
}

type listPoliciesAnswer struct {
	PolicyNames []string
	next
}

// listKeyPolicies has one name at most, so there is never a second page.
func listKeyPolicies(ctx context.Context, s *kms.Service, in *listPoliciesRequest) (*listPoliciesAnswer, error) {
	if _, err := in.after("policy"); err != nil {
		return nil, err
	}
	names, err := s.ListKeyPolicies(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &listPoliciesAnswer{PolicyNames: names}, nil
}
