package kmsapi_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"
)

const (
	aliceARN = "arn:aws:iam::000000000000:user/alice"
	bobARN   = "arn:aws:iam::000000000000:user/bob"
)

// as is the same door for another user.
func (d *door) as(name string) *sdk.Client {
	d.t.Helper()
	key, err := d.users.Create(name)
	require.NoError(d.t, err)
	return (&door{t: d.t, url: d.url, alice: key}).sdkClient()
}

// TestSDKPolicies: a policy keeps a user out and a grant lets him in, both at once.
func TestSDKPolicies(t *testing.T) {
	ctx, d := context.Background(), newDoor(t)
	alice, bob := d.sdkClient(), d.as("bob")
	onlyAlice := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + aliceARN + `"},"Action":"kms:*","Resource":"*"}]}`
	id, arn := d.key()
	use := &sdk.GenerateDataKeyInput{KeyId: &id, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"department": "hr"}}
	_, err := bob.GenerateDataKey(ctx, use)
	require.NoError(t, err, "the default policy lets every user of the account")
	names, err := alice.ListKeyPolicies(ctx, &sdk.ListKeyPoliciesInput{KeyId: &id})
	require.NoError(t, err)
	require.Equal(t, []string{"default"}, names.PolicyNames)
	_, err = alice.PutKeyPolicy(ctx, &sdk.PutKeyPolicyInput{KeyId: &id, Policy: &onlyAlice})
	require.NoError(t, err)
	got, err := alice.GetKeyPolicy(ctx, &sdk.GetKeyPolicyInput{KeyId: &id})
	require.NoError(t, err)
	require.JSONEq(t, onlyAlice, *got.Policy)
	_, err = bob.GenerateDataKey(ctx, use)
	require.Error(t, err)
	require.ErrorContains(t, err, "AccessDeniedException: User: "+bobARN+" is not authorized to perform: kms:GenerateDataKey on resource: "+arn+
		" because no resource-based policy allows the kms:GenerateDataKey action")
	_, err = alice.PutKeyPolicy(ctx, &sdk.PutKeyPolicyInput{KeyId: &id, Policy: aws.String(`{"Version":`)})
	require.Error(t, err)
	var malformed *types.MalformedPolicyDocumentException
	require.ErrorAs(t, err, &malformed)

	grant, err := alice.CreateGrant(ctx, &sdk.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String(bobARN), Operations: []types.GrantOperation{types.GrantOperationGenerateDataKey},
		Name: aws.String("payroll"), RetiringPrincipal: aws.String(aliceARN), Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"department": "hr"}}})
	require.NoError(t, err)
	_, err = bob.GenerateDataKey(ctx, use)
	require.NoError(t, err)
	for name, list := range map[string]func() ([]types.GrantListEntry, error){
		"ListGrants": func() ([]types.GrantListEntry, error) {
			out, err := alice.ListGrants(ctx, &sdk.ListGrantsInput{KeyId: &id})
			return out.Grants, err
		},
		"ListRetirableGrants": func() ([]types.GrantListEntry, error) {
			out, err := alice.ListRetirableGrants(ctx, &sdk.ListRetirableGrantsInput{RetiringPrincipal: aws.String(aliceARN)})
			return out.Grants, err
		},
	} {
		grants, err := list()
		require.NoError(t, err, name)
		require.Len(t, grants, 1, name)
		require.Equal(t, *grant.GrantId, *grants[0].GrantId)
		require.Equal(t, bobARN, *grants[0].GranteePrincipal)
		require.Equal(t, arn, *grants[0].KeyId)
		require.Equal(t, map[string]string{"department": "hr"}, grants[0].Constraints.EncryptionContextSubset)
	}
	_, err = alice.RevokeGrant(ctx, &sdk.RevokeGrantInput{KeyId: &id, GrantId: grant.GrantId, DryRun: aws.Bool(true)})
	require.Error(t, err)
	var dry *types.DryRunOperationException
	require.ErrorAs(t, err, &dry)
	_, err = alice.RetireGrant(ctx, &sdk.RetireGrantInput{GrantToken: grant.GrantToken})
	require.NoError(t, err)
	_, err = bob.GenerateDataKey(ctx, use)
	require.Error(t, err)
}

