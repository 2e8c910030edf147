package local

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"

	"kmsfs/kms"
)

const labelMAC = "kmsfs kms hmac v1"

// useFor runs fn with the key under the read lock, once the key may be used for op with an algorithm.
func (p *Provider) useFor(ctx context.Context, op kms.Operation, keyID, algorithm string, fn func(*key) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ref, err := p.names.Parse(keyID)
	if err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.find(ref)
	if err != nil {
		return err
	}
	if err := kms.CheckAlgorithm(op, p.metadata(k), algorithm); err != nil {
		return err
	}
	return fn(k)
}

// Sign is kms.Signing's.
func (p *Provider) Sign(ctx context.Context, in kms.SignInput) (out kms.Signature, err error) {
	err = p.useFor(ctx, kms.OpSign, in.KeyID, in.Algorithm, func(k *key) error {
		message, opts, err := toSign(in)
		if err != nil {
			return err
		}
		out.KeyARN = k.info.ARN
		if out.Bytes, err = k.pair.Sign(rand.Reader, message, opts); err != nil {
			return &kms.Error{Code: kms.KMSInternalException, Message: "The message could not be signed", Err: err}
		}
		return nil
	})
	return out, err
}

// hashOf is the hash in an algorithm's name.
func hashOf(algorithm string) crypto.Hash {
	switch {
	case strings.HasSuffix(algorithm, "_384"):
		return crypto.SHA384
	case strings.HasSuffix(algorithm, "_512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

// toSign is what the private key signs, and how. The algorithm is one that the key has.
func toSign(in kms.SignInput) ([]byte, crypto.SignerOpts, error) {
	h := hashOf(in.Algorithm)
	if in.Algorithm == "ED25519_SHA_512" { // hashes for itself
		if in.Digest {
			return nil, nil, kms.Errorf(kms.ValidationException, "The algorithm ED25519_SHA_512 signs messages of type RAW only.")
		}
		return in.Message, &ed25519.Options{}, nil
	}
	digest := in.Message
	if !in.Digest {
		digest = sum(h, in.Message)
	}
	if len(digest) != h.Size() {
		return nil, nil, kms.Errorf(kms.ValidationException, "Digest is invalid length for algorithm %s.", in.Algorithm)
	}
	switch {
	case in.Algorithm == "ED25519_PH_SHA_512":
		return digest, &ed25519.Options{Hash: crypto.SHA512}, nil
	case strings.HasPrefix(in.Algorithm, "RSASSA_PSS_"):
		return digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}, nil
	}
	return digest, h, nil
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// Verify is kms.Signing's.
func (p *Provider) Verify(ctx context.Context, in kms.SignInput, signature []byte) (keyARN string, err error) {
	err = p.useFor(ctx, kms.OpVerify, in.KeyID, in.Algorithm, func(k *key) error {
		message, opts, err := toSign(in)
		if err != nil {
			return err
		}
		keyARN = k.info.ARN
		if !verifies(k.pair.Public(), message, signature, opts) {
			return &kms.Error{Code: kms.KMSInvalidSignatureException}
		}
		return nil
	})
	return keyARN, err
}

func verifies(public crypto.PublicKey, message, signature []byte, opts crypto.SignerOpts) bool {
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(pub, pss.Hash, message, signature, pss) == nil
		}
		return rsa.VerifyPKCS1v15(pub, opts.HashFunc(), message, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, message, signature)
	case ed25519.PublicKey:
		return ed25519.VerifyWithOptions(pub, message, signature, opts.(*ed25519.Options)) == nil
	}
	return false
}

// GenerateMac is kms.Signing's.
func (p *Provider) GenerateMac(ctx context.Context, in kms.MacInput) (out kms.Signature, err error) {
	err = p.useFor(ctx, kms.OpGenerateMac, in.KeyID, in.Algorithm, func(k *key) error {
		out = kms.Signature{Bytes: k.mac(in.Message), KeyARN: k.info.ARN}
		return nil
	})
	return out, err
}

// VerifyMac is kms.Signing's.
func (p *Provider) VerifyMac(ctx context.Context, in kms.MacInput, mac []byte) (keyARN string, err error) {
	err = p.useFor(ctx, kms.OpVerifyMac, in.KeyID, in.Algorithm, func(k *key) error {
		keyARN = k.info.ARN
		if !hmac.Equal(k.mac(in.Message), mac) {
			return &kms.Error{Code: kms.KMSInvalidMacException}
		}
		return nil
	})
	return keyARN, err
}

// mac is the MAC of message under a key of the hash's size, which is derived from the material.
func (k *key) mac(message []byte) []byte {
	var h func() hash.Hash
	switch k.info.Spec {
	case kms.SpecHMAC224:
		h = sha256.New224
	case kms.SpecHMAC256:
		h = sha256.New
	case kms.SpecHMAC384:
		h = sha512.New384
	default:
		h = sha512.New
	}
	secret, err := hkdf.Expand(sha256.New, k.current().secret[:], labelMAC+string(k.rawID[:]), h().Size())
	if err != nil {
		panic("kms/local: internal error: " + err.Error())
	}
	defer kms.Wipe(secret)
	m := hmac.New(h, secret)
	m.Write(message)
	return m.Sum(nil)
}

// GetPublicKey is kms.Signing's.
func (p *Provider) GetPublicKey(ctx context.Context, keyID string) (kms.PublicKey, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return kms.PublicKey{}, err
	}
	m := k.described()
	if !k.asymmetric() {
		return kms.PublicKey{}, kms.Errorf(kms.UnsupportedOperationException, "%s key spec is %s which is not valid for GetPublicKey.", m.ARN, m.Spec)
	}
	if err := kms.CheckState(kms.OpGetPublicKey, m); err != nil {
		return kms.PublicKey{}, err
	}
	return kms.PublicKey{DER: bytes.Clone(k.info.Public), Key: m}, nil
}

