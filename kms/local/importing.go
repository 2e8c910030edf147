package local

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"time"

	"kmsfs/kms"
)

// An import token is tokenVersion, the time of its end, the wrapping algorithm's number, and the private key of the pair,
// sealed for the KMS key. Nothing of it is kept here, so it outlives a restart.
const (
	tokenVersion     = 1
	tokenHeader      = 1 + 8 + 1
	tokenSHA1        = 1
	tokenSHA256      = 2
	labelImportToken = "kmsfs kms import token v1"
)

// GetParametersForImport is kms.Imports'.
func (p *Provider) GetParametersForImport(ctx context.Context, keyID, algorithm, spec string) (kms.ImportParameters, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return kms.ImportParameters{}, err
	}
	m := k.metadata()
	if err := kms.CheckImport(m); err != nil {
		return kms.ImportParameters{}, err
	}
	if err := kms.CheckState(kms.OpGetParametersForImport, m); err != nil {
		return kms.ImportParameters{}, err
	}
	pair, err := kms.NewKeyPair(spec)
	if err != nil {
		return kms.ImportParameters{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(pair.Public())
	if err != nil {
		return kms.ImportParameters{}, fmt.Errorf("make import parameters: %w", err)
	}
	until := p.now().Add(kms.ImportTokenLifetime).Truncate(time.Second).UTC()
	token, err := p.importToken(k, pair.(*rsa.PrivateKey), algorithm, until)
	return kms.ImportParameters{KeyARN: k.info.ARN, Token: token, PublicKey: public, ValidTo: until}, err
}

func (p *Provider) importToken(k *key, pair *rsa.PrivateKey, algorithm string, until time.Time) ([]byte, error) {
	private := x509.MarshalPKCS1PrivateKey(pair)
	defer kms.Wipe(private)
	head := binary.BigEndian.AppendUint64([]byte{tokenVersion}, uint64(until.Unix()))
	if algorithm == kms.WrapOAEPSHA1 {
		head = append(head, tokenSHA1)
	} else {
		head = append(head, tokenSHA256)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return nil, kms.Errorf(kms.KMSInternalException, "the key store is closed")
	}
	return kms.Seal(head, p.seals.newest(), labelImportToken, tokenAAD(head, k), private), nil
}

func tokenAAD(head []byte, k *key) []byte { return append(append([]byte(nil), head...), k.rawID[:]...) }

// openImport decrypts material that was encrypted for a token. The caller wipes it.
func (p *Provider) openImport(k *key, token, encrypted []byte) ([]byte, error) {
	if len(token) < tokenHeader || token[0] != tokenVersion {
		return nil, kms.Errorf(kms.InvalidImportTokenException, "The import token is not one of this key.")
	}
	head := token[:tokenHeader]
	private, err := kms.Open(nil, p.seals.newest(), labelImportToken, tokenAAD(head, k), token[tokenHeader:])
	if err != nil {
		return nil, kms.Errorf(kms.InvalidImportTokenException, "The import token is not one of this key.")
	}
	defer kms.Wipe(private)
	if int64(binary.BigEndian.Uint64(head[1:])) <= p.now().Unix() {
		return nil, kms.Errorf(kms.ExpiredImportTokenException, "The import token has expired. Get new import parameters.")
	}
	pair, err := x509.ParsePKCS1PrivateKey(private)
	if err != nil {
		return nil, kms.Errorf(kms.InvalidImportTokenException, "The import token is not one of this key.")
	}
	algorithm := kms.WrapOAEPSHA256
	if head[tokenHeader-1] == tokenSHA1 {
		algorithm = kms.WrapOAEPSHA1
	}
	secret, err := rsa.DecryptOAEP(oaepHash(algorithm), nil, pair, encrypted, nil)
	if err != nil || len(secret) != kms.KeySize {
		kms.Wipe(secret)
		return nil, &kms.Error{Code: kms.InvalidCiphertextException}
	}
	return secret, nil
}

// ImportKeyMaterial is kms.Imports'.
func (p *Provider) ImportKeyMaterial(ctx context.Context, in kms.ImportKeyMaterialInput) (kms.KeyMetadata, error) {
	return p.change(ctx, kms.OpImportKeyMaterial, in.KeyID, func(k *key) error {
		if err := kms.CheckImport(k.metadata()); err != nil {
			return err
		}
		secret, err := p.openImport(k, in.Token, in.Encrypted)
		if err != nil {
			return err
		}
		defer kms.Wipe(secret)
		m := material{id: materialID(k.rawID, secret)}
		if k.info.Imported != "" && k.info.Imported != m.hexID() {
			return kms.Errorf(kms.IncorrectKeyMaterialException, "The key material in the request is not the one that was imported into %s before.", k.info.ARN)
		}
		copy(m.secret[:], secret)
		k.wipe()
		k.materials, k.info.Imported, k.info.ValidTo = []material{m}, m.hexID(), 0
		if !in.ValidTo.IsZero() {
			k.info.ValidTo = in.ValidTo.UnixNano()
		}
		if k.info.State == kms.StatePendingImport {
			k.info.State = kms.StateEnabled
		}
		return nil
	})
}

// DeleteImportedKeyMaterial is kms.Imports'.
func (p *Provider) DeleteImportedKeyMaterial(ctx context.Context, keyID string) (kms.KeyMetadata, error) {
	return p.change(ctx, kms.OpDeleteImportedMaterial, keyID, func(k *key) error {
		if err := kms.CheckImport(k.metadata()); err != nil {
			return err
		}
		k.forget()
		return nil
	})
}

// forget destroys imported material. The key is the caller's own.
func (k *key) forget() {
	k.wipe()
	k.materials, k.info.ValidTo = nil, 0
	if k.info.State != kms.StatePendingDeletion {
		k.info.State = kms.StatePendingImport
	}
}

// expired reports whether imported material is past its time. It is gone, though the disk may not say so yet.
func (k *key) expired(now int64) bool { return k.info.ValidTo != 0 && k.info.ValidTo <= now }
