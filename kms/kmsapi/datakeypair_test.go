package kmsapi_test

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// TestSDKDataKeyPairs: the halves belong together, and the wrapped private half is what came in the clear.
func TestSDKDataKeyPairs(t *testing.T) {
	d := newDoor(t)
	c, ctx := d.sdkClient(), t.Context()
	_, arn := d.key()
	bound := map[string]string{"for": "signing"}
	for _, spec := range []types.DataKeyPairSpec{types.DataKeyPairSpecRsa2048, types.DataKeyPairSpecEccNistP256, types.DataKeyPairSpecEccNistP384,
		types.DataKeyPairSpecEccNistP521, types.DataKeyPairSpecEccNistEdwards25519} {
		p, err := c.GenerateDataKeyPair(ctx, &sdk.GenerateDataKeyPairInput{KeyId: &arn, KeyPairSpec: spec, EncryptionContext: bound})
		require.NoError(t, err, spec)
		require.Equal(t, arn, *p.KeyId)
		require.Len(t, *p.KeyMaterialId, 64)
		require.Equal(t, spec, p.KeyPairSpec)
		private, err := x509.ParsePKCS8PrivateKey(p.PrivateKeyPlaintext)
		require.NoError(t, err, spec)
		public, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
		require.NoError(t, err)
		require.Equal(t, public, p.PublicKey)
		open, err := c.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: p.PrivateKeyCiphertextBlob, EncryptionContext: bound})
		require.NoError(t, err)
		require.Equal(t, p.PrivateKeyPlaintext, open.Plaintext)
	}
	p, err := c.GenerateDataKeyPairWithoutPlaintext(ctx, &sdk.GenerateDataKeyPairWithoutPlaintextInput{KeyId: &arn, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
	require.NoError(t, err)
	open, err := c.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: p.PrivateKeyCiphertextBlob})
	require.NoError(t, err)
	private, err := x509.ParsePKCS8PrivateKey(open.Plaintext)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
	require.NoError(t, err)
	require.Equal(t, public, p.PublicKey)
	got := d.send(d.request("GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"`+arn+`","KeyPairSpec":"ECC_NIST_P256"}`))
	require.Equal(t, http.StatusOK, got.status)
	require.NotContains(t, got.body, "PrivateKeyPlaintext")
	events := d.audit.Events()
	last := events[len(events)-1]
	require.Equal(t, kms.OpGenerateDataKeyPairWithoutPlaintext, last.Operation)
	require.Equal(t, "ECC_NIST_P256", last.Algorithm)
	require.Equal(t, arn, last.KeyARN)
}

func TestSDKLastUsage(t *testing.T) {
	d := newDoor(t)
	c, ctx := d.sdkClient(), t.Context()
	id, arn := d.key()
	u, err := c.GetKeyLastUsage(ctx, &sdk.GetKeyLastUsageInput{KeyId: &id})
	require.NoError(t, err)
	require.Equal(t, arn, *u.KeyId)
	require.Empty(t, u.KeyLastUsage.Operation)
	require.Nil(t, u.KeyLastUsage.Timestamp)
	require.False(t, u.TrackingStartDate.Before(*u.KeyCreationDate))
	_, err = c.Encrypt(ctx, &sdk.EncryptInput{KeyId: &id, Plaintext: []byte("x"), DryRun: aws.Bool(true)})
	require.Error(t, err)
	_, err = c.GenerateDataKey(ctx, &sdk.GenerateDataKeyInput{KeyId: &id, KeySpec: types.DataKeySpecAes256})
	require.NoError(t, err)
	u, err = c.GetKeyLastUsage(ctx, &sdk.GetKeyLastUsageInput{KeyId: &id})
	require.NoError(t, err)
	require.EqualValues(t, "GenerateDataKey", u.KeyLastUsage.Operation)
	require.False(t, u.KeyLastUsage.Timestamp.Before(*u.KeyCreationDate))
}
