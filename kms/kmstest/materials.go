package kmstest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

func automaticRotation(f *fixture) {
	k := f.key()
	st, err := f.b.GetKeyRotationStatus(f.ctx, k.ID)
	require.NoError(f, err)
	require.Equal(f, kms.RotationStatus{}, st)
	require.NoError(f, f.b.EnableKeyRotation(f.ctx, k.ID, 90))
	st, err = f.b.GetKeyRotationStatus(f.ctx, k.ID)
	require.NoError(f, err)
	require.True(f, st.Enabled)
	require.Equal(f, 90, st.PeriodDays)
	require.InDelta(f, 90*24*3600, time.Until(st.Next).Seconds(), 2*3600)
	require.NoError(f, f.b.DisableKeyRotation(f.ctx, k.ID))
	st, err = f.b.GetKeyRotationStatus(f.ctx, k.ID)
	require.NoError(f, err)
	require.Equal(f, kms.RotationStatus{}, st)

	require.NoError(f, f.b.EnableKeyRotation(f.ctx, k.ID, 2560))
	_, err = f.b.ScheduleKeyDeletion(f.ctx, k.ID, 7)
	require.NoError(f, err)
	st, err = f.b.GetKeyRotationStatus(f.ctx, k.ID)
	require.NoError(f, err)
	require.False(f, st.Enabled, "a key that waits for deletion is not rotated")
}

// notRotatable: keys that have no rotation, with the reason.
func notRotatable(f *fixture) {
	rsaKey := f.keyOf(kms.CreateKeyInput{Spec: kms.SpecP256, Usage: kms.UsageSignVerify})
	external := f.keyOf(kms.CreateKeyInput{Origin: kms.OriginExternal})
	for op, do := range map[kms.Operation]func(id string) error{
		kms.OpRotateKeyOnDemand:    func(id string) error { _, err := f.b.RotateKeyOnDemand(f.ctx, id); return err },
		kms.OpEnableKeyRotation:    func(id string) error { return f.b.EnableKeyRotation(f.ctx, id, 90) },
		kms.OpDisableKeyRotation:   func(id string) error { return f.b.DisableKeyRotation(f.ctx, id) },
		kms.OpGetKeyRotationStatus: func(id string) error { _, err := f.b.GetKeyRotationStatus(f.ctx, id); return err },
	} {
		f.refused(do(rsaKey.ID), kms.UnsupportedOperationException, rsaKey.ARN+" key spec is ECC_NIST_P256 which is not valid for "+string(op)+".")
		f.refused(do(external.ID), kms.UnsupportedOperationException, external.ARN+" origin is EXTERNAL which is not valid for this operation.")
	}
}

func (f *fixture) keyOf(in kms.CreateKeyInput) kms.KeyMetadata {
	f.Helper()
	if in.Spec == "" {
		in.Spec = kms.SpecSymmetricDefault
	}
	if in.Usage == "" {
		in.Usage = kms.UsageEncryptDecrypt
	}
	if in.Origin == "" {
		in.Origin = kms.OriginAWSKMS
	}
	m, err := f.b.CreateKey(f.ctx, in)
	require.NoError(f, err)
	require.Equal(f, in.Spec, m.Spec)
	require.Equal(f, in.Usage, m.Usage)
	require.Equal(f, in.Origin, m.Origin)
	return m
}

func multiRegion(f *fixture) {
	k := f.keyOf(kms.CreateKeyInput{MultiRegion: true})
	require.Regexp(f, `^mrk-[0-9a-f]{32}$`, k.ID)
	require.True(f, k.MultiRegion)
	blob := f.encrypt(k.ID, kms.Context{"a": "1"}, "x")
	require.Equal(f, "x", f.decrypt(kms.Context{"a": "1"}, blob))
	m, err := f.b.DescribeKey(f.ctx, k.ARN)
	require.NoError(f, err)
	require.Equal(f, k, m)
}

// wrapFor encrypts material for an import.
func (f *fixture) wrapFor(p kms.ImportParameters, material []byte) []byte {
	f.Helper()
	public, err := x509.ParsePKIXPublicKey(p.PublicKey)
	require.NoError(f, err)
	out, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	require.NoError(f, err)
	return out
}

