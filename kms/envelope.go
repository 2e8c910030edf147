package kms

import (
	"context"
	"crypto/rand"
	"maps"
	"strings"
)

// The algorithms of server-side encryption, as x-amz-server-side-encryption spells them.
const (
	SSES3   = "AES256"
	SSEKMS  = "aws:kms"
	SSEDSSE = "aws:kms:dsse"
)

// labelBucketKey is of [Seal].
const labelBucketKey = "kmsfs bucket key wrap v1"

// Envelope says how the data key of one content is wrapped. It is stored with the version and holds no secret.
type Envelope struct {
	Algorithm   string
	KeyARN      string // empty for AES256
	BucketKey   bool
	Context     Context // the client's pairs, as sent
	ResourceARN string  // the aws:s3:arn that was used: of the object, or of the bucket with a bucket key
	Blob        []byte  // the data key, or with a bucket key the bucket-level key, as ciphertext blob; AES256: sealed by the service key
	Wrapped     []byte  // with a bucket key: the data key, sealed by the bucket-level key
}

// EnvelopeRequest says how a data key shall be wrapped. KeyID has any form; "" is the default key.
// BucketKey is ignored but with aws:kms, as S3 does.
type EnvelopeRequest struct {
	Algorithm            string
	KeyID                string
	Context              Context
	BucketKey            bool
	BucketARN, ObjectARN string
}

// usesBucketKey: bucket keys exist for aws:kms only.
func (r EnvelopeRequest) usesBucketKey() bool { return r.BucketKey && r.Algorithm == SSEKMS }

func (r EnvelopeRequest) resource() string {
	if r.usesBucketKey() {
		return r.BucketARN
	}
	return r.ObjectARN
}

// dataKeySize is 32, or 64 for the two layers of DSSE.
func dataKeySize(algorithm string) (int, error) {
	switch algorithm {
	case SSES3, SSEKMS:
		return KeySize, nil
	case SSEDSSE:
		return 2 * KeySize, nil
	}
	return 0, Errorf(ValidationException, "The encryption algorithm %q is unknown. Use %s, %s or %s.", algorithm, SSES3, SSEKMS, SSEDSSE)
}

// NewDataKey makes a data key and its envelope. With aws:kms and aws:kms:dsse that is one GenerateDataKey for the
// caller, but with a bucket key only one in each lifetime. The caller of NewDataKey wipes the key.
//
// Errors: the provider's, and [ValidationException] for a context that names another resource.
func (s *Service) NewDataKey(ctx context.Context, r EnvelopeRequest) ([]byte, Envelope, error) {
	if r.Algorithm == SSEKMS || r.Algorithm == SSEDSSE {
		return s.newKMSDataKey(forObject(ctx, r.ObjectARN), r)
	}
	if _, err := dataKeySize(r.Algorithm); err != nil {
		return nil, Envelope{}, err
	}
	key := make([]byte, KeySize)
	rand.Read(key)
	env, err := s.wrapByService(key)
	if err != nil {
		return nil, Envelope{}, err
	}
	return key, env, nil
}

func (s *Service) newKMSDataKey(ctx context.Context, r EnvelopeRequest) ([]byte, Envelope, error) {
	env, full, err := s.newEnvelope(ctx, r, OpGenerateDataKey)
	if err != nil {
		return nil, Envelope{}, err
	}
	if env.BucketKey {
		key := make([]byte, KeySize)
		rand.Read(key)
		if err := s.wrapByBucketKey(ctx, &env, full, r.KeyID, key); err != nil {
			return nil, Envelope{}, err
		}
		return key, env, nil
	}
	size, err := dataKeySize(r.Algorithm)
	if err != nil {
		return nil, Envelope{}, err
	}
	k, err := s.generateAs(ctx, GenerateDataKeyInput{KeyID: s.orDefault(r.KeyID), Context: full, Bytes: size}, true)
	if err != nil {
		return nil, Envelope{}, err
	}
	env.KeyARN, env.Blob = k.KeyARN, k.Blob
	return k.Plaintext, env, nil
}

// newEnvelope fills in what is known before the provider is asked. A context that is refused is a failed use of the
// key, for op, and recorded.
func (s *Service) newEnvelope(ctx context.Context, r EnvelopeRequest, op Operation) (Envelope, Context, error) {
	env := Envelope{Algorithm: r.Algorithm, BucketKey: r.usesBucketKey(), Context: r.Context.Clone(), ResourceARN: r.resource()}
	err := r.Context.Validate()
	var full Context
	if err == nil {
		full, err = r.Context.full(env.ResourceARN)
	}
	if err != nil {
		return Envelope{}, nil, s.record(ctx, Event{Operation: op, KeyARN: s.arn(s.orDefault(r.KeyID))}, err)
	}
	return env, full, nil
}

