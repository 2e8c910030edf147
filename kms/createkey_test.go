package kms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

// TestCreateKeyRefusals: what does not go together, in AWS's words where they are known.
func TestCreateKeyRefusals(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	for _, c := range []struct {
		in   kms.CreateKeyInput
		want string
	}{
		{kms.CreateKeyInput{Spec: "RSA_2048"}, "ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{kms.CreateKeyInput{Spec: "HMAC_256"}, "ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{kms.CreateKeyInput{Usage: "SIGN_VERIFY"}, "ValidationException: KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"},
		{kms.CreateKeyInput{Spec: "ECC_NIST_P256", Usage: "ENCRYPT_DECRYPT"}, "ValidationException: KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256"},
		{kms.CreateKeyInput{Spec: "HMAC_256", Usage: "SIGN_VERIFY"}, "ValidationException: KeyUsage SIGN_VERIFY is not compatible with KeySpec HMAC_256"},
		{kms.CreateKeyInput{Spec: "RSA_1024", Usage: "SIGN_VERIFY"}, "ValidationException: 1 validation error detected: Value 'RSA_1024' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: ["},
		{kms.CreateKeyInput{Usage: "X"}, "ValidationException: 1 validation error detected: Value 'X' at 'keyUsage' failed to satisfy constraint: Member must satisfy enum value set: ["},
		{kms.CreateKeyInput{Origin: "X"}, "ValidationException: 1 validation error detected: Value 'X' at 'origin' failed"},
		{kms.CreateKeyInput{Spec: "ECC_SECG_P256K1", Usage: "SIGN_VERIFY"}, "UnsupportedOperationException: The key spec ECC_SECG_P256K1 is not supported here: no implementation of it is in Go's standard library."},
		{kms.CreateKeyInput{Spec: "ECC_NIST_P256", Usage: "KEY_AGREEMENT"}, "UnsupportedOperationException: The key usage KEY_AGREEMENT"},
		{kms.CreateKeyInput{Origin: "AWS_CLOUDHSM"}, "UnsupportedOperationException: There are no custom key stores here"},
		{kms.CreateKeyInput{Origin: "EXTERNAL", Spec: "HMAC_256", Usage: "GENERATE_VERIFY_MAC"}, "UnsupportedOperationException: Imported material is supported here for"},
		{kms.CreateKeyInput{Tags: []kms.Tag{{Key: "a"}, {Key: "a"}}}, "TagException: Duplicate tag keys"},
		{kms.CreateKeyInput{Policy: "x"}, "MalformedPolicyDocumentException: line 1, column 1: not valid JSON"},
	} {
		_, err := s.CreateKey(as("alice"), c.in)
		require.Error(t, err)
		require.ErrorContains(t, err, c.want)
	}
	page, err := s.ListKeys(as("alice"), "", 0)
	require.NoError(t, err)
	require.Empty(t, page.Keys)
}

// TestNotForS3: SSE-KMS takes symmetric keys only, with the reason in KMS's words.
func TestNotForS3(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	for _, c := range []struct{ spec, usage, want string }{
		{kms.SpecRSA2048, kms.UsageSignVerify, "%s key usage is SIGN_VERIFY which is not valid for GenerateDataKey."},
		{kms.SpecP256, kms.UsageSignVerify, "%s key usage is SIGN_VERIFY which is not valid for GenerateDataKey."},
		{kms.SpecHMAC256, kms.UsageMAC, "%s key usage is GENERATE_VERIFY_MAC which is not valid for GenerateDataKey."},
		{kms.SpecRSA2048, kms.UsageEncryptDecrypt, "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
	} {
		m, err := s.CreateKey(asRoot(), kms.CreateKeyInput{Spec: c.spec, Usage: c.usage})
		require.NoError(t, err)
		want := "InvalidKeyUsageException: " + strings.ReplaceAll(c.want, "%s", m.ARN)
		_, err = s.ResolveKey(asRoot(), m.ID)
		require.EqualError(t, err, want)
		for _, bk := range []bool{false, true} {
			_, _, err = s.NewDataKey(asRoot(), request(kms.SSEKMS, m.ID, bk, nil))
			require.EqualError(t, err, want)
		}
	}
}

func TestTags(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	long := func(n int) string { return strings.Repeat("ü", n) }
	for _, c := range []struct {
		tags []kms.Tag
		want string
	}{
		{[]kms.Tag{{Key: "a"}, {Key: "a", Value: "1"}}, "TagException: Duplicate tag keys"},
		{[]kms.Tag{{Key: "aws:a"}}, "TagException: Tags beginning with aws: are reserved"},
		{[]kms.Tag{{Key: "AWS:a"}}, "TagException: Tags beginning with aws: are reserved"},
		{make51(), "TagException: Too many tags"},
		{[]kms.Tag{{}}, "ValidationException: 1 validation error detected: Value at 'tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{[]kms.Tag{{Key: long(129)}}, "ValidationException: 1 validation error detected: Value at 'tagKey' failed to satisfy constraint: Member must have length less than or equal to 128"},
		{[]kms.Tag{{Key: "a", Value: long(257)}}, "ValidationException: 1 validation error detected: Value at 'tagValue' failed to satisfy constraint: Member must have length less than or equal to 256"},
		{[]kms.Tag{{Key: "a\xff"}}, "TagException: A tag is not valid UTF-8"},
	} {
		require.EqualError(t, s.TagResource(as("alice"), m.ID, c.tags), c.want)
	}
	require.NoError(t, s.TagResource(as("alice"), m.ID, []kms.Tag{{Key: long(128), Value: long(256)}}))
	require.ErrorContains(t, s.UntagResource(as("alice"), m.ID, []string{"aws:x"}), "reserved")
	require.NoError(t, s.UntagResource(as("alice"), m.ID, []string{long(128)}))
	page, err := s.ListResourceTags(as("alice"), m.ID, "", 0)
	require.NoError(t, err)
	require.Empty(t, page.Tags)
	_, err = s.ListResourceTags(as("alice"), m.ID, "", 51)
	require.ErrorIs(t, err, kms.ValidationException)
}

func make51() (out []kms.Tag) {
	for i := range 51 {
		out = append(out, kms.Tag{Key: fmt.Sprint(i)})
	}
	return out
}

func TestRotationInput(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	const failed = "ValidationException: 1 validation error detected: Value '%d' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value "
	require.EqualError(t, s.EnableKeyRotation(as("alice"), m.ID, 89), fmt.Sprintf(failed+"greater than or equal to 90", 89))
	require.EqualError(t, s.EnableKeyRotation(as("alice"), m.ID, 2561), fmt.Sprintf(failed+"less than or equal to 2560", 2561))
	require.NoError(t, s.EnableKeyRotation(as("alice"), m.ID, 0))
	st, err := s.GetKeyRotationStatus(as("alice"), m.ID)
	require.NoError(t, err)
	require.Equal(t, 365, st.PeriodDays)
}

func TestImportInput(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m, err := s.CreateKey(asRoot(), kms.CreateKeyInput{Origin: kms.OriginExternal})
	require.NoError(t, err)
	for _, c := range []struct {
		in   kms.ImportKeyMaterialInput
		want string
	}{
		{kms.ImportKeyMaterialInput{}, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"},
		{kms.ImportKeyMaterialInput{ValidTo: time.Now().Add(-time.Second)}, "it must be in the future, and within 365 days"},
		{kms.ImportKeyMaterialInput{ValidTo: time.Now().AddDate(2, 0, 0)}, "it must be in the future, and within 365 days"},
		{kms.ImportKeyMaterialInput{ValidTo: time.Now(), ExpirationModel: kms.MaterialDoesNotExpire}, "A validTo date must not be set"},
		{kms.ImportKeyMaterialInput{ExpirationModel: "X"}, "Value 'X' at 'expirationModel'"},
		{kms.ImportKeyMaterialInput{ExpirationModel: kms.MaterialDoesNotExpire}, "Value at 'importToken'"},
		{kms.ImportKeyMaterialInput{ExpirationModel: kms.MaterialDoesNotExpire, Token: []byte("x")}, "Value at 'encryptedKeyMaterial'"},
	} {
		c.in.KeyID = m.ID
		_, err := s.ImportKeyMaterial(asRoot(), c.in)
		require.ErrorIs(t, err, kms.ValidationException)
		require.ErrorContains(t, err, c.want)
	}
	_, err = s.GetParametersForImport(asRoot(), m.ID, "X", "RSA_2048")
	require.ErrorContains(t, err, "Value 'X' at 'wrappingAlgorithm'")
	_, err = s.GetParametersForImport(asRoot(), m.ID, "RSAES_PKCS1_V1_5", "RSA_2048")
	require.ErrorIs(t, err, kms.UnsupportedOperationException)
	_, err = s.GetParametersForImport(asRoot(), m.ID, kms.WrapOAEPSHA1, "RSA_1024")
	require.ErrorContains(t, err, "Value 'RSA_1024' at 'wrappingKeySpec'")
}
