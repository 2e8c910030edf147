package storetest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func copies() []Case {
	return []Case{
		{"Shared", copyShared}, {"OtherSettings", copyOtherSettings}, {"Metadata", copyMetadata}, {"OldVersionOntoItself", copyRestore},
		{"NullOntoItself", copyNull}, {"Missing", copyMissing}, {"CopiesAreIndependent", copiesIndependent}, {"AcrossBuckets", copyAcross},
	}
}

func (f *Fixture) copy(from, to string, v objstore.VersionID, enc *objstore.Encryption) objstore.Object {
	f.Helper()
	o, err := f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: from, SrcVersion: v, Bucket: f.Bucket, Key: to, Encryption: enc})
	require.NoError(f, err)
	return o
}

func copyShared(f *Fixture) {
	for _, n := range []int{0, 100, 5 * objstore.ChunkSize} {
		body := string(block(1, n))
		f.put("a", body)
		f.copy("a", "d/b", "", nil)
		f.delete("a", "")
		f.gc()
		require.True(f, body == f.get("d/b", ""))
	}
}

func copyOtherSettings(f *Fixture) {
	body := string(block(1, 3*objstore.ChunkSize+1))
	f.put("a", body)
	for _, alg := range []objstore.Algorithm{objstore.KMS, objstore.DSSE, objstore.AES256} {
		f.copy("a", "a", "", &objstore.Encryption{Algorithm: alg, Context: map[string]string{"x": string(alg)}})
		o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "a", "")
		require.NoError(f, err)
		require.Equal(f, alg, o.Encryption.Algorithm)
		require.True(f, body == f.get("a", ""))
	}
}

func copyMetadata(f *Fixture) {
	_, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: "a", Body: strings.NewReader("x"), ContentType: "text/plain",
		Metadata: map[string]string{"n": strings.Repeat("v", 2000)}})
	require.NoError(f, err)
	o := f.copy("a", "b", "", nil)
	require.Equal(f, "text/plain", o.ContentType)
	require.Len(f, o.Metadata["n"], 2000)
	o, err = f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: "a", Bucket: f.Bucket, Key: "c",
		ContentType: "image/png", Metadata: map[string]string{"m": "w"}})
	require.NoError(f, err)
	require.Equal(f, "image/png", o.ContentType)
	require.Equal(f, "w", o.Metadata["m"])
	require.NotContains(f, o.Metadata, "n")
}

func copyRestore(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	body := string(block(1, 2*objstore.ChunkSize))
	v := f.put("d/k", body)
	f.put("d/k", "two")
	f.delete("d/k", "")
	o := f.copy("d/k", "d/k", v.VersionID, nil)
	require.NotEqual(f, v.VersionID, o.VersionID)
	require.True(f, body == f.get("d/k", ""))
	f.delete("d/k", v.VersionID)
	f.gc()
	require.True(f, body == f.get("d/k", ""))
}

// copyNull: the copied version is the one that the copy replaces.
func copyNull(f *Fixture) {
	body := string(block(1, 2*objstore.ChunkSize))
	f.put("k", body)
	f.copy("k", "k", "", nil)
	require.True(f, body == f.get("k", ""))
	f.versioning(objstore.VersioningEnabled)
	f.put("k", "new")
	f.versioning(objstore.VersioningSuspended)
	f.copy("k", "k", objstore.NullVersion, nil)
	f.gc()
	require.True(f, body == f.get("k", ""))
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1), 2)
}

func copyMissing(f *Fixture) {
	_, err := f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: "none", Bucket: f.Bucket, Key: "b"})
	f.requireCode(objstore.NoSuchKey, err)
	f.put("a", "x")
	_, err = f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: "a", Bucket: "no-such-bucket", Key: "b"})
	f.requireCode(objstore.NoSuchBucket, err)
}

func copiesIndependent(f *Fixture) {
	body := string(block(1, 3*objstore.ChunkSize))
	f.put("a", body)
	f.copy("a", "b", "", nil)
	f.copy("b", "c", "", nil)
	f.put("a", "other")
	f.gc()
	f.delete("b", "")
	f.gc()
	f.reopen()
	require.True(f, body == f.get("c", ""))
}

func copyAcross(f *Fixture) {
	_, err := f.Store.CreateBucket(f.Ctx, objstore.Bucket{Name: f.Bucket + "-other"})
	require.NoError(f, err)
	body := string(block(1, 3*objstore.ChunkSize))
	f.put("a", body)
	for _, enc := range []*objstore.Encryption{nil, {Algorithm: objstore.KMS}, {Algorithm: objstore.KMS, BucketKey: true}} {
		f.copy("a", "a", "", enc)
		_, err = f.Store.CopyObject(f.Ctx, objstore.CopyInput{SrcBucket: f.Bucket, SrcKey: "a", Bucket: f.Bucket + "-other", Key: "x/a", Encryption: enc})
		require.NoError(f, err)
		b, err := readObject(f.Ctx, f.Store, f.Bucket+"-other", "x/a", "")
		require.NoError(f, err)
		require.True(f, body == string(b))
	}
	requireUsage(f, f.Store, f.Bucket+"-other")
}
