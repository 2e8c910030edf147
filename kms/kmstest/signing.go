package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha512" // crypto.SHA384 and SHA512
	"crypto/x509"
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// signing: every spec signs with every algorithm of its own, verifiable with the public key alone, and refuses all others.
func signing(f *fixture) {
	message := []byte("message")
	for _, spec := range []string{kms.SpecRSA2048, kms.SpecP256, kms.SpecP384, kms.SpecP521, kms.SpecEd25519} {
		k := f.keyOf(kms.CreateKeyInput{Spec: spec, Usage: kms.UsageSignVerify})
		require.Empty(f, k.MaterialID)
		public, err := f.b.GetPublicKey(f.ctx, k.ID)
		require.NoError(f, err)
		require.Equal(f, k, public.Key)
		require.NotEmpty(f, k.SigningAlgorithms())
		for _, algorithm := range k.SigningAlgorithms() {
			in := kms.SignInput{KeyID: k.ID, Message: message, Algorithm: algorithm}
			s, err := f.b.Sign(f.ctx, in)
			require.NoError(f, err, algorithm)
			require.Equal(f, k.ARN, s.KeyARN)
			requireSignature(f, public.DER, algorithm, message, s.Bytes)
			arn, err := f.b.Verify(f.ctx, in, s.Bytes)
			require.NoError(f, err, algorithm)
			require.Equal(f, k.ARN, arn)
			s.Bytes[len(s.Bytes)-1] ^= 1
			_, err = f.b.Verify(f.ctx, in, s.Bytes)
			f.refused(err, kms.KMSInvalidSignatureException, "")
			f.digests(in)
		}
		_, err = f.b.Sign(f.ctx, kms.SignInput{KeyID: k.ID, Message: message, Algorithm: "SM2DSA"})
		f.refused(err, kms.InvalidKeyUsageException, "Algorithm SM2DSA is incompatible with key spec "+spec+".")
		_, err = f.b.GenerateDataKey(f.ctx, kms.GenerateDataKeyInput{KeyID: k.ID, Bytes: 32})
		f.refused(err, kms.InvalidKeyUsageException, k.ARN+" key usage is SIGN_VERIFY which is not valid for GenerateDataKey.")
		require.NoError(f, f.b.DisableKey(f.ctx, k.ID))
		_, err = f.b.Sign(f.ctx, kms.SignInput{KeyID: k.ID, Message: message, Algorithm: k.SigningAlgorithms()[0]})
		f.refused(err, kms.DisabledException, k.ARN+" is disabled.")
	}
}

func hashOf(algorithm string) crypto.Hash {
	return map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[len(algorithm)-3:]]
}

// digests: a digest is signed like its message, and must have the algorithm's length.
func (f *fixture) digests(in kms.SignInput) {
	f.Helper()
	h := hashOf(in.Algorithm).New()
	h.Write(in.Message)
	digest := in
	digest.Digest, digest.Message = true, h.Sum(nil)
	s, err := f.b.Sign(f.ctx, digest)
	if in.Algorithm == "ED25519_SHA_512" {
		require.ErrorIs(f, err, kms.ValidationException)
		return
	}
	require.NoError(f, err)
	_, err = f.b.Verify(f.ctx, in, s.Bytes)
	require.NoError(f, err)
	digest.Message = digest.Message[1:]
	_, err = f.b.Sign(f.ctx, digest)
	f.refused(err, kms.ValidationException, "Digest is invalid length for algorithm "+in.Algorithm+".")
}

func requireSignature(f *fixture, der []byte, algorithm string, message, signature []byte) {
	f.Helper()
	public, err := x509.ParsePKIXPublicKey(der)
	require.NoError(f, err)
	hash := hashOf(algorithm)
	h := hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if strings.Contains(algorithm, "PSS") {
			require.NoError(f, rsa.VerifyPSS(pub, hash, digest, signature, nil))
			return
		}
		require.NoError(f, rsa.VerifyPKCS1v15(pub, hash, digest, signature))
	case *ecdsa.PublicKey:
		require.True(f, ecdsa.VerifyASN1(pub, digest, signature))
	case ed25519.PublicKey:
		if strings.Contains(algorithm, "PH") {
			require.NoError(f, ed25519.VerifyWithOptions(pub, digest, signature, &ed25519.Options{Hash: hash}))
			return
		}
		require.True(f, ed25519.Verify(pub, message, signature))
	default:
		f.Fatalf("%T", public)
	}
}

