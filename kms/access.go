package kms

import (
	"context"

	"kmsfs/kms/policy"
)

// Policies says who may use a key. A provider keeps policies; [Service] decides by them.
type Policies interface {
	// Access is what a decision about a key needs; with an empty keyID, about the key that made blob. It costs no call of the
	// provider and is not audited. The key of [ManagedAlias] is made when there is none yet. A provider that decides
	// by itself answers nil.
	//
	// A blob that this provider did not make: [InvalidCiphertextException]; one of a key that does not exist here:
	// [AccessDeniedException].
	Access(ctx context.Context, keyID string, blob []byte) (*Access, error)
	// PutKeyPolicy replaces the policy, which is valid. It is in force for every Access that starts after it.
	PutKeyPolicy(ctx context.Context, keyID, document string) error
	// GetKeyPolicy is the policy as it was put: AWS's default policy where none was, a fixed one for an AWS managed key.
	GetKeyPolicy(ctx context.Context, keyID string) (string, error)
}

// Access is what decides who may use a key. It is immutable and may be shared.
type Access struct {
	Key    KeyMetadata // MaterialID is not set
	Policy *policy.Policy
	// GrantsOf are the grants of a grantee; nil: the key has none.
	GrantsOf func(grantee string) []*Grant
}

// DefaultPolicyName is the name of the one policy that a key has.
const DefaultPolicyName = "default"

// ParsePolicy compiles a key policy. The error is [MalformedPolicyException] and says where the mistake is.
func ParsePolicy(document string) (*policy.Policy, error) {
	p, err := policy.Parse(document)
	if err != nil {
		return nil, &Error{Code: MalformedPolicyException, Message: err.Error()}
	}
	return p, nil
}
