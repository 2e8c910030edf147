package kms

import (
	"slices"
	"strings"
)

// Key specs of AWS KMS that this module makes.
const (
	SpecRSA2048     = "RSA_2048"
	SpecRSA3072     = "RSA_3072"
	SpecRSA4096     = "RSA_4096"
	SpecP256        = "ECC_NIST_P256"
	SpecP384        = "ECC_NIST_P384"
	SpecP521        = "ECC_NIST_P521"
	SpecEd25519     = "ECC_NIST_EDWARDS25519"
	SpecHMAC224     = "HMAC_224"
	SpecHMAC256     = "HMAC_256"
	SpecHMAC384     = "HMAC_384"
	SpecHMAC512     = "HMAC_512"
	UsageSignVerify = "SIGN_VERIFY"
	UsageMAC        = "GENERATE_VERIFY_MAC"
	usageAgreement  = "KEY_AGREEMENT"
)

// AlgorithmSymmetric is the encryption algorithm of symmetric keys.
const AlgorithmSymmetric = "SYMMETRIC_DEFAULT"

// algorithms are those of a spec with a usage, in AWS's order; nil where the two do not go together.
func algorithms(spec, usage string) []string {
	switch {
	case spec == SpecSymmetricDefault && usage == UsageEncryptDecrypt:
		return []string{AlgorithmSymmetric}
	case strings.HasPrefix(spec, "RSA_") && usage == UsageEncryptDecrypt:
		return []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	case strings.HasPrefix(spec, "RSA_") && usage == UsageSignVerify:
		return []string{"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
			"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"}
	case spec == SpecP256 && usage == UsageSignVerify:
		return []string{"ECDSA_SHA_256"}
	case spec == SpecP384 && usage == UsageSignVerify:
		return []string{"ECDSA_SHA_384"}
	case spec == SpecP521 && usage == UsageSignVerify:
		return []string{"ECDSA_SHA_512"}
	case spec == SpecEd25519 && usage == UsageSignVerify:
		return []string{"ED25519_PH_SHA_512", "ED25519_SHA_512"}
	case strings.HasPrefix(spec, "HMAC_") && usage == UsageMAC:
		return []string{"HMAC_SHA_" + strings.TrimPrefix(spec, "HMAC_")}
	}
	return nil
}

// EncryptionAlgorithms, SigningAlgorithms and MacAlgorithms are what DescribeKey lists; nil where the key is of another usage.
func (m KeyMetadata) EncryptionAlgorithms() []string { return m.algorithms(UsageEncryptDecrypt) }

// SigningAlgorithms is described at EncryptionAlgorithms.
func (m KeyMetadata) SigningAlgorithms() []string { return m.algorithms(UsageSignVerify) }

// MacAlgorithms is described at EncryptionAlgorithms.
func (m KeyMetadata) MacAlgorithms() []string { return m.algorithms(UsageMAC) }

func (m KeyMetadata) algorithms(usage string) []string {
	if m.Usage != usage {
		return nil
	}
	return algorithms(m.Spec, m.Usage)
}

// CreateKeyInput is what a new key starts with. The zero value: a symmetric key with AWS's default policy.
type CreateKeyInput struct {
	Description string
	Spec        string // "": SYMMETRIC_DEFAULT
	Usage       string // "": ENCRYPT_DECRYPT, which only a symmetric key may leave out
	Origin      string // "": AWS_KMS; or EXTERNAL for a symmetric key that waits for its material
	MultiRegion bool   // gives the key an id with mrk-; otherwise a key of this region
	Policy      string // "": AWS's default
	Tags        []Tag
	// BypassLockoutCheck takes a policy also when it does not let the caller put another one.
	BypassLockoutCheck bool
}

func specs() []string {
	return []string{SpecRSA2048, SpecRSA3072, SpecRSA4096, SpecP256, SpecP384, SpecP521, SpecEd25519,
		SpecSymmetricDefault, SpecHMAC224, SpecHMAC256, SpecHMAC384, SpecHMAC512}
}

// complete fills in the defaults and refuses what does not go together.
func (in *CreateKeyInput) complete() error {
	in.Spec, in.Origin = either(in.Spec, SpecSymmetricDefault), either(in.Origin, OriginAWSKMS)
	switch {
	case in.Spec == "ECC_SECG_P256K1" || in.Spec == "SM2" || strings.HasPrefix(in.Spec, "ML_DSA_"):
		return specUnsupported(in.Spec)
	case !slices.Contains(specs(), in.Spec):
		return enumError(in.Spec, "keySpec", specs()...)
	case in.Usage == "" && in.Spec != SpecSymmetricDefault:
		return Errorf(ValidationException, "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	}
	in.Usage = either(in.Usage, UsageEncryptDecrypt)
	switch in.Usage {
	case UsageEncryptDecrypt, UsageSignVerify, UsageMAC:
	case usageAgreement:
		return Errorf(UnsupportedOperationException, "The key usage %s is not supported here.", in.Usage)
	default:
		return enumError(in.Usage, "keyUsage", UsageSignVerify, UsageEncryptDecrypt, UsageMAC, usageAgreement)
	}
	if algorithms(in.Spec, in.Usage) == nil {
		return Errorf(ValidationException, "KeyUsage %s is not compatible with KeySpec %s", in.Usage, in.Spec)
	}
	return in.checkOrigin()
}

func (in *CreateKeyInput) checkOrigin() error {
	switch in.Origin {
	case OriginAWSKMS:
		return nil
	case OriginExternal:
		if in.Spec != SpecSymmetricDefault {
			return Errorf(UnsupportedOperationException, "Imported material is supported here for %s only, not for %s.", SpecSymmetricDefault, in.Spec)
		}
		return nil
	case "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE":
		return Errorf(UnsupportedOperationException, "There are no custom key stores here, so a key cannot have the origin %s.", in.Origin)
	}
	return enumError(in.Origin, "origin", OriginAWSKMS, OriginExternal, "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE")
}

// enumError is AWS's answer to a value that is none of a closed set.
func enumError(value, member string, set ...string) error {
	return Errorf(ValidationException, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: "+
		"Member must satisfy enum value set: [%s]", value, member, strings.Join(set, ", "))
}

// usageOf is the key usage that op needs.
func usageOf(op Operation) string {
	switch op {
	case OpSign, OpVerify:
		return UsageSignVerify
	case OpGenerateMac, OpVerifyMac:
		return UsageMAC
	}
	return UsageEncryptDecrypt
}

// CheckAlgorithm tells whether the key can do op with an algorithm: its usage, its spec, then its state.
// Errors: [InvalidKeyUsageException], [DisabledException], [KMSInvalidStateException].
func CheckAlgorithm(op Operation, m KeyMetadata, algorithm string) error {
	if m.Usage != usageOf(op) {
		return Errorf(InvalidKeyUsageException, "%s key usage is %s which is not valid for %s.", m.ARN, m.Usage, op)
	}
	symmetric := m.Spec == SpecSymmetricDefault && algorithm == AlgorithmSymmetric // the usual case, without a list
	if !symmetric && !slices.Contains(algorithms(m.Spec, m.Usage), algorithm) {
		return Errorf(InvalidKeyUsageException, "Algorithm %s is incompatible with key spec %s.", algorithm, m.Spec)
	}
	return CheckState(op, m)
}
