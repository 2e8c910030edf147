package badgerstore_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

func TestKeyUse(t *testing.T) {
	ctx := kms.WithCaller(context.Background(), kms.Caller{})
	r := track(t)
	_, err := r.CreateBucket(ctx, objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled, Default: objstore.Encryption{Algorithm: objstore.AES256}})
	require.NoError(t, err)
	one, err := r.kms.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(t, err)
	two, err := r.kms.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(t, err)
	put := func(key, id string, size int, bucketKey bool) {
		enc := &objstore.Encryption{Algorithm: objstore.AES256}
		if id != "" {
			enc = &objstore.Encryption{Algorithm: objstore.KMS, KeyID: id, BucketKey: bucketKey}
		}
		_, err := r.PutObject(ctx, objstore.PutInput{Bucket: "bkt", Key: key, Body: bytes.NewReader(random(size)), Encryption: enc})
		require.NoError(t, err)
	}
	const many = 600 // more than two pages
	for i := range many {
		put(fmt.Sprintf("dir/%d", i), one.ID, 10, i%2 == 0)
	}
	put("twice", one.ID, 100, false)
	put("twice", one.ID, 1000, true)
	put("moved", one.ID, 7, false)
	put("moved", two.ID, 8, false)
	put("plain", "", 9, false)
	put("gone", two.ID, 11, false)
	_, err = r.DeleteObject(ctx, "bkt", "gone", "", objstore.Condition{})
	require.NoError(t, err)

	u, err := r.KeyUse(ctx, one.ARN)
	require.NoError(t, err)
	require.Equal(t, objstore.KeyUse{Files: many + 1, Versions: many + 3, Bytes: many*10 + 1107}, u)
	u, err = r.KeyUse(ctx, two.ARN)
	require.NoError(t, err)
	require.Equal(t, objstore.KeyUse{Files: 1, Versions: 2, Bytes: 19}, u)
	u, err = r.KeyUse(ctx, "arn:aws:kms:us-east-1:000000000000:key/other")
	require.NoError(t, err)
	require.Zero(t, u)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = r.KeyUse(ended, one.ARN)
	require.ErrorIs(t, err, context.Canceled)
}
