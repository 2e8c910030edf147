package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
)

// NewKeyPair makes an RSA, ECDSA or Ed25519 key pair. Other specs, SM2 and the curve secp256k1 among them, are not in Go's
// standard library: [UnsupportedOperationException].
func NewKeyPair(spec string) (pair crypto.Signer, err error) {
	switch spec {
	case SpecRSA2048:
		pair, err = rsa.GenerateKey(rand.Reader, 2048)
	case SpecRSA3072:
		pair, err = rsa.GenerateKey(rand.Reader, 3072)
	case SpecRSA4096:
		pair, err = rsa.GenerateKey(rand.Reader, 4096)
	case SpecP256:
		pair, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case SpecP384:
		pair, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case SpecP521:
		pair, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case SpecEd25519:
		_, pair, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = specUnsupported(spec)
	}
	return pair, err
}

func specUnsupported(spec string) error {
	return Errorf(UnsupportedOperationException, "The key spec %s is not supported here: no implementation of it is in Go's standard library.", spec)
}

// GenerateDataKeyPairInput asks for a key pair whose private half is wrapped by a symmetric key.
type GenerateDataKeyPairInput struct {
	KeyID            string
	Spec             string
	Context          Context
	WithoutPlaintext bool
	GrantTokens      []string
	DryRun           bool
}

// DataKeyPair is a new key pair. The caller wipes Private.
type DataKeyPair struct {
	Private            []byte // PKCS #8, RFC 5958; nil when it was not asked for
	PrivateBlob        []byte // the same as a ciphertext blob, which Decrypt opens
	Public             []byte // SubjectPublicKeyInfo, RFC 5280
	KeyARN, MaterialID string
}

// GenerateDataKeyPair makes a key pair outside of the provider and wraps its private half by one Encrypt, authorised and audited.
func (s *Service) GenerateDataKeyPair(ctx context.Context, in GenerateDataKeyPairInput) (DataKeyPair, error) {
	op := OpGenerateDataKeyPair
	if in.WithoutPlaintext {
		op = OpGenerateDataKeyPairWithoutPlaintext
	}
	out, arn, err := s.dataKeyPair(ctx, op, in)
	e := Event{Operation: op, KeyARN: arn, Context: in.Context, Algorithm: in.Spec}
	if err = s.record(ctx, e, dryRun(in.DryRun, err)); err != nil {
		Wipe(out.Private)
		return DataKeyPair{}, err
	}
	return out, nil
}

func (s *Service) dataKeyPair(ctx context.Context, op Operation, in GenerateDataKeyPairInput) (out DataKeyPair, arn string, err error) {
	if err := validateUse(in.KeyID, in.Context); err != nil {
		return out, s.arn(in.KeyID), err
	}
	a, err := s.admit(ctx, &question{op: op, keyID: in.KeyID, context: in.Context, tokens: in.GrantTokens,
		extra: map[string]string{"kms:datakeypairspec": in.Spec}})
	if err != nil {
		return out, a.keyARN, err
	}
	m, err := s.backend.DescribeKey(ctx, a.keyID)
	if err == nil {
		err = CheckUse(op, m)
	}
	if err != nil || in.DryRun {
		return out, a.keyARN, err
	}
	out.MaterialID = m.MaterialID
	if err := out.make(in.Spec); err != nil {
		return DataKeyPair{}, a.keyARN, err
	}
	s.calls.Add(1)
	blob, err := s.backend.Encrypt(ctx, EncryptInput{KeyID: a.keyID, Context: in.Context, Plaintext: out.Private})
	if err != nil || in.WithoutPlaintext {
		Wipe(out.Private)
		out.Private = nil
	}
	out.PrivateBlob, out.KeyARN = blob.Blob, blob.KeyARN
	return out, either(blob.KeyARN, a.keyARN), err
}

// make fills in both halves.
func (p *DataKeyPair) make(spec string) error {
	pair, err := NewKeyPair(spec)
	if err != nil {
		return err
	}
	if p.Private, err = x509.MarshalPKCS8PrivateKey(pair); err != nil {
		return &Error{Code: KMSInternalException, Message: "The key pair could not be encoded", Err: err}
	}
	if p.Public, err = x509.MarshalPKIXPublicKey(pair.Public()); err != nil {
		return &Error{Code: KMSInternalException, Message: "The key pair could not be encoded", Err: err}
	}
	return nil
}
