package kms

import (
	"context"
	"strconv"

	"kmsfs/kms/policy"
)

// GetKeyPolicy is the key's policy as it was put. name is "" or [DefaultPolicyName]; another one does not exist.
func (s *Service) GetKeyPolicy(ctx context.Context, keyID, name string) (document string, err error) {
	err = s.read(ctx, OpGetKeyPolicy, keyID, func(id string) error {
		if err := checkPolicyName(name); err != nil {
			return err
		}
		document, err = s.backend.GetKeyPolicy(ctx, id)
		return err
	})
	return document, err
}

// PutKeyPolicyInput replaces a key's policy.
type PutKeyPolicyInput struct {
	KeyID, PolicyName, Policy string
	// BypassLockoutCheck puts a policy also when it does not let the caller put another one.
	BypassLockoutCheck bool
}

// PutKeyPolicy replaces a key's policy. It acts at once, on cached bucket-level keys too.
//
// Errors: [MalformedPolicyException] with the place of the mistake, and for a policy that locks the caller out.
func (s *Service) PutKeyPolicy(ctx context.Context, in PutKeyPolicyInput) error {
	q := question{op: OpPutKeyPolicy, keyID: in.KeyID, extra: bypassKey(in.BypassLockoutCheck)}
	return s.changeAs(ctx, &q, func(a answer) error {
		if err := checkPolicyName(in.PolicyName); err != nil {
			return err
		}
		m := KeyMetadata{ARN: a.keyARN}
		if a.access != nil {
			m = a.access.Key
		}
		if err := s.checkPolicy(ctx, in.Policy, m, in.BypassLockoutCheck); err != nil {
			return err
		}
		return s.backend.PutKeyPolicy(ctx, a.keyID, in.Policy)
	})
}

// ListKeyPolicies lists the names of a key's policies: there is one.
func (s *Service) ListKeyPolicies(ctx context.Context, keyID string) (names []string, err error) {
	err = s.read(ctx, OpListKeyPolicies, keyID, func(id string) error {
		_, err := s.backend.GetKeyPolicy(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return []string{DefaultPolicyName}, nil
}

func checkPolicyName(name string) error {
	if name != "" && name != DefaultPolicyName {
		return Errorf(NotFoundException, "No such policy exists")
	}
	return nil
}

// checkPolicy parses a policy for the key m, and unless bypass is set refuses one under which ctx's caller could not put the
// next.
func (s *Service) checkPolicy(ctx context.Context, document string, m KeyMetadata, bypass bool) error {
	if len(document) > policy.MaxSize {
		return Errorf(LimitExceededException, "The policy has %d bytes; the limit is %d.", len(document), policy.MaxSize)
	}
	p, err := ParsePolicy(document)
	if err != nil || bypass {
		return err
	}
	r := policy.Request{
		Principal: s.principals.of(CallerFrom(ctx)), Action: string(OpPutKeyPolicy), Resource: m.ARN,
		KeySpec: m.Spec, KeyUsage: m.Usage, KeyOrigin: m.Origin, MultiRegion: m.MultiRegion,
	}
	if p.Decide(&r) != policy.Allow {
		return Errorf(MalformedPolicyException, "The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

func bypassKey(bypass bool) map[string]string {
	return map[string]string{"kms:bypasspolicylockoutsafetycheck": strconv.FormatBool(bypass)}
}