func macs(f *fixture) {
	for spec, size := range map[string]int{kms.SpecHMAC224: 28, kms.SpecHMAC256: 32, kms.SpecHMAC384: 48, kms.SpecHMAC512: 64} {
		k := f.keyOf(kms.CreateKeyInput{Spec: spec, Usage: kms.UsageMAC})
		in := kms.MacInput{KeyID: k.ID, Message: []byte("m"), Algorithm: k.MacAlgorithms()[0]}
		mac, err := f.b.GenerateMac(f.ctx, in)
		require.NoError(f, err)
		require.Len(f, mac.Bytes, size)
		require.Equal(f, k.ARN, mac.KeyARN)
		_, err = f.b.VerifyMac(f.ctx, in, mac.Bytes)
		require.NoError(f, err)
		for _, bad := range [][]byte{mac.Bytes[1:], append(bytes.Clone(mac.Bytes), 0), append([]byte{mac.Bytes[0] ^ 1}, mac.Bytes[1:]...)} {
			_, err = f.b.VerifyMac(f.ctx, in, bad)
			f.refused(err, kms.KMSInvalidMacException, "")
		}
		in.Algorithm = "HMAC_SHA_1"
		_, err = f.b.GenerateMac(f.ctx, in)
		f.refused(err, kms.InvalidKeyUsageException, "Algorithm HMAC_SHA_1 is incompatible with key spec "+spec+".")
		_, err = f.b.GetPublicKey(f.ctx, k.ID)
		f.refused(err, kms.UnsupportedOperationException, k.ARN+" key spec is "+spec+" which is not valid for GetPublicKey.")
	}
}

func rsaEncryption(f *fixture) {
	k := f.keyOf(kms.CreateKeyInput{Spec: kms.SpecRSA2048, Usage: kms.UsageEncryptDecrypt})
	require.Equal(f, []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}, k.EncryptionAlgorithms())
	for algorithm, most := range map[string]int{"RSAES_OAEP_SHA_1": 214, "RSAES_OAEP_SHA_256": 190} {
		in := kms.EncryptInput{KeyID: k.ID, Algorithm: algorithm, Plaintext: bytes.Repeat([]byte{1}, most)}
		c, err := f.b.Encrypt(f.ctx, in)
		require.NoError(f, err)
		d := kms.DecryptInput{KeyID: k.ID, Algorithm: algorithm, Blob: c.Blob}
		p, err := f.b.Decrypt(f.ctx, d)
		require.NoError(f, err)
		require.Equal(f, in.Plaintext, p.Bytes)
		d.Blob[0] ^= 1
		_, err = f.b.Decrypt(f.ctx, d)
		f.refused(err, kms.InvalidCiphertextException, "")
		in.Plaintext = append(in.Plaintext, 1)
		_, err = f.b.Encrypt(f.ctx, in)
		require.ErrorIs(f, err, kms.ValidationException)
		in.Plaintext, in.Context = in.Plaintext[:1], kms.Context{"a": "1"}
		_, err = f.b.Encrypt(f.ctx, in)
		require.ErrorIs(f, err, kms.ValidationException)
		d.KeyID = ""
		_, err = f.b.Decrypt(f.ctx, d)
		require.ErrorIs(f, err, kms.ValidationException)
	}
	_, err := f.b.Encrypt(f.ctx, kms.EncryptInput{KeyID: k.ID, Plaintext: []byte("x")})
	f.refused(err, kms.InvalidKeyUsageException, "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.")
	symmetric := f.key()
	_, err = f.b.Encrypt(f.ctx, kms.EncryptInput{KeyID: symmetric.ID, Plaintext: []byte("x"), Algorithm: "RSAES_OAEP_SHA_256"})
	f.refused(err, kms.InvalidKeyUsageException, "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.")
}
