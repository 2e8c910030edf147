package kms

import (
	"context"
	"strconv"
)

// Limits of AWS KMS, in bytes.
const (
	MaxPlaintext = 4096
	MaxBlob      = 6144
	MaxDataKey   = 1024
	maxKeyID     = 2048
)

// GenerateDataKey is [Crypto.GenerateDataKey], checked, authorised and audited.
func (s *Service) GenerateDataKey(ctx context.Context, in GenerateDataKeyInput) (DataKey, error) {
	return s.generateAs(ctx, in, false)
}

func (s *Service) generateAs(ctx context.Context, in GenerateDataKeyInput, viaS3 bool) (DataKey, error) {
	op := OpGenerateDataKey
	if in.WithoutPlaintext {
		op = OpGenerateWithoutPlaintext
	}
	q := question{op: op, keyID: in.KeyID, context: in.Context, tokens: in.GrantTokens, viaS3: viaS3}
	out, arn, err := s.generate(ctx, in, &q)
	if err = s.record(ctx, Event{Operation: op, KeyARN: arn, Context: in.Context, Bytes: in.Bytes}, dryRun(in.DryRun, err)); err != nil {
		Wipe(out.Plaintext)
		return DataKey{}, err
	}
	return out, nil
}

func (s *Service) generate(ctx context.Context, in GenerateDataKeyInput, q *question) (out DataKey, arn string, err error) {
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return out, s.arn(in.KeyID), err
	}
	if err := validateRange("numberOfBytes", in.Bytes, MaxDataKey); err != nil {
		return out, s.arn(in.KeyID), err
	}
	a, err := s.admit(ctx, q)
	if err != nil {
		return out, a.keyARN, err
	}
	s.calls.Add(1)
	in.KeyID = a.keyID
	out, err = s.backend.GenerateDataKey(ctx, in)
	return out, either(out.KeyARN, a.keyARN), err
}

// Encrypt is [Crypto.Encrypt], checked, authorised and audited.
func (s *Service) Encrypt(ctx context.Context, in EncryptInput) (Ciphertext, error) {
	return s.encryptAs(ctx, in, false)
}

func (s *Service) encryptAs(ctx context.Context, in EncryptInput, viaS3 bool) (Ciphertext, error) {
	q := question{op: OpEncrypt, keyID: in.KeyID, context: in.Context, tokens: in.GrantTokens, viaS3: viaS3, extra: algorithmKey(in.Algorithm)}
	out, arn, err := s.encrypt(ctx, in, &q)
	if err = s.record(ctx, Event{Operation: OpEncrypt, KeyARN: arn, Context: in.Context, Algorithm: in.Algorithm}, dryRun(in.DryRun, err)); err != nil {
		return Ciphertext{}, err
	}
	return out, nil
}

func (s *Service) encrypt(ctx context.Context, in EncryptInput, q *question) (out Ciphertext, arn string, err error) {
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return out, s.arn(in.KeyID), err
	}
	if err := validateLength("plaintext", len(in.Plaintext), MaxPlaintext); err != nil {
		return out, s.arn(in.KeyID), err
	}
	a, err := s.admit(ctx, q)
	if err != nil {
		return out, a.keyARN, err
	}
	s.calls.Add(1)
	in.KeyID = a.keyID
	out, err = s.backend.Encrypt(ctx, in)
	return out, either(out.KeyARN, a.keyARN), err
}

// Decrypt is [Crypto.Decrypt], checked, authorised and audited.
func (s *Service) Decrypt(ctx context.Context, in DecryptInput) (Plaintext, error) {
	return s.decryptAs(ctx, in, false)
}

func (s *Service) decryptAs(ctx context.Context, in DecryptInput, viaS3 bool) (Plaintext, error) {
	q := question{op: OpDecrypt, keyID: in.KeyID, blob: in.Blob, context: in.Context, tokens: in.GrantTokens, viaS3: viaS3, extra: algorithmKey(in.Algorithm)}
	out, arn, err := s.decrypt(ctx, in, &q)
	if err = s.record(ctx, Event{Operation: OpDecrypt, KeyARN: arn, Context: in.Context, Algorithm: in.Algorithm}, dryRun(in.DryRun, err)); err != nil {
		Wipe(out.Bytes)
		return Plaintext{}, err
	}
	return out, nil
}

func (s *Service) decrypt(ctx context.Context, in DecryptInput, q *question) (out Plaintext, arn string, err error) {
	if err := validateBlob(in.KeyID, in.Context, in.Blob); err != nil {
		return out, s.arn(in.KeyID), err
	}
	a, err := s.admit(ctx, q)
	if err != nil {
		return out, a.keyARN, err
	}
	s.calls.Add(1)
	in.KeyID = a.keyID
	if out, err = s.backend.Decrypt(ctx, in); err == nil {
		err = s.admitOpened(ctx, *q, out.KeyARN)
	}
	return out, either(out.KeyARN, a.keyARN), err
}

