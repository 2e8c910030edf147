package badgerstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// contentBytes is what the content files of a store take on the disk.
func contentBytes(t testing.TB, r *rig) (n int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(r.dir, "content"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	require.NoError(t, err)
	return n
}

func gc(t testing.TB, r *rig, now time.Time) objstore.GCReport {
	t.Helper()
	rep, err := r.GC(context.Background(), now)
	require.NoError(t, err)
	return rep
}

func put(t testing.TB, r *rig, key string, body []byte) objstore.Object {
	t.Helper()
	o, err := r.PutObject(context.Background(), objstore.PutInput{Bucket: "bkt", Key: key, Body: bytes.NewReader(body)})
	require.NoError(t, err)
	return o
}

func bucket(t testing.TB, r *rig, b objstore.Bucket) objstore.Bucket {
	t.Helper()
	b.Name = "bkt"
	b, err := r.CreateBucket(context.Background(), b)
	require.NoError(t, err)
	return b
}

func TestSpaceUnversioned(t *testing.T) {
	r := track(t)
	bucket(t, r, objstore.Bucket{})
	const size = 4 << 20
	for i := range 8 {
		put(t, r, fmt.Sprintf("k%d", i), random(size))
	}
	require.GreaterOrEqual(t, contentBytes(t, r), int64(8*size))
	for i := range 8 {
		put(t, r, fmt.Sprintf("k%d", i), random(size/4))
	}
	gc(t, r, time.Now())
	require.Less(t, contentBytes(t, r), int64(8*size/4+1<<20), "overwritten bytes are given back")
	for i := range 8 {
		_, err := r.DeleteObject(context.Background(), "bkt", fmt.Sprintf("k%d", i), "", objstore.Condition{})
		require.NoError(t, err)
	}
	gc(t, r, time.Now())
	require.Zero(t, contentBytes(t, r), "nothing is left of deleted objects")
}

// TestSpaceGoesOnlyWhenDurable: power loss may bring back the record of what was overwritten, so its bytes have to be
// there until the new record survives.
func TestSpaceGoesOnlyWhenDurable(t *testing.T) {
	r := track(t)
	bucket(t, r, objstore.Bucket{})
	put(t, r, "k", random(4<<20))
	require.NoError(t, r.Sync(context.Background()))
	put(t, r, "k", random(1<<20))
	require.GreaterOrEqual(t, contentBytes(t, r), int64(5<<20), "given back before the overwrite was durable")
	gc(t, r, time.Now())
	require.Less(t, contentBytes(t, r), int64(2<<20))
}

func TestSpaceExpiry(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	bucket(t, r, objstore.Bucket{Versioning: objstore.VersioningEnabled, ExpireNoncurrent: 24 * time.Hour})
	for range 5 {
		put(t, r, "d/k", random(2<<20))
	}
	put(t, r, "gone/k", random(2<<20))
	_, err := r.DeleteObject(ctx, "bkt", "gone/k", "", objstore.Condition{})
	require.NoError(t, err)
	require.Zero(t, gc(t, r, time.Now()).Versions)
	require.GreaterOrEqual(t, contentBytes(t, r), int64(12<<20))
	rep := gc(t, r, time.Now().Add(25*time.Hour))
	require.EqualValues(t, 6, rep.Versions, "four versions, one below a marker, the marker")
	require.Less(t, contentBytes(t, r), int64(3<<20))
	l, err := r.ListVersions(ctx, "bkt", objstore.ListInput{Delimiter: "/"})
	require.NoError(t, err)
	require.Equal(t, []string{"d/"}, l.CommonPrefixes, "the directory without versions is gone")
	u, err := r.Usage(ctx, "bkt")
	require.NoError(t, err)
	require.Equal(t, objstore.BucketUsage{Objects: 1, Bytes: 2 << 20}, u)
}

// TestSpaceSharedChunks: versions share chunks; what only expired ones used goes, and nothing else.
func TestSpaceSharedChunks(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{Versioning: objstore.VersioningEnabled, ExpireNoncurrent: 24 * time.Hour})
	n, err := r.Create(ctx, b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	f, err := r.OpenFile(ctx, n.Ino)
	require.NoError(t, err)
	enc := objstore.Encryption{Algorithm: objstore.KMS}
	body := random(8 << 20)
	commit := func(index int, data []byte) {
		require.NoError(t, f.Begin(ctx, enc, objstore.BeginKeep))
		require.NoError(t, f.WriteChunks(int64(index), data))
		_, err := f.Commit(ctx, objstore.AttrChange{})
		require.NoError(t, err)
		f.EndSession()
	}
	commit(0, body)
	before := contentBytes(t, r)
	for i := range 40 {
		copy(body[i*3*chunk:], random(chunk))
		commit(i*3, body[i*3*chunk:(i*3+1)*chunk])
	}
	require.Less(t, contentBytes(t, r)-before, int64(40*chunk+2<<20), "a version costs what changed")
	require.NoError(t, f.Close())
	gc(t, r, time.Now())
	requireClean(t, r)
	gc(t, r, time.Now().Add(25*time.Hour))
	require.Less(t, contentBytes(t, r), before+4<<20)
	require.True(t, bytes.Equal(body, get(t, r, "bkt", "f", "")))
}

// TestManyAtOnce lets writers, renamers, unlinkers, readers and the sweep loose on one directory. Each file has
// bytes of one value, so that a mixture is seen.
func TestManyAtOnce(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{})
	end := time.Now().Add(3 * time.Second)
	name := func(rnd *rand.Rand) string { return fmt.Sprintf("f%d", rnd.IntN(6)) }
	var wg sync.WaitGroup
	start := func(fn func(rnd *rand.Rand)) {
		seed := rand.Uint64()
		wg.Go(func() {
			for rnd := rand.New(rand.NewPCG(seed, 0)); time.Now().Before(end); {
				fn(rnd)
			}
		})
	}
	for range 2 {
		start(func(rnd *rand.Rand) { writeSome(t, r, b.Root, name(rnd), rnd) })
		start(func(rnd *rand.Rand) { readSome(t, r, name(rnd)) })
	}
	start(func(rnd *rand.Rand) {
		_, err := r.PutObject(ctx, objstore.PutInput{Bucket: "bkt", Key: name(rnd), Body: bytes.NewReader(bytes.Repeat([]byte{byte(rnd.Uint32())}, sizes(rnd)))})
		tolerate(t, err)
	})
	start(func(rnd *rand.Rand) {
		tolerate(t, r.Rename(ctx, b.Root, name(rnd), b.Root, name(rnd), objstore.RenameMode(rnd.IntN(3))))
	})
	start(func(rnd *rand.Rand) { tolerate(t, r.Unlink(ctx, b.Root, name(rnd))) })
	start(func(rnd *rand.Rand) {
		_, err := r.CopyObject(ctx, objstore.CopyInput{SrcBucket: "bkt", SrcKey: name(rnd), Bucket: "bkt", Key: name(rnd)})
		tolerate(t, err)
	})
	start(func(*rand.Rand) {
		_, err := r.GC(ctx, time.Now())
		tolerate(t, err)
		time.Sleep(20 * time.Millisecond)
	})
	wg.Wait()
	u, err := r.Usage(ctx, "bkt")
	require.NoError(t, err)
	l, err := r.ListObjects(ctx, "bkt", objstore.ListInput{})
	require.NoError(t, err)
	require.EqualValues(t, len(l.Objects), u.Objects)
}

