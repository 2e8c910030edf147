package service

import (
	"context"
	"errors"
	"fmt"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// pageSize is how many keys or aliases are asked for at a time.
const pageSize = 100

// KeyCreate makes a key. When its alias cannot be made the key is not left behind: it is scheduled for deletion.
func (s *Service) KeyCreate(ctx context.Context, r KeyCreateRequest) (Key, error) {
	if r.Alias != "" {
		if err := s.aliasIsFree(ctx, r.Alias); err != nil {
			return Key{}, err
		}
	}
	m, err := s.KMS.CreateKey(ctx, kms.CreateKeyInput{Description: r.Description})
	if err != nil || r.Alias == "" {
		return keyOf(m, nil), err
	}
	if err := s.KMS.CreateAlias(ctx, r.Alias, m.ID); err != nil {
		_, undo := s.KMS.ScheduleKeyDeletion(ctx, m.ID, kms.MinDeletionDays)
		return Key{}, errors.Join(err, undo)
	}
	return keyOf(m, []string{r.Alias}), nil
}

// aliasIsFree checks an alias before the key for it is made.
func (s *Service) aliasIsFree(ctx context.Context, alias string) error {
	if err := kms.ValidateAlias(alias); err != nil {
		return err
	}
	all, err := s.aliases(ctx, "")
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name == alias {
			return kms.Errorf(kms.AlreadyExistsException, "An alias with the name %s already exists", a.ARN)
		}
	}
	return nil
}

// KeyList describes all keys, by id.
func (s *Service) KeyList(ctx context.Context, _ Nothing) ([]Key, error) {
	names, err := s.aliasesByKey(ctx)
	if err != nil {
		return nil, err
	}
	keys := []Key{}
	for after := ""; ; {
		page, err := s.KMS.ListKeys(ctx, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, k := range page.Keys {
			m, err := s.KMS.DescribeKey(ctx, k.ID)
			if err != nil {
				return nil, err
			}
			keys = append(keys, keyOf(m, names[m.ID]))
		}
		if after = page.Next; after == "" {
			return keys, nil
		}
	}
}

// KeyDescribe describes one key in any state.
func (s *Service) KeyDescribe(ctx context.Context, r KeyID) (Key, error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return Key{}, err
	}
	names, err := s.aliasesByKey(ctx)
	return keyOf(m, names[m.ID]), err
}

// KeyEnable allows the use of a key again.
func (s *Service) KeyEnable(ctx context.Context, r KeyID) (Key, error) {
	return s.change(ctx, r, s.KMS.EnableKey)
}

// KeyDisable refuses every use of a key from now on.
func (s *Service) KeyDisable(ctx context.Context, r KeyID) (KeyStopped, error) {
	k, err := s.change(ctx, r, s.KMS.DisableKey)
	return s.stopped(k), err
}

// stopped says what a key that was just made unusable through this process still does.
func (s *Service) stopped(k Key) KeyStopped {
	shared := s.Provider != nil && s.Provider().Name != LocalProvider
	return KeyStopped{Key: k, BucketKeysDropped: true, BucketKeyLifetime: s.KMS.BucketKeyLifetime(), Shared: shared}
}

// KeyRotate adds material that encrypts from now on; what is stored stays readable.
func (s *Service) KeyRotate(ctx context.Context, r KeyID) (Key, error) {
	return s.change(ctx, r, func(ctx context.Context, id string) error {
		_, err := s.KMS.RotateKeyOnDemand(ctx, id)
		return err
	})
}

// KeyUse counts the versions of the store that are encrypted under a key.
func (s *Service) KeyUse(ctx context.Context, r KeyID) (objstore.KeyUse, error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return objstore.KeyUse{}, err
	}
	return s.Store.KeyUse(ctx, m.ARN)
}

// knowsLoss checks that who ends a key knows how many versions end with it.
func (s *Service) knowsLoss(ctx context.Context, r KeyDeletionRequest) error {
	u, err := s.KeyUse(ctx, KeyID{r.ID})
	if err != nil || u.Versions == r.WillLose {
		return err
	}
	return &Error{Code: WouldLose, Message: fmt.Sprintf("with key %s, %d versions (%d bytes), those of %d files among them, become unreadable for ever; "+
		"nothing was done", r.ID, u.Versions, u.Bytes, u.Files)}
}

