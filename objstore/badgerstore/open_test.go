package badgerstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/local"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
)

var rootKey = bytes.Repeat([]byte{7}, 32)

// rig is a store with its key service.
type rig struct {
	*badgerstore.Store
	kms *kms.Service
	dir string
}

func open(t testing.TB, dir string) *rig {
	t.Helper()
	s, err := badgerstore.Open(dir, badgerstore.Options{Secret: local.Derive(rootKey, "kmsfs store v1"), SyncEvery: time.Hour})
	require.NoError(t, err)
	p, err := local.Open(s.Records(), rootKey, local.Options{})
	require.NoError(t, err)
	k := kms.NewService(p, kms.Options{ServiceKeys: map[uint32][]byte{1: local.Derive(rootKey, "kmsfs sse-s3 v1")}})
	s.SetKMS(k)
	return &rig{s, k, dir}
}

// track opens a store that is checked and closed at the end of the test.
func track(t testing.TB) *rig {
	t.Helper()
	r := open(t, filepath.Join(t.TempDir(), "store"))
	t.Cleanup(func() {
		requireClean(t, r)
		require.NoError(t, r.Close())
	})
	return r
}

func requireClean(t testing.TB, r *rig) {
	t.Helper()
	_, err := r.Check(context.Background(), nil, func(d objstore.Damage) {
		t.Errorf("damage: %s/%s %s: %s", d.Bucket, d.Key, d.VersionID, d.What)
	})
	require.NoError(t, err)
	require.NoError(t, r.WrongUsage())
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func get(t testing.TB, r *rig, bucket, key string, v objstore.VersionID) []byte {
	t.Helper()
	o, rd, err := r.GetObject(context.Background(), bucket, key, v)
	require.NoError(t, err)
	defer rd.Close()
	b, err := io.ReadAll(io.NewSectionReader(rd, 0, rd.Size()))
	require.NoError(t, err)
	require.EqualValues(t, o.Size, len(b))
	return b
}

func TestPutGetSizes(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	_, err := r.CreateBucket(ctx, objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	for _, alg := range []objstore.Algorithm{objstore.AES256, objstore.KMS, objstore.DSSE} {
		for _, n := range []int{0, 1, 4096, 16 << 10, 65535, 65536, 65537, 1 << 20, 3<<20 + 5} {
			body := random(n)
			_, err := r.PutObject(ctx, objstore.PutInput{Bucket: "bkt", Key: "a/b/c", Body: bytes.NewReader(body),
				Encryption: &objstore.Encryption{Algorithm: alg}})
			require.NoError(t, err)
			require.True(t, bytes.Equal(body, get(t, r, "bkt", "a/b/c", "")), "%s %d", alg, n)
		}
	}
	l, err := r.ListVersions(ctx, "bkt", objstore.ListInput{})
	require.NoError(t, err)
	require.Len(t, l.Objects, 27)
}

func TestFileWriteCommitReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	ctx := context.Background()
	b, err := r.CreateBucket(ctx, objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	n, err := r.Create(ctx, b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	f, err := r.OpenFile(ctx, n.Ino)
	require.NoError(t, err)
	enc := objstore.Encryption{Algorithm: objstore.KMS}
	require.NoError(t, f.Begin(ctx, enc, objstore.BeginKeep))
	body := random(5 << 20)
	require.NoError(t, f.WriteChunks(0, body))
	require.NoError(t, f.Sync(ctx, objstore.AttrChange{}))
	_, err = f.Commit(ctx, objstore.AttrChange{})
	require.NoError(t, err)
	f.EndSession()
	for i := range 20 {
		require.NoError(t, f.Begin(ctx, enc, objstore.BeginKeep))
		copy(body[i*chunk:], random(chunk))
		require.NoError(t, f.WriteChunks(int64(i), body[i*chunk:(i+1)*chunk]))
		_, err = f.Commit(ctx, objstore.AttrChange{})
		require.NoError(t, err)
		f.EndSession()
	}
	require.NoError(t, f.Close())
	vs, err := r.Versions(ctx, b.Root, "f")
	require.NoError(t, err)
	require.Len(t, vs, 21)
	require.NoError(t, r.Close())
	r = open(t, dir)
	require.True(t, bytes.Equal(body, get(t, r, "bkt", "f", "")))
	requireClean(t, r)
	_, err = r.GC(ctx, time.Now().Add(30*24*time.Hour))
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, get(t, r, "bkt", "f", "")))
	requireClean(t, r)
	require.NoError(t, r.Close())
}

const chunk = objstore.ChunkSize

func BenchmarkSmallCreate(b *testing.B) {
	r := open(b, filepath.Join(b.TempDir(), "store"))
	ctx := context.Background()
	bk, err := r.CreateBucket(ctx, objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(b, err)
	body := random(4096)
	names := make([]string, b.N)
	for i := range names {
		names[i] = "f" + string(rune('a'+i%26)) + time.Duration(i).String()
	}
	b.ResetTimer()
	for i := range b.N {
		n, err := r.Create(ctx, bk.Root, names[i], objstore.NodeInit{Mode: 0o100644})
		require.NoError(b, err)
		f, err := r.OpenFile(ctx, n.Ino)
		require.NoError(b, err)
		require.NoError(b, f.Begin(ctx, objstore.Encryption{Algorithm: objstore.KMS}, objstore.BeginKeep))
		require.NoError(b, f.WriteChunks(0, body))
		_, err = f.Commit(ctx, objstore.AttrChange{})
		require.NoError(b, err)
		require.NoError(b, f.Close())
	}
	b.StopTimer()
	require.NoError(b, r.Close())
}
