package kms

import (
	"context"
	"strconv"
	"time"
)

// Rotations is the rotation of symmetric keys of [OriginAWSKMS]. Others, and with automatic rotation also keys without
// material of their own: [UnsupportedOperationException].
type Rotations interface {
	// RotateKeyOnDemand adds material that encrypts from now on; the old one goes on decrypting. The 26th time:
	// [LimitExceededException]. Less than 20 minutes before an automatic rotation: [ConflictException].
	RotateKeyOnDemand(ctx context.Context, keyID string) (KeyMetadata, error)
	// ListKeyRotations lists all materials, oldest first.
	ListKeyRotations(ctx context.Context, keyID string) ([]Rotation, error)
	// EnableKeyRotation rotates the key every so many days, 90 to 2560, counted from now. A key that is disabled then is rotated when it is
	// enabled again.
	EnableKeyRotation(ctx context.Context, keyID string, days int) error
	DisableKeyRotation(ctx context.Context, keyID string) error
	// GetKeyRotationStatus of a key that is pending deletion says that it is not rotated.
	GetKeyRotationStatus(ctx context.Context, keyID string) (RotationStatus, error)
}

// How a material came to be.
const (
	RotationAutomatic = "AUTOMATIC"
	RotationOnDemand  = "ON_DEMAND"
)

// Rotation is one material of a key. The zero Date is the material that the key was made with.
type Rotation struct {
	MaterialID string
	Current    bool
	Date       time.Time
	Type       string // empty for the first
}

// RotationStatus says whether and when a key is rotated by itself.
type RotationStatus struct {
	Enabled    bool
	PeriodDays int       // 0 unless enabled
	Next       time.Time // zero unless enabled
}

// Limits of AWS KMS for automatic rotation, in days.
const (
	MinRotationDays     = 90
	MaxRotationDays     = 2560
	DefaultRotationDays = 365
)

// RotateKeyOnDemand adds material that encrypts from now on. Cached bucket-level keys are dropped, so that the next
// write uses it.
func (s *Service) RotateKeyOnDemand(ctx context.Context, keyID string) (m KeyMetadata, err error) {
	err = s.change(ctx, OpRotateKeyOnDemand, keyID, func(id string) error {
		m, err = s.backend.RotateKeyOnDemand(ctx, id)
		return err
	})
	return m, err
}

// ListKeyRotations lists the materials of a key, oldest first.
func (s *Service) ListKeyRotations(ctx context.Context, keyID string) (r []Rotation, err error) {
	err = s.read(ctx, OpListKeyRotations, keyID, func(id string) error {
		r, err = s.backend.ListKeyRotations(ctx, id)
		return err
	})
	return r, err
}

// EnableKeyRotation rotates a key by itself; days 0 means [DefaultRotationDays].
func (s *Service) EnableKeyRotation(ctx context.Context, keyID string, days int) error {
	if days == 0 {
		days = DefaultRotationDays
	}
	q := question{op: OpEnableKeyRotation, keyID: keyID, extra: map[string]string{"kms:rotationperiodindays": strconv.Itoa(days)}}
	return s.changeAs(ctx, &q, func(a answer) error {
		if days < MinRotationDays {
			return Errorf(ValidationException, "1 validation error detected: Value '%d' at 'rotationPeriodInDays' failed to satisfy constraint: "+
				"Member must have value greater than or equal to %d", days, MinRotationDays)
		}
		if err := validateRange("rotationPeriodInDays", days, MaxRotationDays); err != nil {
			return err
		}
		return s.backend.EnableKeyRotation(ctx, a.keyID, days)
	})
}

// DisableKeyRotation ends automatic rotation.
func (s *Service) DisableKeyRotation(ctx context.Context, keyID string) error {
	return s.change(ctx, OpDisableKeyRotation, keyID, func(id string) error { return s.backend.DisableKeyRotation(ctx, id) })
}

// GetKeyRotationStatus says whether and when a key is rotated by itself.
func (s *Service) GetKeyRotationStatus(ctx context.Context, keyID string) (st RotationStatus, err error) {
	err = s.read(ctx, OpGetKeyRotationStatus, keyID, func(id string) error {
		st, err = s.backend.GetKeyRotationStatus(ctx, id)
		return err
	})
	return st, err
}
