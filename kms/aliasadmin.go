package kms

import "context"

// Limits of AWS KMS for aliases.
const (
	DefaultAliasPage = 50
	MaxAliasPage     = 100
	maxAliasName     = 256
	reservedAliases  = "alias/aws/"
)

// CreateAlias makes a name for a key.
func (s *Service) CreateAlias(ctx context.Context, alias, keyID string) error {
	return s.changeAlias(ctx, OpCreateAlias, alias, keyID, func(id string) error { return s.backend.CreateAlias(ctx, alias, id) })
}

// UpdateAlias points a name to another key; the caller needs permission on both. Stored data keeps its key.
func (s *Service) UpdateAlias(ctx context.Context, alias, keyID string) error {
	return s.changeAlias(ctx, OpUpdateAlias, alias, keyID, func(id string) error {
		if err := s.authorizeTarget(ctx, OpUpdateAlias, alias); err != nil {
			return err
		}
		return s.backend.UpdateAlias(ctx, alias, id)
	})
}

// DeleteAlias removes a name, not the key.
func (s *Service) DeleteAlias(ctx context.Context, alias string) error {
	err := ValidateAlias(alias)
	if err == nil {
		err = s.authorizeAccount(ctx, OpDeleteAlias)
	}
	if err == nil {
		err = s.authorizeTarget(ctx, OpDeleteAlias, alias)
	}
	if err == nil {
		err = s.backend.DeleteAlias(ctx, alias)
		s.bucketKeys.drop()
	}
	return s.record(ctx, Event{Operation: OpDeleteAlias, KeyARN: s.arn(alias), Alias: alias}, err)
}

// authorizeTarget decides about the key that an alias points to now. An alias whose own record, or whose key's, is damaged
// is nobody's: it can be put right.
func (s *Service) authorizeTarget(ctx context.Context, op Operation, alias string) error {
	_, err := s.authorize(ctx, &question{op: op, keyID: alias})
	if CodeOf(err) == KMSInternalException {
		return nil
	}
	return err
}

// ListAliases lists names; limit 0 means [DefaultAliasPage]. With keyID, only those of one key.
func (s *Service) ListAliases(ctx context.Context, keyID, after string, limit int) (AliasPage, error) {
	if limit == 0 {
		limit = DefaultAliasPage
	}
	p, err := AliasPage{}, s.authorizeAccount(ctx, OpListAliases)
	if err == nil {
		err = validateRange("limit", limit, MaxAliasPage)
	}
	if err == nil {
		p, err = s.backend.ListAliases(ctx, keyID, after, limit)
	}
	return p, s.record(ctx, Event{Operation: OpListAliases, KeyARN: s.arn(keyID)}, err)
}

func (s *Service) changeAlias(ctx context.Context, op Operation, alias, keyID string, do func(id string) error) error {
	err := ValidateAlias(alias)
	if err == nil {
		err = validateKeyID(keyID)
	}
	a := answer{keyARN: s.arn(keyID)}
	if err == nil {
		a, err = s.admit(ctx, &question{op: op, keyID: keyID})
	}
	if err == nil {
		err = do(a.keyID)
		s.bucketKeys.drop()
	}
	return s.record(ctx, Event{Operation: op, KeyARN: a.keyARN, Alias: alias}, err)
}

// ValidateAlias refuses what cannot be the name of a customer's alias, as [Aliases] says.
func ValidateAlias(alias string) error {
	const prefix = "alias/"
	switch {
	case len(alias) < len(prefix) || alias[:len(prefix)] != prefix || alias == prefix:
		return Errorf(ValidationException, `Alias must start with the prefix "alias/". Please see `+
			"https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
	case len(alias) > maxAliasName:
		return validateLength("aliasName", len(alias), maxAliasName)
	case !isAliasName(alias):
		return Errorf(ValidationException, "1 validation error detected: Value '%s' at 'aliasName' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$", alias)
	case len(alias) >= len(reservedAliases) && alias[:len(reservedAliases)] == reservedAliases:
		return Errorf(NotAuthorizedException, "%s is reserved: names under %s belong to AWS managed keys. Choose another name.", alias, reservedAliases)
	}
	return nil
}

func isAliasName(s string) bool {
	for _, c := range []byte(s) {
		letter := (c|0x20) >= 'a' && (c|0x20) <= 'z'
		if !letter && (c < '0' || c > ':') && c != '/' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
