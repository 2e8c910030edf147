package kms

import "context"

// Signing is the use of asymmetric keys and HMAC keys. A key of another usage, or an algorithm of another spec:
// [InvalidKeyUsageException].
type Signing interface {
	// Sign signs a message, or a digest of the length that the algorithm has: another one is [ValidationException].
	Sign(ctx context.Context, in SignInput) (Signature, error)
	// Verify answers the key's ARN; a signature that is not right: [KMSInvalidSignatureException].
	Verify(ctx context.Context, in SignInput, signature []byte) (keyARN string, err error)
	GenerateMac(ctx context.Context, in MacInput) (Signature, error)
	// VerifyMac answers the key's ARN; a MAC that is not right: [KMSInvalidMacException].
	VerifyMac(ctx context.Context, in MacInput, mac []byte) (keyARN string, err error)
	// GetPublicKey of a key that has none: [UnsupportedOperationException].
	GetPublicKey(ctx context.Context, keyID string) (PublicKey, error)
}

// SignInput is what is signed.
type SignInput struct {
	KeyID       string
	Message     []byte // 1 to 4096 bytes
	Digest      bool   // Message is a digest
	Algorithm   string
	GrantTokens []string // for Service only, as DryRun
	DryRun      bool
}

// MacInput is what a MAC is made of.
type MacInput struct {
	KeyID       string
	Message     []byte // 1 to 4096 bytes
	Algorithm   string
	GrantTokens []string // for Service only, as DryRun
	DryRun      bool
}

// Signature is a signature or a MAC. ECDSA's is DER, RFC 3279 section 2.2.3.
type Signature struct {
	Bytes  []byte
	KeyARN string
}

// PublicKey is the public half of a key.
type PublicKey struct {
	DER []byte // SubjectPublicKeyInfo, RFC 5280
	Key KeyMetadata
}

// Sign is [Signing.Sign], checked, authorised and audited.
func (s *Service) Sign(ctx context.Context, in SignInput) (out Signature, err error) {
	err = s.useKey(ctx, in.question(OpSign), in.Message, in.DryRun, func(id string) error {
		in.KeyID = id
		out, err = s.backend.Sign(ctx, in)
		return err
	})
	if err != nil {
		return Signature{}, err
	}
	return out, nil
}

// Verify is [Signing.Verify], checked, authorised and audited.
func (s *Service) Verify(ctx context.Context, in SignInput, signature []byte) (keyARN string, err error) {
	err = s.useKey(ctx, in.question(OpVerify), in.Message, in.DryRun, func(id string) error {
		if err := validateLength("signature", len(signature), MaxBlob); err != nil {
			return err
		}
		in.KeyID = id
		keyARN, err = s.backend.Verify(ctx, in, signature)
		return err
	})
	return keyARN, err
}

func (in *SignInput) question(op Operation) *question {
	kind := "RAW"
	if in.Digest {
		kind = "DIGEST"
	}
	return &question{op: op, keyID: in.KeyID, tokens: in.GrantTokens,
		extra: map[string]string{"kms:signingalgorithm": in.Algorithm, "kms:messagetype": kind}}
}

// GenerateMac is [Signing.GenerateMac], checked, authorised and audited.
func (s *Service) GenerateMac(ctx context.Context, in MacInput) (out Signature, err error) {
	err = s.useKey(ctx, in.question(OpGenerateMac), in.Message, in.DryRun, func(id string) error {
		in.KeyID = id
		out, err = s.backend.GenerateMac(ctx, in)
		return err
	})
	if err != nil {
		return Signature{}, err
	}
	return out, nil
}

// VerifyMac is [Signing.VerifyMac], checked, authorised and audited.
func (s *Service) VerifyMac(ctx context.Context, in MacInput, mac []byte) (keyARN string, err error) {
	err = s.useKey(ctx, in.question(OpVerifyMac), in.Message, in.DryRun, func(id string) error {
		if err := validateLength("mac", len(mac), MaxBlob); err != nil {
			return err
		}
		in.KeyID = id
		keyARN, err = s.backend.VerifyMac(ctx, in, mac)
		return err
	})
	return keyARN, err
}

func (in *MacInput) question(op Operation) *question {
	return &question{op: op, keyID: in.KeyID, tokens: in.GrantTokens, extra: map[string]string{"kms:macalgorithm": in.Algorithm}}
}

// useKey makes one cryptographic call without an encryption context.
func (s *Service) useKey(ctx context.Context, q *question, message []byte, dry bool, call func(id string) error) error {
	err := validateKeyID(q.keyID)
	if err == nil {
		err = validateLength("message", len(message), MaxPlaintext)
	}
	a := answer{keyARN: s.arn(q.keyID)}
	if err == nil {
		a, err = s.admit(ctx, q)
	}
	if err == nil {
		s.calls.Add(1)
		err = dryRun(dry, call(a.keyID))
	}
	return s.record(ctx, Event{Operation: q.op, KeyARN: a.keyARN,
		Algorithm: either(q.extra["kms:signingalgorithm"], q.extra["kms:macalgorithm"])}, err)
}

// GetPublicKey is [Signing.GetPublicKey], authorised and audited.
func (s *Service) GetPublicKey(ctx context.Context, keyID string, tokens []string) (out PublicKey, err error) {
	err = validateKeyID(keyID)
	a := answer{keyARN: s.arn(keyID)}
	if err == nil {
		a, err = s.admit(ctx, &question{op: OpGetPublicKey, keyID: keyID, tokens: tokens})
	}
	if err == nil {
		out, err = s.backend.GetPublicKey(ctx, a.keyID)
	}
	return out, s.record(ctx, Event{Operation: OpGetPublicKey, KeyARN: a.keyARN}, err)
}
