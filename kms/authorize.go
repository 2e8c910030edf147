package kms

import (
	"context"
	"fmt"
	"strings"

	"kmsfs/kms/policy"
)

// question is what a policy is asked.
type question struct {
	op       Operation
	keyID    string
	blob     []byte // names the key where keyID is empty
	context  Context
	viaS3    bool // the use is S3's, for the caller: a mount and the S3 door
	tokens   []string
	grantOps []Operation // of CreateGrant
	extra    map[string]string
}

// answer is what authorize found out. access is nil where the provider decides by itself.
type answer struct {
	access  *Access
	keyID   string // to be used from here on: the key that was decided about, whatever becomes of an alias meanwhile
	keyARN  string // for the audit record
	granted *Grant // the grant that allowed it; nil: the policy did
}

// admit decides whether a call may go to the provider: within the caller's quota, and allowed.
//
// Errors: those of authorize, [ThrottlingException], [InvalidGrantTokenException].
func (s *Service) admit(ctx context.Context, q *question) (answer, error) {
	if err := s.quotas.takePatiently(ctx, q.op, s.principals.of(CallerFrom(ctx)), q.viaS3); err != nil {
		return answer{keyARN: s.arn(q.keyID)}, err
	}
	if err := validateTokens(q.tokens); err != nil {
		return answer{keyARN: s.arn(q.keyID)}, err
	}
	return s.authorize(ctx, q)
}

// authorize decides whether ctx's caller may do q. A denial by the policy outweighs grants.
//
// Errors: those of the key id, [AccessDeniedException].
func (s *Service) authorize(ctx context.Context, q *question) (answer, error) {
	ans := answer{keyID: q.keyID}
	a, err := s.backend.Access(ctx, q.keyID, q.blob)
	if err != nil || a == nil {
		ans.keyARN = s.arn(q.keyID)
		return ans, err
	}
	ans.access, ans.keyARN = a, a.Key.ARN
	if q.keyID != "" {
		ans.keyID = a.Key.ARN
	}
	ans.granted, err = s.decide(s.principals.of(CallerFrom(ctx)), a, q)
	return ans, err
}

func (s *Service) decide(principal string, a *Access, q *question) (*Grant, error) {
	r := policy.Request{
		Principal: principal, Action: string(q.op), Resource: a.Key.ARN, Context: q.context,
		KeySpec: a.Key.Spec, KeyUsage: a.Key.Usage, KeyOrigin: a.Key.Origin, MultiRegion: a.Key.MultiRegion,
		RequestAlias: requestAlias(q.keyID), Extra: q.extra,
	}
	for _, op := range q.grantOps {
		r.GrantOperations = append(r.GrantOperations, string(op))
	}
	if q.viaS3 {
		r.ViaService = s.viaS3
	}
	switch a.Policy.Decide(&r) {
	case policy.Allow:
		return nil, nil
	case policy.Deny:
		return nil, denied(principal, q.op, a.Key.ARN, "with an explicit deny in a resource-based policy")
	}
	if a.GrantsOf != nil {
		for _, g := range a.GrantsOf(principal) {
			if g.allows(q) {
				return g, nil
			}
		}
	}
	return nil, denied(principal, q.op, a.Key.ARN, fmt.Sprintf("because no resource-based policy allows the kms:%s action", q.op))
}

// denied is AWS's answer to a caller who may not.
func denied(principal string, op Operation, keyARN, why string) error {
	return Errorf(AccessDeniedException, "User: %s is not authorized to perform: kms:%s on resource: %s %s", principal, op, keyARN, why)
}

// requestAlias is the alias that a key id names, "" for other forms.
func requestAlias(keyID string) string {
	if i := strings.Index(keyID, "alias/"); i == 0 || (i > 0 && keyID[i-1] == ':') {
		return keyID[i:]
	}
	return ""
}

// authorizeAccount decides about what no key's policy decides: making keys, and lists. AWS asks the user's own policies,
// which do not exist here: every user of the account may.
func (s *Service) authorizeAccount(ctx context.Context, op Operation) error {
	principal := s.principals.of(CallerFrom(ctx))
	if err := s.quotas.takePatiently(ctx, op, principal, false); err != nil {
		return err
	}
	if !strings.HasPrefix(principal, "arn:aws:iam::"+s.names.Account+":") && !strings.HasPrefix(principal, "arn:aws:sts::"+s.names.Account+":") {
		return denied(principal, op, "*", fmt.Sprintf("because no identity-based policy allows the kms:%s action", op))
	}
	return nil
}
