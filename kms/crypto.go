package kms

import (
	"context"
)

// Limits of AWS KMS, in bytes.
const (
	MaxPlaintext = 4096
	MaxBlob      = 6144
	MaxDataKey   = 1024
	maxKeyID     = 2048
)

// GenerateDataKey is [Crypto.GenerateDataKey], checked and audited.
func (s *Service) GenerateDataKey(ctx context.Context, in GenerateDataKeyInput) (DataKey, error) {
	op := OpGenerateDataKey
	if in.WithoutPlaintext {
		op = OpGenerateWithoutPlaintext
	}
	out, err := s.generate(ctx, in)
	if err = s.record(ctx, Event{Operation: op, KeyARN: s.known(out.KeyARN, in.KeyID), Context: in.Context}, err); err != nil {
		Wipe(out.Plaintext)
		return DataKey{}, err
	}
	return out, nil
}

func (s *Service) generate(ctx context.Context, in GenerateDataKeyInput) (DataKey, error) {
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return DataKey{}, err
	}
	if err := validateRange("numberOfBytes", in.Bytes, MaxDataKey); err != nil {
		return DataKey{}, err
	}
	s.calls.Add(1)
	return s.backend.GenerateDataKey(ctx, in)
}

// Encrypt is [Crypto.Encrypt], checked and audited.
func (s *Service) Encrypt(ctx context.Context, in EncryptInput) (Ciphertext, error) {
	out, err := s.encrypt(ctx, in)
	if err = s.record(ctx, Event{Operation: OpEncrypt, KeyARN: s.known(out.KeyARN, in.KeyID), Context: in.Context}, err); err != nil {
		return Ciphertext{}, err
	}
	return out, nil
}

func (s *Service) encrypt(ctx context.Context, in EncryptInput) (Ciphertext, error) {
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return Ciphertext{}, err
	}
	if err := validateLength("plaintext", len(in.Plaintext), MaxPlaintext); err != nil {
		return Ciphertext{}, err
	}
	s.calls.Add(1)
	return s.backend.Encrypt(ctx, in)
}

// Decrypt is [Crypto.Decrypt], checked and audited.
func (s *Service) Decrypt(ctx context.Context, in DecryptInput) (Plaintext, error) {
	out, err := s.decrypt(ctx, in)
	if err = s.record(ctx, Event{Operation: OpDecrypt, KeyARN: s.known(out.KeyARN, in.KeyID), Context: in.Context}, err); err != nil {
		Wipe(out.Bytes)
		return Plaintext{}, err
	}
	return out, nil
}

func (s *Service) decrypt(ctx context.Context, in DecryptInput) (Plaintext, error) {
	if in.KeyID != "" {
		if err := validateKeyID(in.KeyID); err != nil {
			return Plaintext{}, err
		}
	}
	if err := in.Context.validate(maxFullContextSize); err != nil {
		return Plaintext{}, err
	}
	if err := validateLength("ciphertextBlob", len(in.Blob), MaxBlob); err != nil {
		return Plaintext{}, err
	}
	s.calls.Add(1)
	return s.backend.Decrypt(ctx, in)
}

// ReEncrypt is [Crypto.ReEncrypt], checked and audited as one use.
func (s *Service) ReEncrypt(ctx context.Context, in ReEncryptInput) (ReEncrypted, error) {
	out, err := s.reEncrypt(ctx, in)
	err = s.record(ctx, Event{
		Operation: OpReEncrypt, KeyARN: s.known(out.KeyARN, in.KeyID), Context: in.Context,
		SourceKeyARN: s.known(out.SourceKeyARN, in.SourceKeyID), SourceContext: in.SourceContext,
	}, err)
	if err != nil {
		return ReEncrypted{}, err
	}
	return out, nil
}

func (s *Service) reEncrypt(ctx context.Context, in ReEncryptInput) (ReEncrypted, error) {
	if in.SourceKeyID != "" {
		if err := validateKeyID(in.SourceKeyID); err != nil {
			return ReEncrypted{}, err
		}
	}
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return ReEncrypted{}, err
	}
	if err := in.SourceContext.validate(maxFullContextSize); err != nil {
		return ReEncrypted{}, err
	}
	if err := validateLength("ciphertextBlob", len(in.Blob), MaxBlob); err != nil {
		return ReEncrypted{}, err
	}
	s.calls.Add(1)
	return s.backend.ReEncrypt(ctx, in)
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
