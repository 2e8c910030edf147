package kms

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBucketKeyLifetime is how long a bucket-level key is used before the provider is asked again.
const DefaultBucketKeyLifetime = 5 * time.Minute

// Options sets a Service up. The zero value works, without audit and without SSE-S3.
type Options struct {
	Audit Auditor // nil: nothing is recorded; for tests
	// ServiceKeys wrap the data keys of SSE-S3 (AES256), by version: 32 random bytes each. The highest version wraps, all of
	// them open. Copied.
	ServiceKeys map[uint32][]byte
	// BucketKeyLifetime is how long a bucket-level key is cached; 0: [DefaultBucketKeyLifetime].
	BucketKeyLifetime time.Duration
	Region, Account   string           // "": [DefaultRegion], [DefaultAccount]
	Now               func() time.Time // nil: time.Now
	// Principal names the user of a uid that comes without a name, as an IAM ARN; "" or nil: uid 0 and this process's own
	// are the account's root user, others have their login name.
	Principal func(uid uint32) string
	Quotas    Quotas // nil: none
	// DefaultKey is for aws:kms without a key id: any form of one; "": [ManagedAlias].
	DefaultKey string
	// External: the keys are another service's, where [ManagedAlias] is its own S3's. DefaultKey stands in for that, and "" is
	// [ExternalAlias], whose key is made when it is missing.
	External bool
}

// Service is the key service as its users see it. It may be used concurrently.
type Service struct {
	backend    Backend
	audit      Auditor
	names      Namer
	bucketKeys *bucketKeys
	now        func() time.Time
	principals *principals
	quotas     *buckets
	uses       *lastUses
	defaultKey *defaultKey
	viaS3      string // kms:ViaService of uses by S3
	calls      atomic.Int64

	mu          sync.RWMutex // guards serviceKeys
	serviceKeys serviceKeys
}

// NewService serves b's keys. Close wipes what it caches; the backend stays the caller's.
func NewService(b Backend, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BucketKeyLifetime == 0 {
		o.BucketKeyLifetime = DefaultBucketKeyLifetime
	}
	names := NewNamer(o.Region, o.Account)
	return &Service{
		backend:     b,
		audit:       o.Audit,
		names:       names,
		principals:  newPrincipals(names.Account, o.Principal),
		quotas:      newBuckets(o.Quotas, o.Now),
		uses:        newLastUses(o.Now()),
		defaultKey:  newDefaultKey(o),
		viaS3:       "s3." + names.Region + ".amazonaws.com",
		serviceKeys: newServiceKeys(o.ServiceKeys),
		bucketKeys:  newBucketKeys(o.BucketKeyLifetime, o.Now),
		now:         o.Now,
	}
}

// Close wipes cached bucket-level keys and the service keys. The service is not to be used afterwards: SSE-S3 is refused.
func (s *Service) Close() error {
	s.bucketKeys.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serviceKeys.wipe()
	return nil
}

// Calls counts the cryptographic calls to the provider since the start, failed ones included.
func (s *Service) Calls() int64 { return s.calls.Load() }

// record writes the audit record of an operation that ended with err, and returns err. When it cannot be written
// the operation is refused: the caller must then not hand out what it got.
func (s *Service) record(ctx context.Context, e Event, err error) error {
	e.Time = s.now()
	if err == nil {
		s.uses.note(&e)
	}
	if s.audit == nil {
		return err
	}
	e.Caller = CallerFrom(ctx)
	e.Caller.Principal = s.principals.of(e.Caller)
	if err != nil {
		e.setError(err)
	}
	rerr := s.audit.Record(e)
	switch {
	case rerr == nil:
		return err
	case err != nil:
		return errors.Join(err, rerr)
	}
	return &Error{
		Code:    KMSInternalException,
		Message: fmt.Sprintf("%s is refused because its audit record could not be written", e.Operation),
		Err:     rerr,
	}
}

// named names the caller, for a provider that notes who asked.
func (s *Service) named(ctx context.Context) context.Context {
	c := CallerFrom(ctx)
	c.Principal = s.principals.of(c)
	return WithCaller(ctx, c)
}

// arn is the ARN that keyID stands for, without asking the provider; what cannot be parsed stays as it is.
func (s *Service) arn(keyID string) string {
	if keyID == "" {
		return ""
	}
	ref, err := s.names.Parse(keyID)
	if err != nil {
		return keyID
	}
	return s.names.ARN(ref)
}

// known is the ARN that the provider answered, or else what was asked for.
func (s *Service) known(answered, asked string) string {
	if answered != "" {
		return answered
	}
	return s.arn(asked)
}

// ResolveKey finds the key behind any form of key id, "" meaning the default key, and checks that S3 can encrypt with
// it. Whether the caller may, is decided when he does, because the encryption context counts. Only a refusal is recorded.
//
// Errors: [NotFoundException], [InvalidKeyUsageException], [DisabledException], [KMSInvalidStateException].
func (s *Service) ResolveKey(ctx context.Context, keyID string) (KeyMetadata, error) {
	keyID = s.orDefault(keyID)
	m, err := KeyMetadata{}, validateKeyID(keyID)
	if err == nil {
		m, err = s.backend.DescribeKey(ctx, keyID)
	}
	if s.defaultKey.make && keyID == s.defaultKey.id && errors.Is(err, NotFoundException) {
		m, err = s.makeDefaultKey(ctx)
	}
	if err == nil {
		err = CheckUse(OpGenerateDataKey, m)
	}
	if err != nil {
		return KeyMetadata{}, s.record(ctx, Event{Operation: OpDescribeKey, KeyARN: s.known(m.ARN, keyID)}, err)
	}
	return m, nil
}
