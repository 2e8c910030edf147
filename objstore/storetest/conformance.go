package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func conformance() []Case {
	return []Case{
		{"Sizes", putGetSizes}, {"Keys", weirdKeys}, {"RefusedKeys", refusedKeys}, {"Missing", missing},
		{"CanceledWrite", canceledWrite}, {"FailedBody", failedBody}, {"TruncatedBody", truncatedBody},
		{"ConcurrentWriteAndRead", concurrentWriteAndRead}, {"ReadWhileReplaced", readWhileReplaced},
		{"Metadata", metadata}, {"Buckets", buckets}, {"BucketNotEmpty", bucketNotEmpty}, {"RangeReads", rangeReads},
		{"ConcurrentPutsOneKey", concurrentPuts},
	}
}

func putGetSizes(f *Fixture) {
	const c = objstore.ChunkSize
	for i, n := range []int{0, 1, 4096, 16 << 10, 16<<10 + 1, c - 1, c, c + 1, 8 * c, 9*c + 7, 40*c - 1} {
		body := block(uint64(i), n)
		o := f.put("size", string(body))
		require.EqualValues(f, n, o.Size)
		require.True(f, string(body) == f.get("size", ""), "size %d", n)
	}
	f.reopen()
	require.True(f, string(block(10, 40*c-1)) == f.get("size", ""))
}

// nastyKeys are keys of S3 that are no paths, or no names of files.
func nastyKeys() []string {
	return []string{
		"a//b", "/a", "//", "..", "../x", ".", "a/./b", "a/../b", " ", "a b", "a\tb", "a\nb", "é", "日本", "\U0001F600", "a\x7fb", "%2F",
		"a+b", "?", "#", "a\\b", strings.Repeat("n", 256), strings.Repeat("d", 300) + "/x", strings.Repeat("k", 1024),
		".versions", ".versions/x", "a/", "dir/", "dir/sub/", "dir", "dir/x", "\x01",
	}
}

func weirdKeys(f *Fixture) {
	for _, k := range nastyKeys() {
		f.put(k, "body of "+k)
	}
	f.reopen()
	for _, k := range nastyKeys() {
		require.Equal(f, "body of "+k, f.get(k, ""), "%q", k)
	}
	for _, k := range nastyKeys() {
		f.delete(k, "")
		_, err := f.Store.HeadObject(f.Ctx, f.Bucket, k, "")
		f.requireCode(objstore.NoSuchKey, err)
	}
	require.NoError(f, f.Store.DeleteBucket(f.Ctx, f.Bucket), "all keys are gone")
	_, err := f.Store.CreateBucket(f.Ctx, objstore.Bucket{Name: f.Bucket})
	require.NoError(f, err)
}

func refusedKeys(f *Fixture) {
	for key, code := range map[string]objstore.Code{
		"": objstore.InvalidArgument, "a\x00b": objstore.InvalidArgument, "\xff": objstore.InvalidArgument,
		strings.Repeat("k", 1025): objstore.KeyTooLong,
	} {
		_, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: key, Body: strings.NewReader("x")})
		f.requireCode(code, err)
	}
}

func missing(f *Fixture) {
	_, err := f.Store.HeadObject(f.Ctx, f.Bucket, "none", "")
	f.requireCode(objstore.NoSuchKey, err)
	_, _, err = f.Store.GetObject(f.Ctx, f.Bucket, "none/deep", "")
	f.requireCode(objstore.NoSuchKey, err)
	_, err = f.Store.HeadObject(f.Ctx, f.Bucket, "none", "abc")
	f.requireCode(objstore.NoSuchVersion, err)
	_, err = f.Store.HeadObject(f.Ctx, "no-such-bucket", "none", "")
	f.requireCode(objstore.NoSuchBucket, err)
	_, err = f.Store.ListObjects(f.Ctx, "no-such-bucket", objstore.ListInput{})
	f.requireCode(objstore.NoSuchBucket, err)
	_, err = f.Store.DeleteObject(f.Ctx, f.Bucket, "none", "", objstore.Condition{})
	require.NoError(f, err, "deleting a missing key is no error")
}

func canceledWrite(f *Fixture) {
	f.put("k", "before")
	ctx, cancel := context.WithCancel(f.Ctx)
	body := io.MultiReader(bytes.NewReader(block(1, 3<<20)), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }))
	_, err := f.Store.PutObject(ctx, objstore.PutInput{Bucket: f.Bucket, Key: "k", Body: body})
	require.ErrorIs(f, err, context.Canceled)
	require.Equal(f, "before", f.get("k", ""))
}

type readerFunc func([]byte) (int, error)

func (r readerFunc) Read(p []byte) (int, error) { return r(p) }

func failedBody(f *Fixture) {
	f.put("k", "before")
	broken := errors.New("the client went away")
	body := io.MultiReader(bytes.NewReader(block(1, 2<<20)), iotest.ErrReader(broken))
	for _, key := range []string{"k", "new/k"} {
		_, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: key, Body: body})
		require.ErrorIs(f, err, broken)
	}
	require.Equal(f, "before", f.get("k", ""))
	l, err := f.Store.ListObjects(f.Ctx, f.Bucket, objstore.ListInput{})
	require.NoError(f, err)
	require.Equal(f, []string{"k"}, keysOf(l.Objects))
}

// truncatedBody: net/http gives io.ErrUnexpectedEOF for a body that ends before its length.
func truncatedBody(f *Fixture) {
	body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	_, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: "k", Body: body})
	require.ErrorIs(f, err, io.ErrUnexpectedEOF)
	_, err = f.Store.HeadObject(f.Ctx, f.Bucket, "k", "")
	f.requireCode(objstore.NoSuchKey, err)
}

