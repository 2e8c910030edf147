package kmstest

import (
	"bytes"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

func generateDataKey(f *fixture) {
	k := f.key()
	ctx := kms.Context{"a": "1", "b": "2"}
	seen := map[string]bool{}
	for _, n := range []int{1, 32, 64, 1024} {
		d, err := f.b.GenerateDataKey(f.ctx, kms.GenerateDataKeyInput{KeyID: k.ID, Context: ctx, Bytes: n})
		require.NoError(f, err)
		require.Len(f, d.Plaintext, n)
		require.Equal(f, k.ARN, d.KeyARN)
		require.LessOrEqual(f, len(d.Blob), kms.MaxBlob)
		require.Equal(f, string(d.Plaintext), f.decrypt(ctx, d.Blob))
		require.False(f, seen[string(d.Plaintext)], "random")
		seen[string(d.Plaintext)] = true
	}
}

func generateWithoutPlaintext(f *fixture) {
	k := f.key()
	d, err := f.b.GenerateDataKey(f.ctx, kms.GenerateDataKeyInput{KeyID: k.ID, Bytes: 32, WithoutPlaintext: true})
	require.NoError(f, err)
	require.Nil(f, d.Plaintext)
	require.Len(f, f.decrypt(nil, d.Blob), 32)
}

func encryptDiffers(f *fixture) {
	k := f.key()
	require.NotEqual(f, f.encrypt(k.ID, nil, "same"), f.encrypt(k.ID, nil, "same"))
}

func encryptSizes(f *fixture) {
	k := f.key()
	for _, n := range []int{1, 31, 4096} {
		blob := f.encrypt(k.ID, nil, string(bytes.Repeat([]byte{'x'}, n)))
		require.LessOrEqual(f, len(blob), kms.MaxBlob)
		require.Len(f, f.decrypt(nil, blob), n)
	}
}

func decryptContext(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, kms.Context{"a": "1", "b": "2"}, "x")
	require.Equal(f, "x", f.decrypt(kms.Context{"b": "2", "a": "1"}, blob))
	for _, c := range []kms.Context{nil, {}, {"a": "1"}, {"a": "1", "b": "3"}, {"a": "1", "B": "2"}, {"a": "1b", "": "2"},
		{"a": "1", "b": "2", "c": ""}, {"a": "2", "b": "1"}} {
		if _, nameless := c[""]; nameless && f.remote {
			continue
		}
		_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Context: c, Blob: blob})
		f.refused(err, kms.InvalidCiphertextException, "")
	}
	bare := f.encrypt(k.ID, nil, "x")
	require.Equal(f, "x", f.decrypt(kms.Context{}, bare), "nil and empty are the same")
	_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Context: kms.Context{"a": "1"}, Blob: bare})
	f.refused(err, kms.InvalidCiphertextException, "")
}

// decryptAltered flips one bit of every byte. With the key id given, each must be refused, and never with bytes.
func decryptAltered(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "secret")
	for i := range blob {
		bad := bytes.Clone(blob)
		bad[i] ^= 1
		p, err := f.b.Decrypt(f.ctx, kms.DecryptInput{KeyID: k.ID, Blob: bad})
		require.Error(f, err, "byte %d", i)
		code := kms.CodeOf(err)
		require.True(f, code == kms.InvalidCiphertextException || code == kms.IncorrectKeyException, "byte %d: %v", i, err)
		require.Nil(f, p.Bytes)
	}
	for n := range len(blob) {
		_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: blob[:n]})
		f.refused(err, kms.InvalidCiphertextException, "")
	}
	_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: append(bytes.Clone(blob), 0)})
	f.refused(err, kms.InvalidCiphertextException, "")
}

// decryptForeign takes a blob of a key that a second backend of the same kind would not have: this one's, destroyed
// keys aside, is had by changing the key id inside, wherever the provider keeps it.
func decryptForeign(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "secret")
	var denied int
	for i := range blob {
		bad := bytes.Clone(blob)
		bad[i] ^= 1
		_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: bad})
		require.Error(f, err, "byte %d", i)
		if kms.CodeOf(err) != kms.AccessDeniedException {
			f.refused(err, kms.InvalidCiphertextException, "")
			continue
		}
		f.refused(err, kms.AccessDeniedException, "The ciphertext refers to a customer master key that does not exist, "+
			"does not exist in this region, or you are not allowed to access.")
		denied++
	}
	require.Positive(f, denied, "a blob names its key")
}

func decryptKeyID(f *fixture) {
	k, other := f.key(), f.key()
	blob := f.encrypt(k.ID, nil, "x")
	p, err := f.b.Decrypt(f.ctx, kms.DecryptInput{KeyID: k.ARN, Blob: blob})
	require.NoError(f, err)
	require.Equal(f, k.ARN, p.KeyARN)
	require.Equal(f, k.MaterialID, p.MaterialID)
	_, err = f.b.Decrypt(f.ctx, kms.DecryptInput{KeyID: other.ARN, Blob: blob})
	f.refused(err, kms.IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation.")
}

func reEncrypt(f *fixture) {
	a, b := f.key(), f.key()
	blob := f.encrypt(a.ID, kms.Context{"old": "1"}, "x")
	r, err := f.b.ReEncrypt(f.ctx, kms.ReEncryptInput{
		Blob: blob, SourceKeyID: a.ID, SourceContext: kms.Context{"old": "1"}, KeyID: b.ID, Context: kms.Context{"new": "2"},
	})
	require.NoError(f, err)
	require.Equal(f, a.ARN, r.SourceKeyARN)
	require.Equal(f, b.ARN, r.KeyARN)
	require.Equal(f, a.MaterialID, r.SourceMaterialID)
	require.Equal(f, b.MaterialID, r.MaterialID)
	require.Equal(f, "x", f.decrypt(kms.Context{"new": "2"}, r.Blob))
	require.Equal(f, "x", f.decrypt(kms.Context{"old": "1"}, blob), "the old blob stays good")
	require.NoError(f, f.b.DisableKey(f.ctx, a.ID))
	require.Equal(f, "x", f.decrypt(kms.Context{"new": "2"}, r.Blob), "the old key is not needed")
}

func reEncryptRefusals(f *fixture) {
	a, b := f.key(), f.key()
	blob := f.encrypt(a.ID, kms.Context{"c": "1"}, "x")
	in := kms.ReEncryptInput{Blob: blob, SourceContext: kms.Context{"c": "1"}, KeyID: b.ID}

	wrong := in
	wrong.SourceContext = nil
	_, err := f.b.ReEncrypt(f.ctx, wrong)
	f.refused(err, kms.InvalidCiphertextException, "")

	wrong = in
	wrong.SourceKeyID = b.ID
	_, err = f.b.ReEncrypt(f.ctx, wrong)
	f.refused(err, kms.IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation.")

	require.NoError(f, f.b.DisableKey(f.ctx, a.ID))
	_, err = f.b.ReEncrypt(f.ctx, in)
	f.refused(err, kms.DisabledException, a.ARN+" is disabled.")
	require.NoError(f, f.b.EnableKey(f.ctx, a.ID))
	require.NoError(f, f.b.DisableKey(f.ctx, b.ID))
	_, err = f.b.ReEncrypt(f.ctx, in)
	f.refused(err, kms.DisabledException, b.ARN+" is disabled.")
}
