package kms

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ExternalAlias is the alias of the key for aws:kms without a key id, where keys are in another service: [ManagedAlias] is S3's there.
const ExternalAlias = "alias/kmsfs-s3"

// defaultKeyDescription is AWS's words for the managed key.
const defaultKeyDescription = "Default key that protects my S3 objects when no other key is defined"

// defaultKey is the key for aws:kms without a key id.
type defaultKey struct {
	id      string
	managed bool       // it stands in for ManagedAlias
	make    bool       // when it is missing
	making  sync.Mutex // held while it is made
}

func newDefaultKey(o Options) *defaultKey {
	d := &defaultKey{id: o.DefaultKey, managed: o.External}
	switch {
	case d.id == "" && o.External:
		d.id, d.make = ExternalAlias, true
	case d.id == "":
		d.id = ManagedAlias
	}
	return d
}

// orDefault is the key to use for keyID.
func (s *Service) orDefault(keyID string) string {
	if keyID == "" || keyID == ManagedAlias && s.defaultKey.managed {
		return s.defaultKey.id
	}
	return keyID
}

// makeDefaultKey makes a customer managed key with the alias of the default key. Another process may do so at the same time.
func (s *Service) makeDefaultKey(ctx context.Context) (KeyMetadata, error) {
	s.defaultKey.making.Lock()
	defer s.defaultKey.making.Unlock()
	if m, err := s.backend.DescribeKey(ctx, s.defaultKey.id); !errors.Is(err, NotFoundException) {
		return m, err // made meanwhile
	}
	in := CreateKeyInput{Description: defaultKeyDescription}
	if err := in.complete(); err != nil {
		return KeyMetadata{}, err
	}
	m, err := s.backend.CreateKey(ctx, in)
	if err = s.record(ctx, Event{Operation: OpCreateKey, KeyARN: m.ARN}, err); err != nil {
		return KeyMetadata{}, s.noDefaultKey(err)
	}
	err = s.backend.CreateAlias(ctx, s.defaultKey.id, m.ARN)
	if err = s.record(ctx, Event{Operation: OpCreateAlias, KeyARN: m.ARN, Alias: s.defaultKey.id}, err); err == nil {
		return m, nil
	}
	const soonest = 7 // days
	_, undo := s.backend.ScheduleKeyDeletion(ctx, m.ARN, soonest)
	undo = s.record(ctx, Event{Operation: OpScheduleKeyDeletion, KeyARN: m.ARN}, undo)
	if errors.Is(err, AlreadyExistsException) {
		return s.backend.DescribeKey(ctx, s.defaultKey.id)
	}
	return KeyMetadata{}, s.noDefaultKey(errors.Join(err, undo))
}

func (s *Service) noDefaultKey(err error) error {
	return &Error{Code: CodeOf(err), Message: fmt.Sprintf("There is no key %s for aws:kms without a key id, and it could not be made; "+
		"name a key with user.sse-kms-key-id, or set kms.default-key", s.defaultKey.id), Err: err}
}
