package kmsapi

import (
	"context"
	"strings"

	"kmsfs/kms"
)

// keyMetadata is AWS's KeyMetadata.
type keyMetadata struct {
	AWSAccountId                string
	Arn                         string
	CreationDate                *timestamp
	CurrentKeyMaterialId        string     `json:",omitempty"`
	CustomerMasterKeySpec       string     // the old name of KeySpec, which AWS still answers
	DeletionDate                *timestamp `json:",omitempty"`
	Description                 string
	Enabled                     bool
	EncryptionAlgorithms        []string `json:",omitempty"`
	ExpirationModel             string   `json:",omitempty"`
	KeyId                       string
	KeyManager                  string
	KeySpec                     string
	KeyState                    kms.KeyState
	KeyUsage                    string
	MacAlgorithms               []string `json:",omitempty"`
	MultiRegion                 bool
	MultiRegionConfiguration    *multiRegion `json:",omitempty"`
	Origin                      string
	PendingDeletionWindowInDays int        `json:",omitempty"`
	SigningAlgorithms           []string   `json:",omitempty"`
	ValidTo                     *timestamp `json:",omitempty"`
}

func metadata(m kms.KeyMetadata) keyMetadata {
	out := keyMetadata{
		AWSAccountId: m.Account, Arn: m.ARN, CreationDate: at(m.Created), CurrentKeyMaterialId: m.MaterialID, CustomerMasterKeySpec: m.Spec,
		DeletionDate: at(m.DeletionDate), Description: m.Description, Enabled: m.Enabled(), KeyId: m.ID, KeyManager: m.Manager, KeySpec: m.Spec,
		KeyState: m.State, KeyUsage: m.Usage, Origin: m.Origin, PendingDeletionWindowInDays: m.PendingWindowDays,
	}
	out.EncryptionAlgorithms, out.SigningAlgorithms, out.MacAlgorithms = m.EncryptionAlgorithms(), m.SigningAlgorithms(), m.MacAlgorithms()
	out.ExpirationModel, out.ValidTo = m.ExpirationModel, at(m.ValidTo)
	if m.MultiRegion {
		out.MultiRegion, out.MultiRegionConfiguration = true, alone(m.ARN)
	}
	return out
}

// multiRegion says where the replicas of a key are.
type multiRegion struct {
	MultiRegionKeyType string
	PrimaryKey         regionKey
	ReplicaKeys        []regionKey
}

type regionKey struct{ Arn, Region string }

// alone is a multi-Region key without replicas, as they all are here.
func alone(arn string) *multiRegion {
	return &multiRegion{"PRIMARY", regionKey{arn, strings.Split(arn, ":")[3]}, []regionKey{}}
}

// keyRequest names a key and asks no more.
type keyRequest struct {
	KeyId       *string
	GrantTokens []string
}

func (r *keyRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.grantTokens(r.GrantTokens)
}

type keyMetadataAnswer struct{ KeyMetadata keyMetadata }

type createKeyRequest struct {
	Policy, Description, KeyUsage, CustomerMasterKeySpec, KeySpec, Origin, CustomKeyStoreId, XksKeyId *string
	Tags                                                                                              []tag
	BypassPolicyLockoutSafetyCheck, MultiRegion                                                       bool
}

func (r *createKeyRequest) check(v *violations) {
	checkTags(v, r.Tags)
	v.oneOf("keyUsage", r.KeyUsage, keyUsages())
	v.oneOf("customerMasterKeySpec", r.CustomerMasterKeySpec, keySpecs())
	v.oneOf("keySpec", r.KeySpec, keySpecs())
	v.oneOf("origin", r.Origin, []string{kms.OriginAWSKMS, kms.OriginExternal, "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"})
}

func keyUsages() []string {
	return []string{"SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"}
}

func keySpecs() []string {
	return strings.Fields("RSA_2048 RSA_3072 RSA_4096 ECC_NIST_P256 ECC_NIST_P384 ECC_NIST_P521 ECC_SECG_P256K1 SYMMETRIC_DEFAULT " +
		"HMAC_224 HMAC_256 HMAC_384 HMAC_512 SM2 ML_DSA_44 ML_DSA_65 ML_DSA_87 ECC_NIST_EDWARDS25519")
}

