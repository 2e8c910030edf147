package kms

import (
	"context"
	"errors"
	"time"
)

var (
	errDataKeySize  = errors.New("the data key has the wrong length")
	errNoServiceKey = &Error{Code: KMSInternalException, Message: "SSE-S3 (AES256) is not set up: the service has no service key, or is closed"}
)

// BucketKeyLifetime is how long a bucket-level key is used before the provider is asked again. A change of a key through this
// service ends that use at once; one that is made elsewhere, where the provider's keys are shared, shows after this time.
func (s *Service) BucketKeyLifetime() time.Duration { return s.bucketKeys.lifetime }

// wrapByBucketKey seals key by the caller's bucket-level key of keyID, which one GenerateDataKey makes when there is
// none, and completes env.
func (s *Service) wrapByBucketKey(ctx context.Context, env *Envelope, full Context, keyID string, key []byte) error {
	a, err := s.admitBucketKey(ctx, OpGenerateDataKey, s.orDefault(keyID), full)
	if err != nil {
		return err
	}
	canonical := full.Canonical()
	name := cacheName("write", s.principals.of(CallerFrom(ctx)), a.keyARN, canonical, nil)
	k, err := s.bucketKeys.get(ctx, name, func() (bucketKey, error) {
		return s.generateBucketKey(ctx, a.keyID, full)
	})
	if err != nil {
		return err
	}
	defer Wipe(k.plain[:])
	env.KeyARN, env.Blob = k.keyARN, append([]byte(nil), k.blob...)
	env.Wrapped = Seal(nil, k.plain[:], labelBucketKey, canonical, key)
	return nil
}

// admitBucketKey decides about the use of a bucket-level key, cached or not: AWS asks only when it gets one. A refusal is
// recorded as one of the operation that would get the key.
func (s *Service) admitBucketKey(ctx context.Context, op Operation, keyID string, full Context) (answer, error) {
	a, err := s.authorize(ctx, &question{op: op, keyID: keyID, context: full, viaS3: true})
	if err == nil && a.access != nil {
		err = CheckUse(op, a.access.Key)
	}
	if err != nil {
		return a, s.record(ctx, Event{Operation: op, KeyARN: a.keyARN, Context: full}, err)
	}
	if a.access == nil {
		a.keyARN = s.arn(keyID)
	}
	return a, nil
}

func (s *Service) generateBucketKey(ctx context.Context, keyID string, full Context) (bucketKey, error) {
	d, err := s.generateAs(ctx, GenerateDataKeyInput{KeyID: keyID, Context: full, Bytes: KeySize}, true)
	if err != nil {
		return bucketKey{}, err
	}
	defer Wipe(d.Plaintext)
	k := bucketKey{blob: d.Blob, keyARN: d.KeyARN}
	copy(k.plain[:], d.Plaintext)
	return k, nil
}

// openByBucketKey unwraps the data key of env by its bucket-level key, which one Decrypt opens for the caller. The
// key that a write cached is not used: a caller who may generate need not be one who may decrypt.
func (s *Service) openByBucketKey(ctx context.Context, env Envelope, full Context) ([]byte, error) {
	if _, err := s.admitBucketKey(ctx, OpDecrypt, env.KeyARN, full); err != nil {
		return nil, err
	}
	canonical := full.Canonical()
	name := cacheName("read", s.principals.of(CallerFrom(ctx)), env.KeyARN, canonical, env.Blob)
	k, err := s.bucketKeys.get(ctx, name, func() (bucketKey, error) {
		return s.decryptBucketKey(ctx, env, full)
	})
	if err != nil {
		return nil, err
	}
	defer Wipe(k.plain[:])
	key, err := Open(nil, k.plain[:], labelBucketKey, canonical, env.Wrapped)
	if err != nil {
		return nil, &Error{Code: InvalidCiphertextException, Err: err}
	}
	return key, nil
}

func (s *Service) decryptBucketKey(ctx context.Context, env Envelope, full Context) (bucketKey, error) {
	p, err := s.decryptAs(ctx, DecryptInput{KeyID: env.KeyARN, Context: full, Blob: env.Blob}, true)
	if err != nil {
		return bucketKey{}, err
	}
	defer Wipe(p.Bytes)
	if len(p.Bytes) != KeySize {
		return bucketKey{}, &Error{Code: InvalidCiphertextException, Err: errDataKeySize}
	}
	k := bucketKey{keyARN: p.KeyARN}
	copy(k.plain[:], p.Bytes)
	return k, nil
}
