package awskms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kms"
)

func kindOf(digest bool) types.MessageType {
	if digest {
		return types.MessageTypeDigest
	}
	return types.MessageTypeRaw
}

// Sign is kms.Signing's.
func (p *Provider) Sign(ctx context.Context, in kms.SignInput) (kms.Signature, error) {
	out, err := call(ctx, p, p.client.Sign, &sdk.SignInput{KeyId: &in.KeyID, Message: in.Message, MessageType: kindOf(in.Digest),
		SigningAlgorithm: types.SigningAlgorithmSpec(in.Algorithm), GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.Signature{}, err
	}
	return kms.Signature{Bytes: out.Signature, KeyARN: aws.ToString(out.KeyId)}, nil
}

// Verify is kms.Signing's.
func (p *Provider) Verify(ctx context.Context, in kms.SignInput, signature []byte) (string, error) {
	out, err := call(ctx, p, p.client.Verify, &sdk.VerifyInput{KeyId: &in.KeyID, Message: in.Message, MessageType: kindOf(in.Digest), Signature: signature,
		SigningAlgorithm: types.SigningAlgorithmSpec(in.Algorithm), GrantTokens: in.GrantTokens})
	if err != nil {
		return "", err
	}
	if !out.SignatureValid {
		return "", &kms.Error{Code: kms.KMSInvalidSignatureException}
	}
	return aws.ToString(out.KeyId), nil
}

// GenerateMac is kms.Signing's.
func (p *Provider) GenerateMac(ctx context.Context, in kms.MacInput) (kms.Signature, error) {
	out, err := call(ctx, p, p.client.GenerateMac, &sdk.GenerateMacInput{KeyId: &in.KeyID, Message: in.Message,
		MacAlgorithm: types.MacAlgorithmSpec(in.Algorithm), GrantTokens: in.GrantTokens})
	if err != nil {
		return kms.Signature{}, err
	}
	return kms.Signature{Bytes: out.Mac, KeyARN: aws.ToString(out.KeyId)}, nil
}

// VerifyMac is kms.Signing's.
func (p *Provider) VerifyMac(ctx context.Context, in kms.MacInput, mac []byte) (string, error) {
	out, err := call(ctx, p, p.client.VerifyMac, &sdk.VerifyMacInput{KeyId: &in.KeyID, Message: in.Message, Mac: mac,
		MacAlgorithm: types.MacAlgorithmSpec(in.Algorithm), GrantTokens: in.GrantTokens})
	if err != nil {
		return "", err
	}
	if !out.MacValid {
		return "", &kms.Error{Code: kms.KMSInvalidMacException}
	}
	return aws.ToString(out.KeyId), nil
}

// GetPublicKey is kms.Signing's.
func (p *Provider) GetPublicKey(ctx context.Context, keyID string) (kms.PublicKey, error) {
	out, err := call(ctx, p, p.client.GetPublicKey, &sdk.GetPublicKeyInput{KeyId: &keyID})
	if err != nil {
		return kms.PublicKey{}, err
	}
	m, err := p.DescribeKey(ctx, aws.ToString(out.KeyId))
	if err != nil {
		return kms.PublicKey{}, err
	}
	return kms.PublicKey{DER: out.PublicKey, Key: m}, nil
}