func TestSDKTagsAndRotation(t *testing.T) {
	ctx, c := context.Background(), newDoor(t).sdkClient()
	made, err := c.CreateKey(ctx, &sdk.CreateKeyInput{MultiRegion: aws.Bool(true), Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}})
	require.NoError(t, err)
	id := made.KeyMetadata.KeyId
	require.True(t, strings.HasPrefix(*id, "mrk-"))
	require.Equal(t, types.MultiRegionKeyTypePrimary, made.KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType)
	_, err = c.TagResource(ctx, &sdk.TagResourceInput{KeyId: id, Tags: []types.Tag{{TagKey: aws.String("b"), TagValue: aws.String("2")}, {TagKey: aws.String("c"), TagValue: aws.String("")}}})
	require.NoError(t, err)
	_, err = c.UntagResource(ctx, &sdk.UntagResourceInput{KeyId: id, TagKeys: []string{"a"}})
	require.NoError(t, err)
	var names []string
	pages := sdk.NewListResourceTagsPaginator(c, &sdk.ListResourceTagsInput{KeyId: id, Limit: aws.Int32(1)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		require.NoError(t, err)
		for _, tag := range p.Tags {
			names = append(names, *tag.TagKey)
		}
	}
	require.Equal(t, []string{"b", "c"}, names)

	_, err = c.EnableKeyRotation(ctx, &sdk.EnableKeyRotationInput{KeyId: id, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	st, err := c.GetKeyRotationStatus(ctx, &sdk.GetKeyRotationStatusInput{KeyId: id})
	require.NoError(t, err)
	require.True(t, st.KeyRotationEnabled)
	require.EqualValues(t, 90, *st.RotationPeriodInDays)
	require.InDelta(t, 90*24, time.Until(*st.NextRotationDate).Hours(), 1)
	_, err = c.DisableKeyRotation(ctx, &sdk.DisableKeyRotationInput{KeyId: id})
	require.NoError(t, err)
	st, err = c.GetKeyRotationStatus(ctx, &sdk.GetKeyRotationStatusInput{KeyId: id})
	require.NoError(t, err)
	require.False(t, st.KeyRotationEnabled)
	require.Nil(t, st.NextRotationDate)
}

func TestSDKSigning(t *testing.T) {
	ctx, c := context.Background(), newDoor(t).sdkClient()
	made, err := c.CreateKey(ctx, &sdk.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	require.NoError(t, err)
	require.Equal(t, []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEcdsaSha256}, made.KeyMetadata.SigningAlgorithms)
	require.Nil(t, made.KeyMetadata.CurrentKeyMaterialId)
	id, digest := made.KeyMetadata.KeyId, sha256.Sum256([]byte("message"))
	signed, err := c.Sign(ctx, &sdk.SignInput{KeyId: id, Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	require.NoError(t, err)
	public, err := c.GetPublicKey(ctx, &sdk.GetPublicKeyInput{KeyId: id})
	require.NoError(t, err)
	key, err := x509.ParsePKIXPublicKey(public.PublicKey)
	require.NoError(t, err)
	require.True(t, ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], signed.Signature))
	ok, err := c.Verify(ctx, &sdk.VerifyInput{KeyId: id, Message: []byte("message"), Signature: signed.Signature, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	require.NoError(t, err)
	require.True(t, ok.SignatureValid)
	_, err = c.Verify(ctx, &sdk.VerifyInput{KeyId: id, Message: []byte("massage"), Signature: signed.Signature, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	require.Error(t, err)
	var wrong *types.KMSInvalidSignatureException
	require.ErrorAs(t, err, &wrong)
	_, err = c.GenerateDataKey(ctx, &sdk.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256})
	require.Error(t, err)
	require.ErrorContains(t, err, *made.KeyMetadata.Arn+" key usage is SIGN_VERIFY which is not valid for GenerateDataKey.")

	made, err = c.CreateKey(ctx, &sdk.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	require.NoError(t, err)
	id = made.KeyMetadata.KeyId
	mac, err := c.GenerateMac(ctx, &sdk.GenerateMacInput{KeyId: id, Message: []byte("message"), MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
	require.NoError(t, err)
	valid, err := c.VerifyMac(ctx, &sdk.VerifyMacInput{KeyId: id, Message: []byte("message"), Mac: mac.Mac, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
	require.NoError(t, err)
	require.True(t, valid.MacValid)
	mac.Mac[0] ^= 1
	_, err = c.VerifyMac(ctx, &sdk.VerifyMacInput{KeyId: id, Message: []byte("message"), Mac: mac.Mac, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
	require.Error(t, err)
	var wrongMac *types.KMSInvalidMacException
	require.ErrorAs(t, err, &wrongMac)

	made, err = c.CreateKey(ctx, &sdk.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeEncryptDecrypt})
	require.NoError(t, err)
	id = made.KeyMetadata.KeyId
	public, err = c.GetPublicKey(ctx, &sdk.GetPublicKeyInput{KeyId: id})
	require.NoError(t, err)
	key, err = x509.ParsePKIXPublicKey(public.PublicKey)
	require.NoError(t, err)
	blob, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key.(*rsa.PublicKey), []byte("secret"), nil)
	require.NoError(t, err)
	open, err := c.Decrypt(ctx, &sdk.DecryptInput{KeyId: id, CiphertextBlob: blob, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256})
	require.NoError(t, err)
	require.Equal(t, "secret", string(open.Plaintext))
	require.Equal(t, types.EncryptionAlgorithmSpecRsaesOaepSha256, open.EncryptionAlgorithm)
}

func TestSDKImport(t *testing.T) {
	ctx, c := context.Background(), newDoor(t).sdkClient()
	made, err := c.CreateKey(ctx, &sdk.CreateKeyInput{Origin: types.OriginTypeExternal})
	require.NoError(t, err)
	require.Equal(t, types.KeyStatePendingImport, made.KeyMetadata.KeyState)
	id, arn := made.KeyMetadata.KeyId, *made.KeyMetadata.Arn
	use := &sdk.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256}
	_, err = c.GenerateDataKey(ctx, use)
	require.Error(t, err)
	require.ErrorContains(t, err, "KMSInvalidStateException: "+arn+" is pending import.")
	p, err := c.GetParametersForImport(ctx, &sdk.GetParametersForImportInput{KeyId: id, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	require.NoError(t, err)
	require.InDelta(t, 24, time.Until(*p.ParametersValidTo).Hours(), 1)
	key, err := x509.ParsePKIXPublicKey(p.PublicKey)
	require.NoError(t, err)
	material := make([]byte, 32)
	rand.Read(material)
	wrapped, err := rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, key.(*rsa.PublicKey), material, nil)
	require.NoError(t, err)
	ends := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	in := &sdk.ImportKeyMaterialInput{KeyId: id, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrapped, ValidTo: &ends, ExpirationModel: types.ExpirationModelTypeKeyMaterialExpires}
	done, err := c.ImportKeyMaterial(ctx, in)
	require.NoError(t, err)
	require.Len(t, *done.KeyMaterialId, 64)
	_, err = c.GenerateDataKey(ctx, use)
	require.NoError(t, err)
	m, err := c.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: id})
	require.NoError(t, err)
	require.Equal(t, ends, *m.KeyMetadata.ValidTo)
	require.Equal(t, types.ExpirationModelTypeKeyMaterialExpires, m.KeyMetadata.ExpirationModel)
	in.ImportToken[len(in.ImportToken)-1] ^= 1
	_, err = c.ImportKeyMaterial(ctx, in)
	require.Error(t, err)
	var token *types.InvalidImportTokenException
	require.ErrorAs(t, err, &token)
	_, err = c.DeleteImportedKeyMaterial(ctx, &sdk.DeleteImportedKeyMaterialInput{KeyId: id})
	require.NoError(t, err)
	_, err = c.GenerateDataKey(ctx, use)
	require.Error(t, err)
	require.ErrorContains(t, err, " is pending import.")
}