func concurrentWriteAndRead(f *Fixture) {
	for _, n := range []int{100, 3 * objstore.ChunkSize} { // in the database and in a content file
		f.put("hot", string(bytes.Repeat([]byte{0}, n)))
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := range 30 {
					_, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: "hot", Body: bytes.NewReader(bytes.Repeat([]byte{byte(w*30 + i)}, n))})
					if err != nil {
						f.Error(err)
					}
				}
			})
			wg.Go(func() {
				for range 60 {
					b, err := readObject(f.Ctx, f.Store, f.Bucket, "hot", "")
					if err != nil {
						f.Error(err)
						return
					}
					if len(b) != n || !bytes.Equal(b, bytes.Repeat(b[:1], n)) {
						f.Error("a read mixes two versions")
					}
				}
			})
		}
		wg.Wait()
	}
}

func readWhileReplaced(f *Fixture) {
	for _, n := range []int{100, 3 * objstore.ChunkSize} {
		body := block(1, n)
		f.put("k", string(body))
		_, r, err := f.Store.GetObject(f.Ctx, f.Bucket, "k", "")
		require.NoError(f, err)
		f.put("k", "other")
		f.delete("k", "")
		f.gc()
		got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		require.NoError(f, err)
		require.True(f, bytes.Equal(body, got))
		require.NoError(f, r.Close())
	}
}

func metadata(f *Fixture) {
	meta := map[string]string{"color": "red", "mode": "33188", "uid": "7", "gid": "8", "mtime": "1700000000"}
	in := objstore.PutInput{Bucket: f.Bucket, Key: "k", Body: strings.NewReader("x"), ContentType: "text/plain", Metadata: meta}
	_, err := f.Store.PutObject(f.Ctx, in)
	require.NoError(f, err)
	o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "k", "")
	require.NoError(f, err)
	require.Equal(f, "text/plain", o.ContentType)
	for name, v := range meta {
		require.Equal(f, v, o.Metadata[name], name)
	}
	in.Metadata = map[string]string{"big": strings.Repeat("x", 2048)}
	_, err = f.Store.PutObject(f.Ctx, in)
	f.requireCode(objstore.MetadataTooLarge, err)
}

func buckets(f *Fixture) {
	for _, name := range []string{"", "ab", "Upper", "a..b", "1.2.3.4", "-abc", "abc-", strings.Repeat("x", 64)} {
		_, err := f.Store.CreateBucket(f.Ctx, objstore.Bucket{Name: name})
		f.requireCode(objstore.InvalidBucketName, err)
	}
	_, err := f.Store.CreateBucket(f.Ctx, objstore.Bucket{Name: f.Bucket})
	f.requireCode(objstore.BucketAlreadyOwnedByYou, err)
	b, err := f.Store.HeadBucket(f.Ctx, f.Bucket)
	require.NoError(f, err)
	require.Equal(f, objstore.AES256, b.Default.Algorithm)
	f.versioning(objstore.VersioningEnabled)
	f.versioning(objstore.VersioningSuspended)
	_, err = f.Store.UpdateBucket(f.Ctx, f.Bucket, func(b *objstore.Bucket) error {
		b.Versioning = objstore.VersioningOff
		return nil
	})
	f.requireCode(objstore.InvalidArgument, err)
	f.reopen()
	b, err = f.Store.HeadBucket(f.Ctx, f.Bucket)
	require.NoError(f, err)
	require.Equal(f, objstore.VersioningSuspended, b.Versioning)
	all, err := f.Store.ListBuckets(f.Ctx)
	require.NoError(f, err)
	require.Contains(f, all, b)
}

func bucketNotEmpty(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	v := f.put("d/e/k", "x")
	m := f.delete("d/e/k", "")
	f.requireCode(objstore.BucketNotEmpty, f.Store.DeleteBucket(f.Ctx, f.Bucket))
	f.delete("d/e/k", v.VersionID)
	f.requireCode(objstore.BucketNotEmpty, f.Store.DeleteBucket(f.Ctx, f.Bucket))
	f.delete("d/e/k", m.VersionID)
	require.NoError(f, f.Store.DeleteBucket(f.Ctx, f.Bucket))
	_, err := f.Store.HeadBucket(f.Ctx, f.Bucket)
	f.requireCode(objstore.NoSuchBucket, err)
	_, err = f.Store.CreateBucket(f.Ctx, objstore.Bucket{Name: f.Bucket})
	require.NoError(f, err)
}

func rangeReads(f *Fixture) {
	const c = objstore.ChunkSize
	body := block(3, 5*c+100)
	f.put("k", string(body))
	_, r, err := f.Store.GetObject(f.Ctx, f.Bucket, "k", "")
	require.NoError(f, err)
	defer r.Close()
	for _, off := range []int{0, 1, c - 1, c, 2*c + 5, 5 * c, 5*c + 99} {
		for _, n := range []int{1, 100, c, c + 1, 3 * c, 6 * c} {
			p := make([]byte, n)
			got, err := r.ReadAt(p, int64(off))
			want := body[off:min(off+n, len(body))]
			require.True(f, bytes.Equal(want, p[:got]), "off %d n %d", off, n)
			if len(want) < n {
				require.Equal(f, io.EOF, err)
			} else {
				require.NoError(f, err)
			}
		}
	}
	n, err := r.ReadAt(make([]byte, 1), int64(len(body)))
	require.Equal(f, io.EOF, err)
	require.Zero(f, n)
}

func concurrentPuts(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: "d/k", Body: strings.NewReader("x")}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 7), 40)
}
