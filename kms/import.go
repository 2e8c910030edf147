package kms

import (
	"context"
	"time"
)

// Imports is key material that comes from outside, for symmetric keys of [OriginExternal]; others:
// [UnsupportedOperationException].
type Imports interface {
	// GetParametersForImport makes a key pair that the material has to be encrypted with, and a token that goes with it for 24 hours.
	GetParametersForImport(ctx context.Context, keyID, algorithm, spec string) (ImportParameters, error)
	// ImportKeyMaterial puts 32 bytes of material into a key, which becomes enabled. A key that had material once accepts
	// only the same: [IncorrectKeyMaterialException]. A token of another key, or altered: [InvalidImportTokenException]; one that is
	// too old: [ExpiredImportTokenException]. What does not decrypt to 32 bytes: [InvalidCiphertextException].
	// At in.ValidTo the material is deleted.
	ImportKeyMaterial(ctx context.Context, in ImportKeyMaterialInput) (KeyMetadata, error)
	// DeleteImportedKeyMaterial makes a key wait for its material again. It is no error when it does already.
	DeleteImportedKeyMaterial(ctx context.Context, keyID string) (KeyMetadata, error)
}

// How imported material is encrypted on its way.
const (
	WrapOAEPSHA1   = "RSAES_OAEP_SHA_1"
	WrapOAEPSHA256 = "RSAES_OAEP_SHA_256"
)

// Values of KeyMetadata.ExpirationModel.
const (
	MaterialExpires       = "KEY_MATERIAL_EXPIRES"
	MaterialDoesNotExpire = "KEY_MATERIAL_DOES_NOT_EXPIRE"
)

// ImportTokenLifetime is how long import parameters may be used.
const ImportTokenLifetime = 24 * time.Hour

// ImportParameters are for one import.
type ImportParameters struct {
	KeyARN    string
	Token     []byte
	PublicKey []byte // DER, SubjectPublicKeyInfo
	ValidTo   time.Time
}

// ImportKeyMaterialInput is material on its way into a key. The zero ValidTo: it does not expire.
type ImportKeyMaterialInput struct {
	KeyID           string
	Token           []byte
	Encrypted       []byte
	ValidTo         time.Time
	ExpirationModel string // "" is [MaterialExpires]
}

// GetParametersForImport makes what an import needs; algorithm is [WrapOAEPSHA256] or [WrapOAEPSHA1], spec RSA_2048,
// RSA_3072 or RSA_4096.
func (s *Service) GetParametersForImport(ctx context.Context, keyID, algorithm, spec string) (out ImportParameters, err error) {
	err = s.read(ctx, OpGetParametersForImport, keyID, func(id string) error {
		switch algorithm {
		case WrapOAEPSHA1, WrapOAEPSHA256:
		case "RSAES_PKCS1_V1_5", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256", "SM2PKE":
			return Errorf(UnsupportedOperationException, "The wrapping algorithm %s is not supported here. Use %s.", algorithm, WrapOAEPSHA256)
		default:
			return enumError(algorithm, "wrappingAlgorithm", WrapOAEPSHA1, WrapOAEPSHA256)
		}
		switch spec {
		case "RSA_2048", "RSA_3072", "RSA_4096":
		default:
			return enumError(spec, "wrappingKeySpec", "RSA_2048", "RSA_3072", "RSA_4096")
		}
		out, err = s.backend.GetParametersForImport(ctx, id, algorithm, spec)
		return err
	})
	return out, err
}

// ImportKeyMaterial puts material into a key.
func (s *Service) ImportKeyMaterial(ctx context.Context, in ImportKeyMaterialInput) (m KeyMetadata, err error) {
	err = s.change(ctx, OpImportKeyMaterial, in.KeyID, func(id string) error {
		if err := in.validate(s.now()); err != nil {
			return err
		}
		in.KeyID = id
		m, err = s.backend.ImportKeyMaterial(ctx, in)
		return err
	})
	return m, err
}

func (in *ImportKeyMaterialInput) validate(now time.Time) error {
	switch in.ExpirationModel {
	case "", MaterialExpires:
		if in.ValidTo.IsZero() {
			return Errorf(ValidationException, "A validTo date must be set if the ExpirationModel is %s", MaterialExpires)
		}
		if !in.ValidTo.After(now) || in.ValidTo.After(now.AddDate(1, 0, 1)) {
			return Errorf(ValidationException, "ValidTo is %s; it must be in the future, and within 365 days.", in.ValidTo.Format(time.RFC3339))
		}
	case MaterialDoesNotExpire:
		if !in.ValidTo.IsZero() {
			return Errorf(ValidationException, "A validTo date must not be set if the ExpirationModel is %s", MaterialDoesNotExpire)
		}
	default:
		return enumError(in.ExpirationModel, "expirationModel", MaterialExpires, MaterialDoesNotExpire)
	}
	if err := validateLength("importToken", len(in.Token), 6144); err != nil {
		return err
	}
	return validateLength("encryptedKeyMaterial", len(in.Encrypted), 6144)
}

// DeleteImportedKeyMaterial makes a key wait for its material again.
func (s *Service) DeleteImportedKeyMaterial(ctx context.Context, keyID string) (m KeyMetadata, err error) {
	err = s.change(ctx, OpDeleteImportedMaterial, keyID, func(id string) error {
		m, err = s.backend.DeleteImportedKeyMaterial(ctx, id)
		return err
	})
	return m, err
}
