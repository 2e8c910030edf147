package kms

import (
	"context"
	"strconv"
	"unicode/utf8"
)

// Limits of AWS KMS.
const (
	maxDescription  = 8192 // characters
	MinDeletionDays = 7
	MaxDeletionDays = 30
	DefaultKeysPage = 100
	MaxKeysPage     = 1000
)

// The methods below are those of [Keys] and [Aliases], checked, authorised and audited. A change that was made but could
// not be recorded stays made, and is reported as an error.

// CreateKey makes a key. Without a policy it has AWS's default: every user of the account may do everything.
func (s *Service) CreateKey(ctx context.Context, in CreateKeyInput) (KeyMetadata, error) {
	m, err := s.createKey(ctx, in)
	return m, s.record(ctx, Event{Operation: OpCreateKey, KeyARN: m.ARN}, err)
}

func (s *Service) createKey(ctx context.Context, in CreateKeyInput) (KeyMetadata, error) {
	if err := s.authorizeAccount(ctx, OpCreateKey); err != nil {
		return KeyMetadata{}, err
	}
	if err := validateDescription(in.Description); err != nil {
		return KeyMetadata{}, err
	}
	if err := in.complete(); err != nil {
		return KeyMetadata{}, err
	}
	if err := validateTags(in.Tags); err != nil {
		return KeyMetadata{}, err
	}
	if in.Policy != "" {
		m := KeyMetadata{ARN: s.names.KeyARN("00000000-0000-0000-0000-000000000000"), // it has none yet
			Spec: in.Spec, Usage: in.Usage, Origin: in.Origin, MultiRegion: in.MultiRegion}
		if err := s.checkPolicy(ctx, in.Policy, m, in.BypassLockoutCheck); err != nil {
			return KeyMetadata{}, err
		}
	}
	return s.backend.CreateKey(ctx, in)
}

// DescribeKey describes a key in any state.
func (s *Service) DescribeKey(ctx context.Context, keyID string) (m KeyMetadata, err error) {
	err = s.read(ctx, OpDescribeKey, keyID, func(id string) error {
		m, err = s.backend.DescribeKey(ctx, id)
		return err
	})
	return m, err
}

// ListKeys lists keys; limit 0 means [DefaultKeysPage].
func (s *Service) ListKeys(ctx context.Context, after string, limit int) (KeyPage, error) {
	if limit == 0 {
		limit = DefaultKeysPage
	}
	p, err := KeyPage{}, s.authorizeAccount(ctx, OpListKeys)
	if err == nil {
		err = validateRange("limit", limit, MaxKeysPage)
	}
	if err == nil {
		p, err = s.backend.ListKeys(ctx, after, limit)
	}
	return p, s.record(ctx, Event{Operation: OpListKeys}, err)
}

// EnableKey allows the use of a key again.
func (s *Service) EnableKey(ctx context.Context, keyID string) error {
	return s.change(ctx, OpEnableKey, keyID, func(id string) error { return s.backend.EnableKey(ctx, id) })
}

// DisableKey refuses every use from now on. Cached bucket-level keys are dropped at once; AWS lets them live on.
func (s *Service) DisableKey(ctx context.Context, keyID string) error {
	return s.change(ctx, OpDisableKey, keyID, func(id string) error { return s.backend.DisableKey(ctx, id) })
}

// UpdateKeyDescription replaces the description.
func (s *Service) UpdateKeyDescription(ctx context.Context, keyID, description string) error {
	return s.change(ctx, OpUpdateKeyDescription, keyID, func(id string) error {
		if err := validateDescription(description); err != nil {
			return err
		}
		return s.backend.UpdateKeyDescription(ctx, id, description)
	})
}

// ScheduleKeyDeletion makes a key unusable now, bucket-level keys included, and destroys it after days; 0 means
// [MaxDeletionDays].
func (s *Service) ScheduleKeyDeletion(ctx context.Context, keyID string, days int) (m KeyMetadata, err error) {
	if days == 0 {
		days = MaxDeletionDays
	}
	q := question{op: OpScheduleKeyDeletion, keyID: keyID,
		extra: map[string]string{"kms:schedulekeydeletionpendingwindowindays": strconv.Itoa(days)}}
	err = s.changeAs(ctx, &q, func(a answer) error {
		if days < MinDeletionDays || days > MaxDeletionDays {
			return Errorf(ValidationException, "PendingWindowInDays is %d; it must be %d to %d.", days, MinDeletionDays, MaxDeletionDays)
		}
		m, err = s.backend.ScheduleKeyDeletion(s.named(ctx), a.keyID, days)
		return err
	})
	return m, err
}

// CancelKeyDeletion leaves the key disabled.
func (s *Service) CancelKeyDeletion(ctx context.Context, keyID string) (m KeyMetadata, err error) {
	err = s.change(ctx, OpCancelKeyDeletion, keyID, func(id string) error {
		m, err = s.backend.CancelKeyDeletion(ctx, id)
		return err
	})
	return m, err
}

// read answers a question about a key.
func (s *Service) read(ctx context.Context, op Operation, keyID string, do func(id string) error) error {
	err := validateKeyID(keyID)
	a := answer{keyARN: s.arn(keyID)}
	if err == nil {
		a, err = s.admit(ctx, &question{op: op, keyID: keyID})
	}
	if err == nil {
		err = do(a.keyID)
	}
	return s.record(ctx, Event{Operation: op, KeyARN: a.keyARN}, err)
}

func (s *Service) change(ctx context.Context, op Operation, keyID string, do func(id string) error) error {
	return s.changeAs(ctx, &question{op: op, keyID: keyID}, func(a answer) error { return do(a.keyID) })
}

// changeAs does one change of a key. All cached bucket-level keys are dropped after it, whatever it was: it is rare, and
// a key that stays usable by mistake is worse than a few calls.
func (s *Service) changeAs(ctx context.Context, q *question, do func(answer) error) error {
	err := validateKeyID(q.keyID)
	a := answer{keyARN: s.arn(q.keyID)}
	if err == nil {
		a, err = s.admit(ctx, q)
	}
	if err == nil {
		err = do(a)
		s.bucketKeys.drop()
	}
	return s.record(ctx, Event{Operation: q.op, KeyARN: a.keyARN, Context: q.context}, err)
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
