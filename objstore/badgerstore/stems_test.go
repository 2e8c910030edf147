package badgerstore_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// withFiles is a store whose bucket has n files, named by their number.
func withFiles(t *testing.T, n int, bucketKey bool) (r *rig, want map[string][]byte) {
	t.Helper()
	r = open(t, filepath.Join(memDir(t), "store"))
	_, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled,
		Default: objstore.Encryption{Algorithm: objstore.KMS, BucketKey: bucketKey}})
	require.NoError(t, err)
	want = map[string][]byte{}
	for i := range n {
		putMore(t, r, want, fmt.Sprint(i))
	}
	return r, want
}

func rootOf(t *testing.T, r *rig) objstore.Ino {
	t.Helper()
	b, err := r.HeadBucket(t.Context(), "bkt")
	require.NoError(t, err)
	return b.Root
}

func putMore(t *testing.T, r *rig, want map[string][]byte, key string) {
	t.Helper()
	want[key] = random(100 + len(want))
	put(t, r, key, want[key])
}

func requireAll(t *testing.T, r *rig, want map[string][]byte) {
	t.Helper()
	requireRead(t, r, want)
	requireClean(t, r)
}

// requireReopens closes the store, and has another one read all.
func requireReopens(t *testing.T, r *rig, want map[string][]byte) {
	t.Helper()
	require.NoError(t, r.Close())
	r = open(t, r.dir)
	requireAll(t, r, want)
	require.NoError(t, r.Close())
}

func requireRead(t *testing.T, r *rig, want map[string][]byte) {
	t.Helper()
	for key, body := range want {
		require.Equal(t, body, get(t, r, "bkt", key, ""), key)
		o, err := r.HeadObject(t.Context(), "bkt", key, "")
		require.NoError(t, err)
		require.Contains(t, o.Encryption.KeyID, "arn:aws:kms:", key)
	}
}

func damages(t *testing.T, r *rig) (found []objstore.Damage) {
	t.Helper()
	_, err := r.Check(t.Context(), nil, func(d objstore.Damage) { found = append(found, d) })
	require.NoError(t, err)
	return found
}

// The envelopes under a bucket-level key have one stem, which gets a record in two places with the second file.
func TestStemOfABucketKey(t *testing.T) {
	r, want := withFiles(t, 1, true)
	requireStems(t, r, 0)
	requireStaysShared(t, r, want)
}

// Those under a KMS key have one, too.
func TestStemOfAKey(t *testing.T) {
	r, want := withFiles(t, 1, false)
	requireStems(t, r, 0)
	requireStaysShared(t, r, want)
}

func requireStems(t *testing.T, r *rig, n int) {
	t.Helper()
	require.Len(t, recordsOf(t, r, 'C'), n)
	require.Len(t, recordsOf(t, r, 'W'), n)
}

// requireStaysShared writes many files, kills the store, opens it again, and writes all records anew.
func requireStaysShared(t *testing.T, r *rig, want map[string][]byte) {
	t.Helper()
	putMore(t, r, want, "second")
	requireStems(t, r, 1)
	for i := range 50 {
		putMore(t, r, want, fmt.Sprint("more/", i))
	}
	requireAll(t, r, want)

	crashed := open(t, copyStore(t, r.dir))
	requireAll(t, crashed, want)
	require.NoError(t, crashed.Close())
	require.NoError(t, r.Close())
	r = open(t, r.dir)
	requireAll(t, r, want)
	mode := uint32(0o600)
	for _, n := range nodesOf(t, r) {
		_, err := r.SetAttr(t.Context(), n, objstore.AttrChange{Mode: &mode})
		require.NoError(t, err)
	}
	requireStems(t, r, 1)
	requireAll(t, r, want)
	require.NoError(t, r.Close())
}

// nodesOf are the files in the root.
func nodesOf(t *testing.T, r *rig) (inos []objstore.Ino) {
	t.Helper()
	names, err := r.ReadDir(t.Context(), rootOf(t, r), "", 100, false)
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, e := range names {
		inos = append(inos, e.Ino)
	}
	return inos
}

// A file that nobody shares with keeps its envelope whole, however often its record is written.
func TestNoStemForOneFile(t *testing.T) {
	for _, bucketKey := range []bool{true, false} {
		r, want := withFiles(t, 1, bucketKey)
		n, err := r.Lookup(t.Context(), rootOf(t, r), "0")
		require.NoError(t, err)
		for i := range uint32(8) {
			_, err := r.SetAttr(t.Context(), n.Ino, objstore.AttrChange{UID: &i})
			require.NoError(t, err)
		}
		requireStems(t, r, 0)
		requireAll(t, r, want)
		require.NoError(t, r.Close())
	}
}

// A stem that a failed change made is not used by the next one, which would lack its record.
func TestStemOfAFailedChange(t *testing.T) {
	for _, bucketKey := range []bool{true, false} {
		r, want := withFiles(t, 1, bucketKey)
		for range 3 {
			r.SetFault(func() error { return errInjected })
			_, err := r.PutObject(t.Context(), objstore.PutInput{Bucket: "bkt", Key: "x", Body: bytes.NewReader(random(10))})
			require.ErrorIs(t, err, errInjected)
			r.SetFault(nil)
			requireStems(t, r, 0)
		}
		putMore(t, r, want, "x")
		requireStems(t, r, 1)
		requireReopens(t, r, want)
	}
}