// encryptRSA is Encrypt with an RSA key: the encryption context cannot be authenticated, so there must be none.
func (p *Provider) encryptRSA(ctx context.Context, in kms.EncryptInput) (out kms.Ciphertext, err error) {
	err = p.useFor(ctx, kms.OpEncrypt, in.KeyID, in.Algorithm, func(k *key) error {
		if err := withoutContext(in.Context, in.Algorithm); err != nil {
			return err
		}
		out.KeyARN = k.info.ARN
		out.Blob, err = rsa.EncryptOAEP(oaepHash(in.Algorithm), rand.Reader, k.pair.Public().(*rsa.PublicKey), in.Plaintext, nil)
		if err != nil {
			return kms.Errorf(kms.ValidationException, "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.",
				in.Algorithm, k.info.Spec, k.pair.Public().(*rsa.PublicKey).Size()-2*oaepHash(in.Algorithm).Size()-2)
		}
		return nil
	})
	return out, err
}

// decryptRSA is Decrypt with an RSA key, which the ciphertext does not name.
func (p *Provider) decryptRSA(ctx context.Context, in kms.DecryptInput) (out kms.Plaintext, err error) {
	if in.KeyID == "" {
		return out, kms.Errorf(kms.ValidationException, "KeyId is needed with the algorithm %s: the ciphertext does not name its key.", in.Algorithm)
	}
	err = p.useFor(ctx, kms.OpDecrypt, in.KeyID, in.Algorithm, func(k *key) error {
		if err := withoutContext(in.Context, in.Algorithm); err != nil {
			return err
		}
		plaintext, err := rsa.DecryptOAEP(oaepHash(in.Algorithm), nil, k.pair.(*rsa.PrivateKey), in.Blob, nil)
		if err != nil {
			return &kms.Error{Code: kms.InvalidCiphertextException}
		}
		out = kms.Plaintext{Bytes: plaintext, KeyARN: k.info.ARN}
		return nil
	})
	return out, err
}

func withoutContext(c kms.Context, algorithm string) error {
	if len(c) > 0 {
		return kms.Errorf(kms.ValidationException, "The algorithm %s takes no encryption context.", algorithm)
	}
	return nil
}

func oaepHash(algorithm string) hash.Hash {
	if strings.HasSuffix(algorithm, "_SHA_1") {
		return sha1.New() // the algorithm is AWS's; OAEP does not need a hash without collisions
	}
	return sha256.New()
}