func createKey(ctx context.Context, s *kms.Service, in *createKeyRequest) (*keyMetadataAnswer, error) {
	spec, err := in.spec()
	if err != nil {
		return nil, err
	}
	if in.CustomKeyStoreId != nil || in.XksKeyId != nil {
		return nil, unsupported("a custom key store")
	}
	m, err := s.CreateKey(ctx, kms.CreateKeyInput{Description: text(in.Description), Spec: spec, Usage: text(in.KeyUsage), Origin: text(in.Origin),
		MultiRegion: in.MultiRegion, Policy: text(in.Policy), Tags: plainTags(in.Tags), BypassLockoutCheck: in.BypassPolicyLockoutSafetyCheck})
	if err != nil {
		return nil, err
	}
	return &keyMetadataAnswer{metadata(m)}, nil
}

// spec is KeySpec, or the old name of it.
func (r *createKeyRequest) spec() (string, error) {
	if r.KeySpec != nil && r.CustomerMasterKeySpec != nil && *r.KeySpec != *r.CustomerMasterKeySpec {
		return "", kms.Errorf(kms.ValidationException, "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
	}
	if r.KeySpec != nil {
		return *r.KeySpec, nil
	}
	return text(r.CustomerMasterKeySpec), nil
}

func unsupported(what string) *kms.Error {
	return kms.Errorf(kms.UnsupportedOperationException, "%s is not supported by this key service.", what)
}

func describeKey(ctx context.Context, s *kms.Service, in *keyRequest) (*keyMetadataAnswer, error) {
	m, err := s.DescribeKey(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &keyMetadataAnswer{metadata(m)}, nil
}

type listKeysRequest struct{ page }

func (r *listKeysRequest) check(v *violations) { r.page.check(v, kms.MaxKeysPage) }

type keyEntry struct{ KeyArn, KeyId string }

type listKeysAnswer struct {
	Keys []keyEntry
	next
}

func listKeys(ctx context.Context, s *kms.Service, in *listKeysRequest) (*listKeysAnswer, error) {
	after, err := in.after("key")
	if err != nil {
		return nil, err
	}
	p, err := s.ListKeys(ctx, after, number(in.Limit))
	if err != nil {
		return nil, err
	}
	out := &listKeysAnswer{Keys: make([]keyEntry, len(p.Keys)), next: nextPage("key", p.Next)}
	for i, k := range p.Keys {
		out.Keys[i] = keyEntry{KeyArn: k.ARN, KeyId: k.ID}
	}
	return out, nil
}

func enableKey(ctx context.Context, s *kms.Service, in *keyRequest) (*nothing, error) {
	return nil, s.EnableKey(ctx, *in.KeyId)
}

func disableKey(ctx context.Context, s *kms.Service, in *keyRequest) (*nothing, error) {
	return nil, s.DisableKey(ctx, *in.KeyId)
}

type updateDescriptionRequest struct{ KeyId, Description *string }

func (r *updateDescriptionRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("description", r.Description != nil)
}

func updateKeyDescription(ctx context.Context, s *kms.Service, in *updateDescriptionRequest) (*nothing, error) {
	return nil, s.UpdateKeyDescription(ctx, *in.KeyId, *in.Description)
}

type scheduleDeletionRequest struct {
	KeyId               *string
	PendingWindowInDays *int64
}

func (r *scheduleDeletionRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.between("pendingWindowInDays", r.PendingWindowInDays, 1, 365)
}

type scheduleDeletionAnswer struct {
	DeletionDate        *timestamp
	KeyId               string
	KeyState            kms.KeyState
	PendingWindowInDays int
}

func scheduleKeyDeletion(ctx context.Context, s *kms.Service, in *scheduleDeletionRequest) (*scheduleDeletionAnswer, error) {
	m, err := s.ScheduleKeyDeletion(ctx, *in.KeyId, number(in.PendingWindowInDays))
	if err != nil {
		return nil, err
	}
	return &scheduleDeletionAnswer{DeletionDate: at(m.DeletionDate), KeyId: m.ARN, KeyState: m.State, PendingWindowInDays: m.PendingWindowDays}, nil
}

type keyIDAnswer struct{ KeyId string }

func cancelKeyDeletion(ctx context.Context, s *kms.Service, in *keyRequest) (*keyIDAnswer, error) {
	m, err := s.CancelKeyDeletion(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &keyIDAnswer{m.ARN}, nil
}