// A file that is renamed without a bucket key gets another resource ARN, in another directory too.
func TestStemsAndRename(t *testing.T) {
	r, want := withFiles(t, 3, false)
	putMore(t, r, want, "dir/x")
	root := rootOf(t, r)
	dir, err := r.Lookup(t.Context(), root, "dir")
	require.NoError(t, err)
	require.NoError(t, r.Rename(t.Context(), root, "1", dir.Ino, "one", 0))
	require.NoError(t, r.Rename(t.Context(), root, "dir", root, "other", 0))
	want["other/one"], want["other/x"] = want["1"], want["dir/x"]
	delete(want, "1")
	delete(want, "dir/x")
	requireAll(t, r, want)
	requireReopens(t, r, want)
}

// Where both records of a stem are gone its files cannot be read, and say why; all else works with them, and what is written next
// is whole. With one of the two nothing is lost, also before a repair.
func TestLostStem(t *testing.T) {
	for _, bucketKey := range []bool{true, false} {
		t.Run(fmt.Sprint("bucket key ", bucketKey), func(t *testing.T) { lostStem(t, bucketKey) })
	}
}

func lostStem(t *testing.T, bucketKey bool) {
	r, want := withFiles(t, 3, bucketKey)
	c, w := recordsOf(t, r, 'C'), recordsOf(t, r, 'W')
	require.NoError(t, r.Close())
	damage(t, r.dir, func(tx *kv.Tx) { tx.Put(c[0], []byte("garbage")) })
	r = open(t, r.dir)
	requireRead(t, r, want)
	require.Len(t, damages(t, r), 1)
	require.NoError(t, r.Close())
	damage(t, r.dir, func(tx *kv.Tx) { tx.Delete(c[0]); tx.Delete(w[0]) })

	r = open(t, r.dir)
	require.Len(t, damages(t, r), 2, "the first file has its envelope whole")
	require.Equal(t, want["0"], get(t, r, "bkt", "0", ""))
	mended := repair(t, r)
	if !bucketKey { // a file without its data key is bound to no name any more
		require.Len(t, mended, 1)
		require.Contains(t, mended[0].What, "counted again")
	} else {
		require.Empty(t, mended)
	}
	for _, key := range []string{"1", "2"} {
		_, _, err := r.GetObject(t.Context(), "bkt", key, "")
		require.Error(t, err)
		require.ErrorContains(t, err, "many data keys")
		require.Equal(t, objstore.IntegrityError, objstore.CodeOf(err))
		n, err := r.Lookup(t.Context(), rootOf(t, r), key)
		require.NoError(t, err)
		require.EqualValues(t, len(want[key]), n.Size)
		require.Error(t, r.Rewrap(t.Context(), n.Ino, objstore.Encryption{Algorithm: objstore.KMS, BucketKey: true}))
	}
	root := rootOf(t, r)
	require.NoError(t, r.Rename(t.Context(), root, "1", root, "renamed", 0))
	_, err := r.DeleteObject(t.Context(), "bkt", "2", "", objstore.Condition{})
	require.NoError(t, err)
	delete(want, "1")
	delete(want, "2")
	putMore(t, r, want, "renamed")
	putMore(t, r, want, "after")
	l, err := r.ListVersions(t.Context(), "bkt", objstore.ListInput{})
	require.NoError(t, err)
	for _, o := range l.Objects {
		if !o.IsLatest {
			_, err := r.DeleteObject(t.Context(), "bkt", o.Key, o.VersionID, objstore.Condition{})
			require.NoError(t, err)
		}
	}
	requireAll(t, r, want)
	requireReopens(t, r, want)
}

// A stem whose records are damaged or gone while the store is open is found by check, which leaves it in memory; repair writes it
// back from there, and what is written next has it.
func TestStemIsRescuedFromMemory(t *testing.T) {
	for what, hurt := range map[string]func(tx *kv.Tx, k []byte){
		"garbage": func(tx *kv.Tx, k []byte) { tx.Put(k, []byte("garbage")) },
		"gone":    func(tx *kv.Tx, k []byte) { tx.Delete(k) },
	} {
		t.Run(what, func(t *testing.T) {
			r, want := withFiles(t, 3, true)
			stems := append(recordsOf(t, r, 'C'), recordsOf(t, r, 'W')...)
			require.Len(t, stems, 2)
			require.NoError(t, r.Raw(func(tx *kv.Tx) error {
				for _, k := range stems {
					hurt(tx, k)
				}
				return nil
			}))
			require.Len(t, damages(t, r), 1)
			require.NotEmpty(t, repair(t, r))
			requireStems(t, r, 1)
			putMore(t, r, want, "after")
			requireReopens(t, r, want)
		})
	}
}