// forObject names the object in the audit record, unless the caller named a file himself.
func forObject(ctx context.Context, arn string) context.Context {
	c := CallerFrom(ctx)
	if c.Path != "" || arn == "" {
		return ctx
	}
	c.Path = strings.TrimPrefix(arn, BucketARN(""))
	return WithCaller(ctx, c)
}

// OpenDataKey unwraps the data key of env for ctx's caller: one Decrypt, or with a bucket key one in each lifetime.
// The caller of OpenDataKey wipes the key.
//
// Errors: the provider's; [InvalidCiphertextException] for an envelope that was altered.
func (s *Service) OpenDataKey(ctx context.Context, env Envelope) ([]byte, error) {
	size, err := dataKeySize(env.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := s.unwrap(ctx, env)
	if err != nil {
		return nil, err
	}
	if len(key) != size {
		Wipe(key)
		return nil, &Error{Code: InvalidCiphertextException, Err: errDataKeySize}
	}
	return key, nil
}

func (s *Service) unwrap(ctx context.Context, env Envelope) ([]byte, error) {
	if env.Algorithm == SSES3 {
		return s.openByService(env)
	}
	ctx = forObject(ctx, env.ResourceARN)
	full, err := env.Context.full(env.ResourceARN)
	if err != nil {
		return nil, s.record(ctx, Event{Operation: OpDecrypt, KeyARN: env.KeyARN}, err)
	}
	if env.BucketKey {
		return s.openByBucketKey(ctx, env, full)
	}
	p, err := s.decryptAs(ctx, DecryptInput{KeyID: env.KeyARN, Context: full, Blob: env.Blob}, true)
	return p.Bytes, err
}

// RewrapDataKey wraps the data key of env anew, as to says. Between two plain KMS envelopes it is one ReEncrypt and
// the key stays inside the provider; else the key is opened and wrapped here.
//
// Errors: those of OpenDataKey and NewDataKey; [ValidationException] when the data key has not the size that
// to.Algorithm needs (aws:kms:dsse has two layers), for then the content must be encrypted anew.
func (s *Service) RewrapDataKey(ctx context.Context, env Envelope, to EnvelopeRequest) (Envelope, error) {
	if err := sameSize(env.Algorithm, to.Algorithm); err != nil {
		return Envelope{}, err
	}
	if env.Algorithm != SSES3 && to.Algorithm != SSES3 && !env.BucketKey && !to.usesBucketKey() {
		return s.reEncryptEnvelope(forObject(ctx, to.ObjectARN), env, to)
	}
	key, err := s.OpenDataKey(ctx, env)
	if err != nil {
		return Envelope{}, err
	}
	defer Wipe(key)
	return s.wrap(ctx, key, to)
}

func sameSize(from, to string) error {
	a, err := dataKeySize(from)
	if err != nil {
		return err
	}
	b, err := dataKeySize(to)
	if err != nil {
		return err
	}
	if a != b {
		return Errorf(ValidationException, "A data key of %s cannot be wrapped for %s: the number of encryption layers differs. Use reencrypt instead of rewrap.", from, to)
	}
	return nil
}

func (s *Service) reEncryptEnvelope(ctx context.Context, env Envelope, to EnvelopeRequest) (Envelope, error) {
	out, full, err := s.newEnvelope(ctx, to, OpReEncrypt)
	if err != nil {
		return Envelope{}, err
	}
	source, err := env.Context.full(env.ResourceARN)
	if err != nil {
		return Envelope{}, s.record(ctx, Event{Operation: OpReEncrypt, KeyARN: s.arn(s.orDefault(to.KeyID)), SourceKeyARN: env.KeyARN}, err)
	}
	r, err := s.reEncryptAs(ctx, ReEncryptInput{
		Blob: env.Blob, SourceKeyID: env.KeyARN, SourceContext: source, KeyID: s.orDefault(to.KeyID), Context: full,
	}, true)
	if err != nil {
		return Envelope{}, err
	}
	out.KeyARN, out.Blob = r.KeyARN, r.Blob
	return out, nil
}

// wrap makes the envelope of an existing data key.
func (s *Service) wrap(ctx context.Context, key []byte, to EnvelopeRequest) (Envelope, error) {
	if to.Algorithm == SSES3 {
		return s.wrapByService(key)
	}
	env, full, err := s.newEnvelope(ctx, to, OpEncrypt)
	if err != nil {
		return Envelope{}, err
	}
	if env.BucketKey {
		err := s.wrapByBucketKey(ctx, &env, full, to.KeyID, key)
		return env, err
	}
	c, err := s.encryptAs(ctx, EncryptInput{KeyID: s.orDefault(to.KeyID), Context: full, Plaintext: key}, true)
	env.KeyARN, env.Blob = c.KeyARN, c.Blob
	return env, err
}

// Clone is an independent copy.
func (e Envelope) Clone() Envelope {
	e.Context = maps.Clone(e.Context)
	e.Blob = append([]byte(nil), e.Blob...)
	e.Wrapped = append([]byte(nil), e.Wrapped...)
	return e
}
