package storetest

import (
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

func encryptions() []Case {
	return []Case{
		{"Stored", encryptionStored}, {"BucketDefault", bucketDefault}, {"DisabledKey", disabledKey}, {"UnknownKey", unknownKey},
		{"ETag", etags}, {"OldVersionsKeepTheirKey", oldKeys},
	}
}

func (f *Fixture) newKey() string {
	f.Helper()
	k, err := f.Keys.CreateKey(f.Ctx, kms.CreateKeyInput{})
	require.NoError(f, err)
	return k.ARN
}

func (f *Fixture) putUnder(key, body string, enc objstore.Encryption) (objstore.Object, error) {
	return f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: key, Body: strings.NewReader(body), Encryption: &enc})
}

func encryptionStored(f *Fixture) {
	arn := f.newKey()
	for _, enc := range []objstore.Encryption{
		{Algorithm: objstore.AES256},
		{Algorithm: objstore.KMS, KeyID: arn},
		{Algorithm: objstore.KMS, KeyID: arn, BucketKey: true, Context: map[string]string{"a": "b"}},
		{Algorithm: objstore.DSSE, KeyID: arn, Context: map[string]string{"a": "b"}},
	} {
		_, err := f.putUnder("d/k", "body", enc)
		require.NoError(f, err)
		o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "d/k", "")
		require.NoError(f, err)
		require.True(f, enc.Equal(o.Encryption), "%+v %+v", enc, o.Encryption)
		require.Equal(f, "body", f.get("d/k", ""))
	}
}

func bucketDefault(f *Fixture) {
	arn := f.newKey()
	_, err := f.Store.UpdateBucket(f.Ctx, f.Bucket, func(b *objstore.Bucket) error {
		b.Default = objstore.Encryption{Algorithm: objstore.KMS, KeyID: arn, BucketKey: true}
		return nil
	})
	require.NoError(f, err)
	o := f.put("k", "x")
	require.Equal(f, objstore.Encryption{Algorithm: objstore.KMS, KeyID: arn, BucketKey: true}, o.Encryption)
}

// disabledKey: metadata, listing and deletion work while a key is disabled.
func disabledKey(f *Fixture) {
	arn := f.newKey()
	enc := objstore.Encryption{Algorithm: objstore.KMS, KeyID: arn}
	_, err := f.putUnder("k", "x", enc)
	require.NoError(f, err)
	require.NoError(f, f.Keys.DisableKey(f.Ctx, arn))
	_, err = f.putUnder("k", "y", enc)
	require.ErrorIs(f, err, kms.DisabledException)
	_, _, err = f.Store.GetObject(f.Ctx, f.Bucket, "k", "")
	require.ErrorIs(f, err, kms.DisabledException)
	_, err = f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: "k", Bucket: f.Bucket, Key: "k2"})
	require.ErrorIs(f, err, kms.DisabledException)
	_, err = f.Store.HeadObject(f.Ctx, f.Bucket, "k", "")
	require.NoError(f, err)
	keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Equal(f, []string{"k"}, keys)
	f.delete("k", "")
	require.NoError(f, f.Keys.EnableKey(f.Ctx, arn))
}

func unknownKey(f *Fixture) {
	_, err := f.putUnder("k", "x", objstore.Encryption{Algorithm: objstore.KMS, KeyID: "alias/none"})
	require.ErrorIs(f, err, kms.NotFoundException)
	_, err = f.putUnder("k", "x", objstore.Encryption{Algorithm: "rot13"})
	f.requireCode(objstore.InvalidArgument, err)
}

func etags(f *Fixture) {
	sum := md5.Sum([]byte("test")) //nolint:gosec // see above
	o := f.put("k", "test")
	require.Equal(f, hex.EncodeToString(sum[:]), o.ETag)
	a, err := f.putUnder("k", "test", objstore.Encryption{Algorithm: objstore.KMS})
	require.NoError(f, err)
	b, err := f.putUnder("k", "test", objstore.Encryption{Algorithm: objstore.KMS})
	require.NoError(f, err)
	require.Len(f, a.ETag, 32)
	require.NotEqual(f, a.ETag, b.ETag)
	require.NotEqual(f, o.ETag, a.ETag)
	o, err = f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: "k", Bucket: f.Bucket, Key: "k", Encryption: &objstore.Encryption{Algorithm: objstore.AES256}})
	require.NoError(f, err)
	require.Equal(f, hex.EncodeToString(sum[:]), o.ETag, "back to SSE-S3 gives the MD5 back")
}

func oldKeys(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	arn := f.newKey()
	o, err := f.putUnder("k", "secret", objstore.Encryption{Algorithm: objstore.KMS, KeyID: arn})
	require.NoError(f, err)
	f.put("k", "plain")
	require.Equal(f, "secret", f.get("k", o.VersionID))
	require.NoError(f, f.Keys.DisableKey(f.Ctx, arn))
	require.Equal(f, "plain", f.get("k", ""))
	_, _, err = f.Store.GetObject(f.Ctx, f.Bucket, "k", o.VersionID)
	require.ErrorIs(f, err, kms.DisabledException)
	require.NoError(f, f.Keys.EnableKey(f.Ctx, arn))
}
