package kmsapi

import (
	"context"
	"crypto/rand"

	"kmsfs/kms"
)

// use is what every use of a key may say.
type use struct {
	GrantTokens []string
	DryRun      bool
}

func algorithms() []string {
	return []string{kms.SpecSymmetricDefault, "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"}
}

// algorithm is *p, or AWS's default.
func algorithm(p *string) string {
	if p == nil {
		return kms.SpecSymmetricDefault
	}
	return *p
}

// symmetric refuses an algorithm that ReEncrypt does not have here.
func symmetric(p *string) error {
	if algorithm(p) != kms.SpecSymmetricDefault {
		return unsupported("ReEncrypt with " + *p)
	}
	return nil
}

type encryptRequest struct {
	KeyId, EncryptionAlgorithm *string
	Plaintext                  []byte
	EncryptionContext          kms.Context
	use
}

func (r *encryptRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("plaintext", r.Plaintext != nil)
	v.oneOf("encryptionAlgorithm", r.EncryptionAlgorithm, algorithms())
	v.grantTokens(r.GrantTokens)
}

type encryptAnswer struct {
	CiphertextBlob      []byte
	EncryptionAlgorithm string
	KeyId               string
}

func encrypt(ctx context.Context, s *kms.Service, in *encryptRequest) (*encryptAnswer, error) {
	defer kms.Wipe(in.Plaintext)
	c, err := s.Encrypt(ctx, kms.EncryptInput{KeyID: *in.KeyId, Context: in.EncryptionContext, Plaintext: in.Plaintext,
		Algorithm: text(in.EncryptionAlgorithm), GrantTokens: in.GrantTokens, DryRun: in.DryRun})
	if err != nil {
		return nil, err
	}
	return &encryptAnswer{CiphertextBlob: c.Blob, EncryptionAlgorithm: algorithm(in.EncryptionAlgorithm), KeyId: c.KeyARN}, nil
}

type recipient struct {
	KeyEncryptionAlgorithm *string
	AttestationDocument    []byte
}

func (r *recipient) supported() error {
	if r != nil {
		return unsupported("Recipient, which is for Nitro enclaves,")
	}
	return nil
}

type decryptRequest struct {
	KeyId, EncryptionAlgorithm *string
	CiphertextBlob             []byte
	EncryptionContext          kms.Context
	Recipient                  *recipient
	use
}

func (r *decryptRequest) check(v *violations) {
	v.required("ciphertextBlob", r.CiphertextBlob != nil)
	v.oneOf("encryptionAlgorithm", r.EncryptionAlgorithm, algorithms())
	v.grantTokens(r.GrantTokens)
}

type decryptAnswer struct {
	EncryptionAlgorithm string
	KeyId               string
	KeyMaterialId       string `json:",omitempty"`
	Plaintext           secret
}

func decrypt(ctx context.Context, s *kms.Service, in *decryptRequest) (*decryptAnswer, error) {
	if err := in.Recipient.supported(); err != nil {
		return nil, err
	}
	p, err := s.Decrypt(ctx, kms.DecryptInput{KeyID: text(in.KeyId), Context: in.EncryptionContext, Blob: in.CiphertextBlob,
		Algorithm: text(in.EncryptionAlgorithm), GrantTokens: in.GrantTokens, DryRun: in.DryRun})
	if err != nil {
		return nil, err
	}
	return &decryptAnswer{EncryptionAlgorithm: algorithm(in.EncryptionAlgorithm), KeyId: p.KeyARN, KeyMaterialId: p.MaterialID, Plaintext: p.Bytes}, nil
}

type reEncryptRequest struct {
	CiphertextBlob                                            []byte
	SourceKeyId, DestinationKeyId                             *string
	SourceEncryptionAlgorithm, DestinationEncryptionAlgorithm *string
	SourceEncryptionContext, DestinationEncryptionContext     kms.Context
	use
}

func (r *reEncryptRequest) check(v *violations) {
	v.required("ciphertextBlob", r.CiphertextBlob != nil)
	v.required("destinationKeyId", r.DestinationKeyId != nil)
	v.oneOf("sourceEncryptionAlgorithm", r.SourceEncryptionAlgorithm, algorithms())
	v.oneOf("destinationEncryptionAlgorithm", r.DestinationEncryptionAlgorithm, algorithms())
	v.grantTokens(r.GrantTokens)
}

