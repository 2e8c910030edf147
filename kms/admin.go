package kms

import (
	"context"
	"unicode/utf8"
)

// Limits of AWS KMS.
const (
	maxDescription   = 8192 // characters
	MinDeletionDays  = 7
	MaxDeletionDays  = 30
	DefaultKeysPage  = 100
	MaxKeysPage      = 1000
	DefaultAliasPage = 50
	MaxAliasPage     = 100
	maxAliasName     = 256
	reservedAliases  = "alias/aws/"
)

// The methods below are those of [Keys] and [Aliases], checked and audited. A change that was made but could not be
// recorded stays made, and is reported as an error.

// CreateKey makes a key.
func (s *Service) CreateKey(ctx context.Context, in CreateKeyInput) (KeyMetadata, error) {
	m, err := KeyMetadata{}, validateDescription(in.Description)
	if err == nil {
		m, err = s.backend.CreateKey(ctx, in)
	}
	return m, s.record(ctx, Event{Operation: OpCreateKey, KeyARN: m.ARN}, err)
}

// DescribeKey describes a key in any state.
func (s *Service) DescribeKey(ctx context.Context, keyID string) (KeyMetadata, error) {
	m, err := s.describe(ctx, keyID)
	return m, s.record(ctx, Event{Operation: OpDescribeKey, KeyARN: s.known(m.ARN, keyID)}, err)
}

// ListKeys lists keys; limit 0 means [DefaultKeysPage].
func (s *Service) ListKeys(ctx context.Context, after string, limit int) (KeyPage, error) {
	if limit == 0 {
		limit = DefaultKeysPage
	}
	p, err := KeyPage{}, validateRange("limit", limit, MaxKeysPage)
	if err == nil {
		p, err = s.backend.ListKeys(ctx, after, limit)
	}
	return p, s.record(ctx, Event{Operation: OpListKeys}, err)
}

// EnableKey allows the use of a key again.
func (s *Service) EnableKey(ctx context.Context, keyID string) error {
	return s.change(ctx, OpEnableKey, keyID, func() error { return s.backend.EnableKey(ctx, keyID) })
}

// DisableKey refuses every use from now on. Cached bucket-level keys are dropped at once; AWS lets them live on.
func (s *Service) DisableKey(ctx context.Context, keyID string) error {
	return s.change(ctx, OpDisableKey, keyID, func() error { return s.backend.DisableKey(ctx, keyID) })
}

// UpdateKeyDescription replaces the description.
func (s *Service) UpdateKeyDescription(ctx context.Context, keyID, description string) error {
	return s.change(ctx, OpUpdateKeyDescription, keyID, func() error {
		if err := validateDescription(description); err != nil {
			return err
		}
		return s.backend.UpdateKeyDescription(ctx, keyID, description)
	})
}

// ScheduleKeyDeletion makes a key unusable now, bucket-level keys included, and destroys it after days; 0 means
// [MaxDeletionDays].
func (s *Service) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (m KeyMetadata, err error) {
	if days == 0 {
		days = MaxDeletionDays
	}
	err = s.change(ctx, OpScheduleKeyDeletion, keyID, func() error {
		if days < MinDeletionDays || days > MaxDeletionDays {
			return Errorf(ValidationException, "PendingWindowInDays is %d; it must be %d to %d.", days, MinDeletionDays, MaxDeletionDays)
		}
		m, err = s.backend.ScheduleKeyDeletion(ctx, keyID, days)
		return err
	})
	return m, err
}

// CancelKeyDeletion leaves the key disabled.
func (s *Service) CancelKeyDeletion(ctx context.Context, keyID string) (m KeyMetadata, err error) {
	err = s.change(ctx, OpCancelKeyDeletion, keyID, func() error {
		m, err = s.backend.CancelKeyDeletion(ctx, keyID)
		return err
	})
	return m, err
}

// RotateKeyOnDemand adds material that encrypts from now on. Cached bucket-level keys are dropped, so that the next
// write uses it.
func (s *Service) RotateKeyOnDemand(ctx context.Context, keyID string) (m KeyMetadata, err error) {
	err = s.change(ctx, OpRotateKeyOnDemand, keyID, func() error {
		m, err = s.backend.RotateKeyOnDemand(ctx, keyID)
		return err
	})
	return m, err
}

// ListKeyRotations lists the materials of a key, oldest first.
func (s *Service) ListKeyRotations(ctx context.Context, keyID string) ([]Rotation, error) {
	r, err := []Rotation(nil), validateKeyID(keyID)
	if err == nil {
		r, err = s.backend.ListKeyRotations(ctx, keyID)
	}
	return r, s.record(ctx, Event{Operation: OpListKeyRotations, KeyARN: s.arn(keyID)}, err)
}

// CreateAlias makes a name for a key.
func (s *Service) CreateAlias(ctx context.Context, alias, keyID string) error {
	return s.changeAlias(ctx, OpCreateAlias, alias, keyID, func() error { return s.backend.CreateAlias(ctx, alias, keyID) })
}

// UpdateAlias points a name to another key. Stored data keeps its key.
func (s *Service) UpdateAlias(ctx context.Context, alias, keyID string) error {
	return s.changeAlias(ctx, OpUpdateAlias, alias, keyID, func() error { return s.backend.UpdateAlias(ctx, alias, keyID) })
}

// DeleteAlias removes a name, not the key.
func (s *Service) DeleteAlias(ctx context.Context, alias string) error {
	return s.changeAlias(ctx, OpDeleteAlias, alias, alias, func() error { return s.backend.DeleteAlias(ctx, alias) })
}

// ListAliases lists names; limit 0 means [DefaultAliasPage]. With keyID, only those of one key.
func (s *Service) ListAliases(ctx context.Context, keyID, after string, limit int) (AliasPage, error) {
	if limit == 0 {
		limit = DefaultAliasPage
	}
	p, err := AliasPage{}, validateRange("limit", limit, MaxAliasPage)
	if err == nil {
		p, err = s.backend.ListAliases(ctx, keyID, after, limit)
	}
	return p, s.record(ctx, Event{Operation: OpListAliases, KeyARN: s.arn(keyID)}, err)
}

// change does one change of a key. All cached bucket-level keys are dropped after it, whatever it was: it is rare, and
// a key that stays usable by mistake is worse than a few calls.
func (s *Service) change(ctx context.Context, op Operation, keyID string, do func() error) error {
	err := validateKeyID(keyID)
	if err == nil {
		err = do()
		s.bucketKeys.drop()
	}
	return s.record(ctx, Event{Operation: op, KeyARN: s.arn(keyID)}, err)
}

func (s *Service) changeAlias(ctx context.Context, op Operation, alias, keyID string, do func() error) error {
	err := ValidateAlias(alias)
	if err == nil {
		err = validateKeyID(keyID)
	}
	if err == nil {
		err = do()
		s.bucketKeys.drop()
	}
	return s.record(ctx, Event{Operation: op, KeyARN: s.arn(keyID), Alias: alias}, err)
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

func validateDescription(d string) error {
	if !utf8.ValidString(d) {
		return Errorf(ValidationException, "The description is not valid UTF-8.")
	}
	if n := utf8.RuneCountInString(d); n > maxDescription {
		return validateLength("description", n, maxDescription)
	}
	return nil
}
