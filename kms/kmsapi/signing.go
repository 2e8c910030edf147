package kmsapi

import (
	"context"

	"kmsfs/kms"
)

type signRequest struct {
	KeyId, MessageType, SigningAlgorithm *string
	Message                              []byte
	use
}

func (r *signRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("message", r.Message != nil)
	v.required("signingAlgorithm", r.SigningAlgorithm != nil)
	v.oneOf("messageType", r.MessageType, []string{"DIGEST", "RAW", "EXTERNAL_MU"})
	v.grantTokens(r.GrantTokens)
}

func (r *signRequest) input() (kms.SignInput, error) {
	if text(r.MessageType) == "EXTERNAL_MU" {
		return kms.SignInput{}, unsupported("MessageType EXTERNAL_MU")
	}
	return kms.SignInput{KeyID: *r.KeyId, Message: r.Message, Digest: text(r.MessageType) == "DIGEST", Algorithm: *r.SigningAlgorithm,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun}, nil
}

type signAnswer struct {
	KeyId            string
	Signature        []byte
	SigningAlgorithm string
}

func sign(ctx context.Context, s *kms.Service, in *signRequest) (*signAnswer, error) {
	q, err := in.input()
	if err != nil {
		return nil, err
	}
	out, err := s.Sign(ctx, q)
	if err != nil {
		return nil, err
	}
	return &signAnswer{KeyId: out.KeyARN, Signature: out.Bytes, SigningAlgorithm: q.Algorithm}, nil
}

type verifyRequest struct {
	signRequest
	Signature []byte
}

func (r *verifyRequest) check(v *violations) {
	r.signRequest.check(v)
	v.required("signature", r.Signature != nil)
}

type verifyAnswer struct {
	KeyId            string
	SignatureValid   bool
	SigningAlgorithm string
}

func verify(ctx context.Context, s *kms.Service, in *verifyRequest) (*verifyAnswer, error) {
	q, err := in.input()
	if err != nil {
		return nil, err
	}
	arn, err := s.Verify(ctx, q, in.Signature)
	if err != nil {
		return nil, err
	}
	return &verifyAnswer{KeyId: arn, SignatureValid: true, SigningAlgorithm: q.Algorithm}, nil
}

type macRequest struct {
	KeyId, MacAlgorithm *string
	Message             []byte
	use
}

func (r *macRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("message", r.Message != nil)
	v.required("macAlgorithm", r.MacAlgorithm != nil)
	v.grantTokens(r.GrantTokens)
}

func (r *macRequest) input() kms.MacInput {
	return kms.MacInput{KeyID: *r.KeyId, Message: r.Message, Algorithm: *r.MacAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun}
}

type macAnswer struct {
	KeyId        string
	Mac          []byte
	MacAlgorithm string
}

func generateMac(ctx context.Context, s *kms.Service, in *macRequest) (*macAnswer, error) {
	out, err := s.GenerateMac(ctx, in.input())
	if err != nil {
		return nil, err
	}
	return &macAnswer{KeyId: out.KeyARN, Mac: out.Bytes, MacAlgorithm: *in.MacAlgorithm}, nil
}

type verifyMacRequest struct {
	macRequest
	Mac []byte
}

func (r *verifyMacRequest) check(v *violations) {
	r.macRequest.check(v)
	v.required("mac", r.Mac != nil)
}

type verifyMacAnswer struct {
	KeyId        string
	MacAlgorithm string
	MacValid     bool
}

func verifyMac(ctx context.Context, s *kms.Service, in *verifyMacRequest) (*verifyMacAnswer, error) {
	arn, err := s.VerifyMac(ctx, in.input(), in.Mac)
	if err != nil {
		return nil, err
	}
	return &verifyMacAnswer{KeyId: arn, MacAlgorithm: *in.MacAlgorithm, MacValid: true}, nil
}

type publicKeyAnswer struct {
	CustomerMasterKeySpec string
	EncryptionAlgorithms  []string `json:",omitempty"`
	KeyId                 string
	KeySpec               string
	KeyUsage              string
	PublicKey             []byte
	SigningAlgorithms     []string `json:",omitempty"`
}

func getPublicKey(ctx context.Context, s *kms.Service, in *keyRequest) (*publicKeyAnswer, error) {
	p, err := s.GetPublicKey(ctx, *in.KeyId, in.GrantTokens)
	if err != nil {
		return nil, err
	}
	return &publicKeyAnswer{CustomerMasterKeySpec: p.Key.Spec, EncryptionAlgorithms: p.Key.EncryptionAlgorithms(), KeyId: p.Key.ARN, KeySpec: p.Key.Spec,
		KeyUsage: p.Key.Usage, PublicKey: p.DER, SigningAlgorithms: p.Key.SigningAlgorithms()}, nil
}