// KeyScheduleDeletion makes a key unusable now and destroys it after the waiting time.
func (s *Service) KeyScheduleDeletion(ctx context.Context, r KeyDeletionRequest) (KeyStopped, error) {
	if err := s.knowsLoss(ctx, r); err != nil {
		return KeyStopped{}, err
	}
	k, err := s.change(ctx, KeyID{r.ID}, func(ctx context.Context, id string) error {
		_, err := s.KMS.ScheduleKeyDeletion(ctx, id, r.Days)
		return err
	})
	return s.stopped(k), err
}

// KeyCancelDeletion leaves the key disabled.
func (s *Service) KeyCancelDeletion(ctx context.Context, r KeyID) (Key, error) {
	return s.change(ctx, r, func(ctx context.Context, id string) error {
		_, err := s.KMS.CancelKeyDeletion(ctx, id)
		return err
	})
}

// KeyCertificate certifies that a key was destroyed.
func (s *Service) KeyCertificate(ctx context.Context, r KeyID) (kms.Certificate, error) {
	if s.Certify == nil {
		return kms.Certificate{}, &Error{Code: Unsupported, Message: "the keys of this store are in another key service, which is who destroys and certifies them"}
	}
	return s.Certify(ctx, r.ID)
}

// change finds the key behind an alias first: AWS changes keys by id and ARN only, and so do providers.
func (s *Service) change(ctx context.Context, r KeyID, do func(context.Context, string) error) (Key, error) {
	m, err := s.KMS.DescribeKey(ctx, r.ID)
	if err != nil {
		return Key{}, err
	}
	if err := do(ctx, m.ID); err != nil {
		return Key{}, err
	}
	return s.KeyDescribe(ctx, KeyID{m.ID})
}

// AliasList lists all aliases by name; Target is a key id.
func (s *Service) AliasList(ctx context.Context, _ Nothing) ([]Alias, error) {
	all, err := s.aliases(ctx, "")
	out := make([]Alias, len(all))
	for i, a := range all {
		out[i] = Alias{a.Name, a.TargetKeyID}
	}
	return out, err
}

// AliasSet takes any form of key id as target.
func (s *Service) AliasSet(ctx context.Context, r Alias) (Alias, error) {
	m, err := s.KMS.DescribeKey(ctx, r.Target)
	if err != nil {
		return Alias{}, err
	}
	err = s.KMS.CreateAlias(ctx, r.Name, m.ID)
	if errors.Is(err, kms.AlreadyExistsException) {
		err = s.KMS.UpdateAlias(ctx, r.Name, m.ID)
	}
	return Alias{r.Name, m.ID}, err
}

// AliasRemove removes a name; its key stays.
func (s *Service) AliasRemove(ctx context.Context, r AliasName) (Nothing, error) {
	return Nothing{}, s.KMS.DeleteAlias(ctx, r.Name)
}

func (s *Service) aliases(ctx context.Context, keyID string) ([]kms.Alias, error) {
	var out []kms.Alias
	for after := ""; ; {
		page, err := s.KMS.ListAliases(ctx, keyID, after, pageSize)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Aliases...)
		if after = page.Next; after == "" {
			return out, nil
		}
	}
}

func (s *Service) aliasesByKey(ctx context.Context) (map[string][]string, error) {
	all, err := s.aliases(ctx, "")
	names := map[string][]string{}
	for _, a := range all {
		names[a.TargetKeyID] = append(names[a.TargetKeyID], a.Name)
	}
	return names, err
}

func keyOf(m kms.KeyMetadata, aliases []string) Key {
	if aliases == nil {
		aliases = []string{}
	}
	return Key{ID: m.ID, ARN: m.ARN, Aliases: aliases, State: m.State, Created: m.Created, Description: m.Description,
		DeletionDate: m.DeletionDate, Usage: m.Usage, Spec: m.Spec, Origin: m.Origin, Manager: m.Manager, MaterialID: m.MaterialID}
}
