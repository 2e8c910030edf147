package kms

import (
	"strings"

	"kmsfs/kms/policy"
)

// validate refuses what AWS refuses of a new grant.
func (in *CreateGrantInput) validate() error {
	if !policy.IsPrincipal(in.Grantee) {
		return Errorf(InvalidArnException, "GranteePrincipal %q is not the ARN of a user, a role or an account.", in.Grantee)
	}
	if in.Retiring != "" && !policy.IsPrincipal(in.Retiring) {
		return Errorf(InvalidArnException, "RetiringPrincipal %q is not the ARN of a user, a role or an account.", in.Retiring)
	}
	if len(in.Name) > maxGrantName || (in.Name != "" && !isAliasName(in.Name)) {
		return Errorf(ValidationException, "1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$", in.Name)
	}
	if len(in.Operations) == 0 {
		return validateLength("operations", 0, 1)
	}
	for _, op := range in.Operations {
		if !hasOperation(GrantOperations(), op) {
			return Errorf(ValidationException, "1 validation error detected: Value '[%s]' at 'operations' failed to satisfy constraint: "+
				"Member must satisfy enum value set: %s", op, operationNames(GrantOperations()))
		}
	}
	return in.Constraints.validate()
}

func operationNames(ops []Operation) string {
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = string(op)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func (c GrantConstraints) validate() error {
	if c.Equals != nil && c.Subset != nil {
		return Errorf(ValidationException, "A grant has either EncryptionContextEquals or EncryptionContextSubset, not both.")
	}
	pairs := c.pairs()
	if len(pairs) > maxConstraints {
		return Errorf(ValidationException, "The grant's constraint has %d pairs; the limit is %d.", len(pairs), maxConstraints)
	}
	seen := map[string]bool{}
	for name := range pairs {
		folded := strings.ToLower(name)
		if seen[folded] {
			return Errorf(ValidationException, "The grant's constraint has two names that differ in case only: %q.", name)
		}
		seen[folded] = true
	}
	return pairs.Validate()
}

// validateGrantID: 64 hex digits are what this package makes; AWS allows 1 to 128 characters.
func validateGrantID(id string) error {
	if id == "" || len(id) > 128 {
		return Errorf(InvalidGrantIDException, "Grant ID %q is not 1 to 128 characters long.", id)
	}
	return nil
}

func validateGrantRef(r GrantRef) error {
	if r.Token != "" {
		if r.KeyID != "" || r.ID != "" {
			return Errorf(ValidationException, "Give either the grant token, or key id and grant id.")
		}
		return nil
	}
	if r.KeyID == "" || r.ID == "" {
		return Errorf(ValidationException, "Give the grant token, or key id and grant id.")
	}
	if err := validateKeyID(r.KeyID); err != nil {
		return err
	}
	return validateGrantID(r.ID)
}
