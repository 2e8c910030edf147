package local

import (
	"context"
	"crypto/rand"

	"kmsfs/kms"
)

// GenerateDataKey is kms.Crypto's.
func (p *Provider) GenerateDataKey(ctx context.Context, in kms.GenerateDataKeyInput) (kms.DataKey, error) {
	op := kms.OpGenerateDataKey
	if in.WithoutPlaintext {
		op = kms.OpGenerateWithoutPlaintext
	}
	var out kms.DataKey
	err := p.use(ctx, op, in.KeyID, func(k *key) error {
		plaintext := make([]byte, in.Bytes)
		rand.Read(plaintext)
		out = kms.DataKey{Plaintext: plaintext, Blob: sealBlob(k, in.Context, plaintext), KeyARN: k.info.ARN, MaterialID: k.current().hexID()}
		return nil
	})
	if in.WithoutPlaintext {
		kms.Wipe(out.Plaintext)
		out.Plaintext = nil
	}
	return out, err
}

// Encrypt is kms.Crypto's.
func (p *Provider) Encrypt(ctx context.Context, in kms.EncryptInput) (out kms.Ciphertext, err error) {
	if in.Algorithm != "" && in.Algorithm != kms.AlgorithmSymmetric {
		return p.encryptRSA(ctx, in)
	}
	err = p.use(ctx, kms.OpEncrypt, in.KeyID, func(k *key) error {
		out = kms.Ciphertext{Blob: sealBlob(k, in.Context, in.Plaintext), KeyARN: k.info.ARN}
		return nil
	})
	return out, err
}

// use runs fn with the key under the read lock, once the key may be used for op.
func (p *Provider) use(ctx context.Context, op kms.Operation, keyID string, fn func(*key) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ref, err := p.names.Parse(keyID)
	if err != nil {
		return err
	}
	if ref.Alias == kms.ManagedAlias {
		if _, err := p.lookup(ctx, keyID); err != nil { // makes it
			return err
		}
	}
	p.dueNow(ctx, ref)
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.find(ref)
	if err != nil {
		return err
	}
	if err := kms.CheckUse(op, p.metadata(k)); err != nil {
		return err
	}
	return fn(k)
}

// Decrypt is kms.Crypto's.
func (p *Provider) Decrypt(ctx context.Context, in kms.DecryptInput) (kms.Plaintext, error) {
	if err := ctx.Err(); err != nil {
		return kms.Plaintext{}, err
	}
	if in.Algorithm != "" && in.Algorithm != kms.AlgorithmSymmetric {
		return p.decryptRSA(ctx, in)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	plaintext, k, m, err := p.decrypt(kms.OpDecrypt, in)
	if err != nil {
		return kms.Plaintext{}, err
	}
	return kms.Plaintext{Bytes: plaintext, KeyARN: k.info.ARN, MaterialID: m.hexID()}, nil
}

// decrypt opens a blob for op. The caller holds mu.
func (p *Provider) decrypt(op kms.Operation, in kms.DecryptInput) ([]byte, *key, *material, error) {
	h, sealed, err := parseBlob(in.Blob)
	if err != nil {
		return nil, nil, nil, &kms.Error{Code: kms.InvalidCiphertextException}
	}
	k, err := p.blobKey(h, in.KeyID)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := kms.CheckUse(op, p.metadata(k)); err != nil {
		return nil, nil, nil, err
	}
	plaintext, used, err := openBlob(k, h, sealed, in.Context)
	return plaintext, k, used, err
}

// blobKey is the key that made the blob, which must be keyID's where that is given.
func (p *Provider) blobKey(h blobHeader, keyID string) (*key, error) {
	if keyID != "" {
		ref, err := p.names.Parse(keyID)
		if err != nil {
			return nil, err
		}
		k, err := p.find(ref)
		if err == nil && k.rawID != h.keyID {
			return nil, kms.Errorf(kms.IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation.")
		}
		return k, err
	}
	k, err := p.ofRaw(h.keyID)
	if kms.CodeOf(err) == kms.NotFoundException {
		return nil, kms.Errorf(kms.AccessDeniedException, "The ciphertext refers to a customer master key that does not exist, "+
			"does not exist in this region, or you are not allowed to access.")
	}
	return k, err
}

// ofRaw finds the key of 16 bytes of key id. The caller holds mu.
func (p *Provider) ofRaw(raw [idSize]byte) (*key, error) {
	id := formatID(raw)
	if many := formatMultiRegion(raw); p.keys[id] == nil && p.keys[many] != nil {
		id = many
	}
	return p.find(kms.KeyRef{ID: id})
}

// ReEncrypt is kms.Crypto's.
func (p *Provider) ReEncrypt(ctx context.Context, in kms.ReEncryptInput) (out kms.ReEncrypted, err error) {
	err = p.use(ctx, kms.OpReEncrypt, in.KeyID, func(to *key) error {
		plaintext, from, m, err := p.decrypt(kms.OpReEncrypt, kms.DecryptInput{KeyID: in.SourceKeyID, Context: in.SourceContext, Blob: in.Blob})
		if err != nil {
			return err
		}
		defer kms.Wipe(plaintext)
		out = kms.ReEncrypted{
			Blob: sealBlob(to, in.Context, plaintext), KeyARN: to.info.ARN, MaterialID: to.current().hexID(),
			SourceKeyARN: from.info.ARN, SourceMaterialID: m.hexID(),
		}
		return nil
	})
	return out, err
}
