package badgerstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// A directory moves when every data key under it that is bound to an object's ARN can be wrapped for the new one, however deep it
// lies; keys that are not bound ask nobody.
func TestRenameOfADirectory(t *testing.T) {
	ctx := kms.WithCaller(context.Background(), kms.Caller{})
	r := track(t)
	b, err := r.CreateBucket(ctx, objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	key, err := r.kms.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(t, err)
	put := func(name string, enc objstore.Encryption) {
		_, err := r.PutObject(ctx, objstore.PutInput{Bucket: "bkt", Key: name, Body: bytes.NewReader([]byte(name)), Encryption: &enc})
		require.NoError(t, err)
	}
	const many = 1500 // more than are looked at together
	for i := range many {
		put(fmt.Sprintf("free/%d", i), []objstore.Encryption{{Algorithm: objstore.AES256},
			{Algorithm: objstore.KMS, KeyID: key.ARN, BucketKey: true}}[i%2])
		put(fmt.Sprintf("some/%d", i), objstore.Encryption{Algorithm: objstore.AES256})
	}
	bound := objstore.Encryption{Algorithm: objstore.KMS, KeyID: key.ARN}
	put("some/7b", bound)
	put("deep/a/b/c", bound)
	rename := func(from, to string) error {
		return r.Rename(ctx, b.Root, from, b.Root, to, objstore.RenamePlain)
	}

	require.NoError(t, r.kms.DisableKey(ctx, key.ID))
	require.NoError(t, rename("free", "free2"))
	for _, dir := range []string{"some", "deep"} {
		err := rename(dir, dir+"2")
		var refused *kms.Error
		require.ErrorAs(t, err, &refused, dir)
		require.Equal(t, kms.DisabledException, refused.Code)
		_, err = r.Lookup(ctx, b.Root, dir)
		require.NoError(t, err)
		_, err = r.Lookup(ctx, b.Root, dir+"2")
		require.Error(t, err)
		require.Equal(t, objstore.NoSuchNode, objstore.CodeOf(err))
	}
	require.NoError(t, r.kms.EnableKey(ctx, key.ID))
	require.NoError(t, rename("some", "some2"))
	require.NoError(t, rename("deep", "deep2"))
	for name, was := range map[string]string{
		"some2/7b": "some/7b", "deep2/a/b/c": "deep/a/b/c", "free2/1": "free/1", "some2/1499": "some/1499"} {
		_, body, err := r.GetObject(ctx, "bkt", name, "")
		require.NoError(t, err)
		got := make([]byte, 100)
		n, err := body.ReadAt(got, 0)
		require.True(t, errors.Is(err, io.EOF), "%v", err)
		require.Equal(t, was, string(got[:n]))
		require.NoError(t, body.Close())
	}
}