func (f *fixture) parameters(keyID string) kms.ImportParameters {
	f.Helper()
	p, err := f.b.GetParametersForImport(f.ctx, keyID, kms.WrapOAEPSHA256, "RSA_2048")
	require.NoError(f, err)
	require.InDelta(f, 24*3600, time.Until(p.ValidTo).Seconds(), 600)
	return p
}

func importMaterial(f *fixture) {
	k := f.keyOf(kms.CreateKeyInput{Origin: kms.OriginExternal})
	require.Equal(f, kms.StatePendingImport, k.State)
	require.Empty(f, k.MaterialID)
	_, err := f.b.Encrypt(f.ctx, kms.EncryptInput{KeyID: k.ID, Plaintext: []byte("x")})
	f.refused(err, kms.KMSInvalidStateException, k.ARN+" is pending import.")

	secret := bytes.Repeat([]byte{7}, 32)
	p := f.parameters(k.ID)
	require.Equal(f, k.ARN, p.KeyARN)
	in := kms.ImportKeyMaterialInput{KeyID: k.ID, Token: p.Token, Encrypted: f.wrapFor(p, secret)}
	m, err := f.b.ImportKeyMaterial(f.ctx, in)
	require.NoError(f, err)
	require.Equal(f, kms.StateEnabled, m.State)
	require.Equal(f, kms.MaterialDoesNotExpire, m.ExpirationModel)
	blob := f.encrypt(k.ID, nil, "x")

	m, err = f.b.DeleteImportedKeyMaterial(f.ctx, k.ID)
	require.NoError(f, err)
	require.Equal(f, kms.StatePendingImport, m.State)
	_, err = f.b.DeleteImportedKeyMaterial(f.ctx, k.ID)
	require.NoError(f, err, "twice is no error")
	_, err = f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: blob})
	f.refused(err, kms.KMSInvalidStateException, k.ARN+" is pending import.")

	in.Encrypted = f.wrapFor(p, bytes.Repeat([]byte{8}, 32))
	_, err = f.b.ImportKeyMaterial(f.ctx, in)
	require.ErrorIs(f, err, kms.IncorrectKeyMaterialException)
	in.Encrypted, in.ValidTo = f.wrapFor(p, secret), time.Now().Add(time.Hour)
	m, err = f.b.ImportKeyMaterial(f.ctx, in)
	require.NoError(f, err)
	require.Equal(f, kms.MaterialExpires, m.ExpirationModel)
	require.WithinDuration(f, in.ValidTo, m.ValidTo, time.Second)
	require.Equal(f, "x", f.decrypt(nil, blob), "the same material opens what it sealed")
}

func importRefusals(f *fixture) {
	k, other, symmetric := f.keyOf(kms.CreateKeyInput{Origin: kms.OriginExternal}), f.keyOf(kms.CreateKeyInput{Origin: kms.OriginExternal}), f.key()
	p := f.parameters(k.ID)
	secret := bytes.Repeat([]byte{7}, 32)
	flipped := bytes.Clone(p.Token)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		keyID     string
		token     []byte
		encrypted []byte
		code      kms.Code
	}{
		{k.ID, p.Token, []byte("x"), kms.InvalidCiphertextException},
		{k.ID, p.Token, f.wrapFor(p, secret[:31]), kms.InvalidCiphertextException},
		{k.ID, []byte("x"), f.wrapFor(p, secret), kms.InvalidImportTokenException},
		{k.ID, flipped, f.wrapFor(p, secret), kms.InvalidImportTokenException},
		{other.ID, p.Token, f.wrapFor(p, secret), kms.InvalidImportTokenException},
		{symmetric.ID, p.Token, f.wrapFor(p, secret), kms.UnsupportedOperationException},
	} {
		_, err := f.b.ImportKeyMaterial(f.ctx, kms.ImportKeyMaterialInput{KeyID: c.keyID, Token: c.token, Encrypted: c.encrypted})
		require.Error(f, err)
		require.ErrorIs(f, err, c.code)
	}
	_, err := f.b.GetParametersForImport(f.ctx, symmetric.ID, kms.WrapOAEPSHA256, "RSA_2048")
	f.refused(err, kms.UnsupportedOperationException, symmetric.ARN+" origin is AWS_KMS which is not valid for this operation.")
	m, err := f.b.DescribeKey(f.ctx, k.ID)
	require.NoError(f, err)
	require.Equal(f, kms.StatePendingImport, m.State)
}