// validateBlob checks a ciphertext with its context; keyID may be empty.
func validateBlob(keyID string, c Context, blob []byte) error {
	if keyID != "" {
		if err := validateKeyID(keyID); err != nil {
			return err
		}
	}
	if err := c.validate(maxFullContextSize); err != nil {
		return err
	}
	return validateLength("ciphertextBlob", len(blob), MaxBlob)
}

// ReEncrypt is [Crypto.ReEncrypt], checked, authorised for both keys, and audited as one use.
func (s *Service) ReEncrypt(ctx context.Context, in ReEncryptInput) (ReEncrypted, error) {
	return s.reEncryptAs(ctx, in, false)
}

func (s *Service) reEncryptAs(ctx context.Context, in ReEncryptInput, viaS3 bool) (ReEncrypted, error) {
	e := Event{Operation: OpReEncrypt, KeyARN: s.arn(in.KeyID), Context: in.Context,
		SourceKeyARN: s.arn(in.SourceKeyID), SourceContext: in.SourceContext}
	out, err := s.reEncrypt(ctx, in, viaS3, &e)
	if err = s.record(ctx, e, dryRun(in.DryRun, err)); err != nil {
		return ReEncrypted{}, err
	}
	return out, nil
}

func (s *Service) reEncrypt(ctx context.Context, in ReEncryptInput, viaS3 bool, e *Event) (ReEncrypted, error) {
	if err := validateBlob(in.SourceKeyID, in.SourceContext, in.Blob); err != nil {
		return ReEncrypted{}, err
	}
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return ReEncrypted{}, err
	}
	if err := s.admitReEncrypt(ctx, &in, viaS3, e); err != nil {
		return ReEncrypted{}, err
	}
	s.calls.Add(1)
	out, err := s.backend.ReEncrypt(ctx, in)
	if err == nil {
		from := question{op: OpReEncryptFrom, keyID: in.SourceKeyID, context: in.SourceContext, tokens: in.GrantTokens, viaS3: viaS3}
		err = s.admitOpened(ctx, from, out.SourceKeyARN)
	}
	e.KeyARN, e.SourceKeyARN = either(out.KeyARN, e.KeyARN), either(out.SourceKeyARN, e.SourceKeyARN)
	return out, err
}

// admitReEncrypt asks for kms:ReEncryptFrom and kms:ReEncryptTo, and puts the keys that were decided about into in and e.
func (s *Service) admitReEncrypt(ctx context.Context, in *ReEncryptInput, viaS3 bool, e *Event) error {
	from := question{op: OpReEncryptFrom, keyID: in.SourceKeyID, blob: in.Blob, context: in.SourceContext, tokens: in.GrantTokens, viaS3: viaS3}
	to := question{op: OpReEncryptTo, keyID: in.KeyID, context: in.Context, tokens: in.GrantTokens, viaS3: viaS3}
	if a, err := s.backend.Access(ctx, in.SourceKeyID, in.Blob); err == nil && a != nil {
		b, err := s.backend.Access(ctx, in.KeyID, nil)
		same := err == nil && b != nil && a.Key.ARN == b.Key.ARN
		from.extra = map[string]string{"kms:reencryptonsamekey": strconv.FormatBool(same)}
		to.extra = from.extra
	}
	a, err := s.admit(ctx, &to)
	if e.KeyARN = a.keyARN; err != nil {
		return err
	}
	b, err := s.authorize(ctx, &from)
	if e.SourceKeyARN = b.keyARN; err != nil {
		return err
	}
	in.KeyID, in.SourceKeyID = a.keyID, b.keyID
	return nil
}

// dryRun turns success into AWS's answer to a request with DryRun.
func dryRun(asked bool, err error) error {
	if asked && err == nil {
		return Errorf(DryRunOperationException, "The request would have succeeded, but the DryRun option is set.")
	}
	return err
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// algorithmKey is the condition key of an algorithm that the request names; "" is symmetric encryption.
func algorithmKey(algorithm string) map[string]string {
	if algorithm == "" {
		return nil
	}
	return map[string]string{"kms:encryptionalgorithm": algorithm}
}

func validateUse(keyID string, c Context) error {
	if err := validateKeyID(keyID); err != nil {
		return err
	}
	return c.validate(maxFullContextSize)
}

func validateKeyID(keyID string) error { return validateLength("keyId", len(keyID), maxKeyID) }

// validateLength answers in AWS's words when n is not 1 to most.
func validateLength(member string, n, most int) error {
	if n < 1 {
		return Errorf(ValidationException, "1 validation error detected: Value at '%s' failed to satisfy constraint: "+
			"Member must have length greater than or equal to 1", member)
	}
	if n > most {
		return Errorf(ValidationException, "1 validation error detected: Value at '%s' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", member, most)
	}
	return nil
}

// validateRange answers in AWS's words when v is not 1 to most.
func validateRange(member string, v, most int) error {
	if v < 1 {
		return Errorf(ValidationException, "1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: "+
			"Member must have value greater than or equal to 1", v, member)
	}
	if v > most {
		return Errorf(ValidationException, "1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: "+
			"Member must have value less than or equal to %d", v, member, most)
	}
	return nil
}
