package kmsapi

import (
	"context"

	"kmsfs/kms"
)

// pairSpecs is AWS's DataKeyPairSpec. Those that the service does not make are refused by it.
func pairSpecs() []string {
	return []string{kms.SpecRSA2048, kms.SpecRSA3072, kms.SpecRSA4096, kms.SpecP256, kms.SpecP384, kms.SpecP521, "ECC_SECG_P256K1", "SM2", kms.SpecEd25519}
}

type dataKeyPairRequest struct {
	KeyId, KeyPairSpec *string
	EncryptionContext  kms.Context
	Recipient          *recipient
	use
}

func (r *dataKeyPairRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("keyPairSpec", r.KeyPairSpec != nil)
	v.oneOf("keyPairSpec", r.KeyPairSpec, pairSpecs())
	v.grantTokens(r.GrantTokens)
}

type dataKeyPairAnswer struct {
	KeyId                    string
	KeyMaterialId            string `json:",omitempty"`
	KeyPairSpec              string
	PrivateKeyCiphertextBlob []byte
	PrivateKeyPlaintext      secret `json:",omitempty"`
	PublicKey                []byte
}

func generateDataKeyPair(ctx context.Context, s *kms.Service, in *dataKeyPairRequest) (*dataKeyPairAnswer, error) {
	return dataKeyPair(ctx, s, in, false)
}

func generateDataKeyPairWithoutPlaintext(ctx context.Context, s *kms.Service, in *dataKeyPairRequest) (*dataKeyPairAnswer, error) {
	return dataKeyPair(ctx, s, in, true)
}

func dataKeyPair(ctx context.Context, s *kms.Service, in *dataKeyPairRequest, withoutPlaintext bool) (*dataKeyPairAnswer, error) {
	if err := in.Recipient.supported(); err != nil {
		return nil, err
	}
	p, err := s.GenerateDataKeyPair(ctx, kms.GenerateDataKeyPairInput{KeyID: *in.KeyId, Spec: *in.KeyPairSpec, Context: in.EncryptionContext,
		WithoutPlaintext: withoutPlaintext, GrantTokens: in.GrantTokens, DryRun: in.DryRun})
	if err != nil {
		return nil, err
	}
	return &dataKeyPairAnswer{KeyId: p.KeyARN, KeyMaterialId: p.MaterialID, KeyPairSpec: *in.KeyPairSpec,
		PrivateKeyCiphertextBlob: p.PrivateBlob, PrivateKeyPlaintext: p.Private, PublicKey: p.Public}, nil
}

type replicaRequest struct {
	KeyId, ReplicaRegion, PrimaryRegion *string
}

func (r *replicaRequest) check(v *violations) { v.required("keyId", r.KeyId != nil) }

func replicateKey(ctx context.Context, s *kms.Service, in *replicaRequest) (*nothing, error) {
	return nil, s.RefuseReplica(ctx, kms.OpReplicateKey, *in.KeyId)
}

func updatePrimaryRegion(ctx context.Context, s *kms.Service, in *replicaRequest) (*nothing, error) {
	return nil, s.RefuseReplica(ctx, kms.OpUpdatePrimaryRegion, *in.KeyId)
}

type lastUsage struct {
	Operation kms.Operation `json:",omitempty"`
	Timestamp *timestamp    `json:",omitempty"`
}

type lastUsageAnswer struct {
	KeyCreationDate   *timestamp
	KeyId             string
	KeyLastUsage      lastUsage
	TrackingStartDate *timestamp
}

func getKeyLastUsage(ctx context.Context, s *kms.Service, in *keyRequest) (*lastUsageAnswer, error) {
	u, err := s.GetKeyLastUsage(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &lastUsageAnswer{KeyCreationDate: at(u.Key.Created), KeyId: u.Key.ARN, KeyLastUsage: lastUsage{u.Operation, at(u.Time)},
		TrackingStartDate: at(u.Tracked)}, nil
}