func sizes(rnd *rand.Rand) int { return []int{10, 3000, 20 << 10, 3 * chunk, 9*chunk + 1}[rnd.IntN(5)] }

// tolerate is for errors that another's work explains.
func tolerate(t *testing.T, err error) {
	switch objstore.CodeOf(err) {
	case "", objstore.NoSuchNode, objstore.NoSuchKey, objstore.NodeExists, objstore.PreconditionFailed:
	default:
		t.Error(err)
	}
}

func writeSome(t *testing.T, r *rig, root objstore.Ino, name string, rnd *rand.Rand) {
	ctx := context.Background()
	n, err := r.Lookup(ctx, root, name)
	if err != nil {
		n, err = r.Create(ctx, root, name, objstore.NodeInit{Mode: 0o100644})
	}
	if err != nil {
		tolerate(t, err)
		return
	}
	f, err := r.OpenFile(ctx, n.Ino)
	if err != nil {
		tolerate(t, err)
		return
	}
	defer func() { tolerate(t, f.Close()) }()
	err = f.Begin(ctx, objstore.Encryption{Algorithm: objstore.KMS, BucketKey: rnd.IntN(2) == 0}, objstore.BeginEmpty)
	if err != nil { // another removed the file since it was opened
		tolerate(t, err)
		return
	}
	for range 1 + rnd.IntN(3) {
		tolerate(t, f.WriteChunks(0, bytes.Repeat([]byte{byte(rnd.Uint32())}, 9*chunk+1)))
		if rnd.IntN(3) == 0 {
			tolerate(t, f.Sync(ctx, objstore.AttrChange{}))
		}
		_, err = f.Commit(ctx, objstore.AttrChange{})
		tolerate(t, err)
	}
}

func readSome(t *testing.T, r *rig, name string) {
	_, rd, err := r.GetObject(context.Background(), "bkt", name, "")
	if err != nil {
		tolerate(t, err)
		return
	}
	defer rd.Close()
	p := make([]byte, rd.Size())
	n, err := rd.ReadAt(p, 0)
	if err != nil || n != len(p) || !bytes.Equal(p, bytes.Repeat(p[:1], len(p))) {
		t.Errorf("read %d of %d bytes: %v", n, len(p), err)
	}
}
