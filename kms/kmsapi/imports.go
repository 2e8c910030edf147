package kmsapi

import (
	"context"
	"time"

	"kmsfs/kms"
)

type importParametersRequest struct{ KeyId, WrappingAlgorithm, WrappingKeySpec *string }

func (r *importParametersRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("wrappingAlgorithm", r.WrappingAlgorithm != nil)
	v.required("wrappingKeySpec", r.WrappingKeySpec != nil)
}

type importParametersAnswer struct {
	ImportToken       []byte
	KeyId             string
	ParametersValidTo *timestamp
	PublicKey         []byte
}

func getParametersForImport(ctx context.Context, s *kms.Service, in *importParametersRequest) (*importParametersAnswer, error) {
	p, err := s.GetParametersForImport(ctx, *in.KeyId, *in.WrappingAlgorithm, *in.WrappingKeySpec)
	if err != nil {
		return nil, err
	}
	return &importParametersAnswer{ImportToken: p.Token, KeyId: p.KeyARN, ParametersValidTo: at(p.ValidTo), PublicKey: p.PublicKey}, nil
}

type importRequest struct {
	KeyId, ExpirationModel, ImportType, KeyMaterialDescription, KeyMaterialId *string
	ImportToken, EncryptedKeyMaterial                                         []byte
	ValidTo                                                                   *timestamp
}

func (r *importRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("importToken", r.ImportToken != nil)
	v.required("encryptedKeyMaterial", r.EncryptedKeyMaterial != nil)
	v.oneOf("importType", r.ImportType, []string{"NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"})
}

type materialAnswer struct {
	KeyId         string
	KeyMaterialId string `json:",omitempty"`
}

func importKeyMaterial(ctx context.Context, s *kms.Service, in *importRequest) (*materialAnswer, error) {
	if in.KeyMaterialId != nil || in.KeyMaterialDescription != nil {
		return nil, unsupported("KeyMaterialId or KeyMaterialDescription in ImportKeyMaterial")
	}
	q := kms.ImportKeyMaterialInput{KeyID: *in.KeyId, Token: in.ImportToken, Encrypted: in.EncryptedKeyMaterial, ExpirationModel: text(in.ExpirationModel)}
	if in.ValidTo != nil {
		q.ValidTo = time.Time(*in.ValidTo)
	}
	m, err := s.ImportKeyMaterial(ctx, q)
	if err != nil {
		return nil, err
	}
	return &materialAnswer{KeyId: m.ARN, KeyMaterialId: m.MaterialID}, nil
}

type deleteMaterialRequest struct{ KeyId, KeyMaterialId *string }

func (r *deleteMaterialRequest) check(v *violations) { v.required("keyId", r.KeyId != nil) }

func deleteImportedKeyMaterial(ctx context.Context, s *kms.Service, in *deleteMaterialRequest) (*materialAnswer, error) {
	if in.KeyMaterialId != nil {
		return nil, unsupported("KeyMaterialId in DeleteImportedKeyMaterial")
	}
	m, err := s.DeleteImportedKeyMaterial(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &materialAnswer{KeyId: m.ARN, KeyMaterialId: m.MaterialID}, nil
}