type reEncryptAnswer struct {
	CiphertextBlob                 []byte
	DestinationEncryptionAlgorithm string
	DestinationKeyMaterialId       string `json:",omitempty"`
	KeyId                          string
	SourceEncryptionAlgorithm      string
	SourceKeyId                    string
	SourceKeyMaterialId            string `json:",omitempty"`
}

func reEncrypt(ctx context.Context, s *kms.Service, in *reEncryptRequest) (*reEncryptAnswer, error) {
	for _, a := range []*string{in.SourceEncryptionAlgorithm, in.DestinationEncryptionAlgorithm} {
		if err := symmetric(a); err != nil {
			return nil, err
		}
	}
	r, err := s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: in.CiphertextBlob, SourceKeyID: text(in.SourceKeyId), SourceContext: in.SourceEncryptionContext,
		KeyID: *in.DestinationKeyId, Context: in.DestinationEncryptionContext, GrantTokens: in.GrantTokens, DryRun: in.DryRun})
	if err != nil {
		return nil, err
	}
	return &reEncryptAnswer{
		CiphertextBlob: r.Blob, KeyId: r.KeyARN, DestinationKeyMaterialId: r.MaterialID, SourceKeyId: r.SourceKeyARN, SourceKeyMaterialId: r.SourceMaterialID,
		SourceEncryptionAlgorithm: kms.SpecSymmetricDefault, DestinationEncryptionAlgorithm: kms.SpecSymmetricDefault,
	}, nil
}

type dataKeyRequest struct {
	KeyId, KeySpec    *string
	NumberOfBytes     *int64
	EncryptionContext kms.Context
	Recipient         *recipient
	use
}

func (r *dataKeyRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.oneOf("keySpec", r.KeySpec, []string{"AES_256", "AES_128"})
	v.between("numberOfBytes", r.NumberOfBytes, 1, kms.MaxDataKey)
	v.grantTokens(r.GrantTokens)
}

func (r *dataKeyRequest) size() (int, error) {
	switch {
	case (r.KeySpec == nil) == (r.NumberOfBytes == nil):
		return 0, kms.Errorf(kms.ValidationException, "Please specify either number of bytes or key spec.")
	case r.KeySpec == nil:
		return number(r.NumberOfBytes), nil
	case *r.KeySpec == "AES_128":
		return 16, nil
	}
	return 32, nil
}

type dataKeyAnswer struct {
	CiphertextBlob []byte
	KeyId          string
	KeyMaterialId  string `json:",omitempty"`
	Plaintext      secret `json:",omitempty"`
}

func generateDataKey(ctx context.Context, s *kms.Service, in *dataKeyRequest) (*dataKeyAnswer, error) {
	return dataKey(ctx, s, in, false)
}

func generateDataKeyWithoutPlaintext(ctx context.Context, s *kms.Service, in *dataKeyRequest) (*dataKeyAnswer, error) {
	return dataKey(ctx, s, in, true)
}

func dataKey(ctx context.Context, s *kms.Service, in *dataKeyRequest, withoutPlaintext bool) (*dataKeyAnswer, error) {
	if err := in.Recipient.supported(); err != nil {
		return nil, err
	}
	n, err := in.size()
	if err != nil {
		return nil, err
	}
	k, err := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: *in.KeyId, Context: in.EncryptionContext, Bytes: n,
		WithoutPlaintext: withoutPlaintext, GrantTokens: in.GrantTokens, DryRun: in.DryRun})
	if err != nil {
		return nil, err
	}
	return &dataKeyAnswer{CiphertextBlob: k.Blob, KeyId: k.KeyARN, KeyMaterialId: k.MaterialID, Plaintext: k.Plaintext}, nil
}

type generateRandomRequest struct {
	NumberOfBytes    *int64
	CustomKeyStoreId *string
	Recipient        *recipient
}

func (r *generateRandomRequest) check(v *violations) {
	v.required("numberOfBytes", r.NumberOfBytes != nil)
	v.between("numberOfBytes", r.NumberOfBytes, 1, kms.MaxDataKey)
}

type generateRandomAnswer struct{ Plaintext secret }

// generateRandom uses no key, so the service has nothing to decide or to record.
func generateRandom(_ context.Context, _ *kms.Service, in *generateRandomRequest) (*generateRandomAnswer, error) {
	if err := in.Recipient.supported(); err != nil {
		return nil, err
	}
	if in.CustomKeyStoreId != nil {
		return nil, unsupported("a custom key store")
	}
	out := make([]byte, number(in.NumberOfBytes))
	rand.Read(out) // never fails: crypto/rand aborts the program instead
	return &generateRandomAnswer{Plaintext: out}, nil
}
