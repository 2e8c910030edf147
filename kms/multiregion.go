package kms

import "context"

// Operations on the replicas of multi-Region keys.
const (
	OpReplicateKey        Operation = "ReplicateKey"
	OpUpdatePrimaryRegion Operation = "UpdatePrimaryRegion"
)

// RefuseReplica answers ReplicateKey and UpdatePrimaryRegion as AWS does for a key that cannot have replicas, and for one that
// could: a multi-Region key is used as a key of its one Region here, as S3 uses it. It never succeeds.
//
// Errors: [UnsupportedOperationException], those of the key id, of its state, and [AccessDeniedException].
func (s *Service) RefuseReplica(ctx context.Context, op Operation, keyID string) error {
	err := validateKeyID(keyID)
	a := answer{keyARN: s.arn(keyID)}
	if err == nil {
		a, err = s.admit(ctx, &question{op: op, keyID: keyID})
	}
	if err == nil {
		err = s.refuseReplica(ctx, op, a.keyID)
	}
	return s.record(ctx, Event{Operation: op, KeyARN: a.keyARN}, err)
}

func (s *Service) refuseReplica(ctx context.Context, op Operation, keyID string) error {
	m, err := s.backend.DescribeKey(ctx, keyID)
	if err != nil {
		return err
	}
	if err := CheckState(op, m); err != nil {
		return err
	}
	if !m.MultiRegion {
		return Errorf(UnsupportedOperationException, "%s is not a multi-region primary key.", m.ARN)
	}
	return Errorf(UnsupportedOperationException, "%s is used as a single-Region key here: the operation %s is not supported by this key service.", m.ARN, op)
}
