package kms

import "context"

// LocalPolicies is the capability of a [Backend] whose keys are somewhere else, under one credential: policies of this store that
// tell its users apart. They are asked before the other service is.
type LocalPolicies interface {
	// LocalPolicy is the document for a key; "" where there is none.
	LocalPolicy(keyARN string) string
	// PutLocalPolicy replaces the policy of m's key; "" removes it. Error: [MalformedPolicyException].
	PutLocalPolicy(ctx context.Context, m KeyMetadata, document string) error
}

// LocalPolicy is the policy of this store for a key of another service; "" where there is none.
//
// Errors: [UnsupportedOperationException] where the keys are this store's own, those of the key id.
func (s *Service) LocalPolicy(ctx context.Context, keyID string) (keyARN, document string, err error) {
	p, m, err := s.localPolicies(ctx, keyID)
	if err != nil {
		return "", "", err
	}
	return m.ARN, p.LocalPolicy(m.ARN), nil
}

// PutLocalPolicy replaces the policy of this store for a key of another service; "" removes it. It is for who owns the store:
// nobody is asked. It acts at once, on cached bucket-level keys too.
//
// Errors: those of LocalPolicy, [MalformedPolicyException].
func (s *Service) PutLocalPolicy(ctx context.Context, keyID, document string) (keyARN string, err error) {
	p, m, err := s.localPolicies(ctx, keyID)
	if err == nil {
		err = p.PutLocalPolicy(ctx, m, document)
		s.bucketKeys.drop()
	}
	return m.ARN, s.record(ctx, Event{Operation: OpPutKeyPolicy, KeyARN: s.known(m.ARN, keyID)}, err)
}

func (s *Service) localPolicies(ctx context.Context, keyID string) (LocalPolicies, KeyMetadata, error) {
	p, ok := s.backend.(LocalPolicies)
	if !ok {
		return nil, KeyMetadata{}, Errorf(UnsupportedOperationException, "The keys are this store's own, so their own policies decide.")
	}
	if err := validateKeyID(keyID); err != nil {
		return nil, KeyMetadata{}, err
	}
	m, err := s.backend.DescribeKey(ctx, keyID)
	return p, m, err
}

// admitOpened decides about the key that a blob turned out to be of, where nobody could tell before.
func (s *Service) admitOpened(ctx context.Context, q question, keyARN string) error {
	if _, ok := s.backend.(LocalPolicies); !ok || q.keyID != "" {
		return nil
	}
	q.keyID, q.blob = keyARN, nil
	_, err := s.authorize(ctx, &q)
	return err
}
