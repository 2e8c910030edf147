package badgerstore_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// sse are settings without a bucket key: bound to the object's name, but for AES256.
func sse(a objstore.Algorithm) objstore.Encryption { return objstore.Encryption{Algorithm: a} }

func sseBucketKey() objstore.Encryption {
	return objstore.Encryption{Algorithm: objstore.KMS, BucketKey: true}
}

// boundRig has one bucket, "bkt".
type boundRig struct {
	*rig
	t    *testing.T
	root objstore.Ino
}

func newBoundRig(t *testing.T, r *rig, v objstore.Versioning) *boundRig {
	t.Helper()
	return &boundRig{r, t, bucket(t, r, objstore.Bucket{Versioning: v}).Root}
}

func (r *boundRig) put(key string, enc objstore.Encryption) objstore.Object {
	r.t.Helper()
	o, err := r.PutObject(r.t.Context(), objstore.PutInput{Bucket: "bkt", Key: key, Body: bytes.NewReader([]byte(key)), Encryption: &enc})
	require.NoError(r.t, err)
	return o
}

func (r *boundRig) remove(key string, v objstore.VersionID) {
	r.t.Helper()
	_, err := r.DeleteObject(r.t.Context(), "bkt", key, v, objstore.Condition{})
	require.NoError(r.t, err)
}

func (r *boundRig) copy(from, to string, enc objstore.Encryption) {
	r.t.Helper()
	_, err := r.CopyObject(r.t.Context(), objstore.CopyInput{SrcBucket: "bkt", SrcKey: from, Bucket: "bkt", Key: to, Encryption: &enc})
	require.NoError(r.t, err)
}

func (r *boundRig) ino(path ...string) objstore.Ino {
	r.t.Helper()
	at := r.root
	for _, name := range path {
		n, err := r.Lookup(r.t.Context(), at, name)
		require.NoError(r.t, err)
		at = n.Ino
	}
	return at
}

// write leaves a file open that has no version of what was written yet.
func (r *boundRig) write(ino objstore.Ino, enc objstore.Encryption) objstore.File {
	r.t.Helper()
	f, err := r.OpenFile(r.t.Context(), ino)
	require.NoError(r.t, err)
	require.NoError(r.t, f.Begin(r.t.Context(), enc, objstore.BeginKeep))
	require.NoError(r.t, f.WriteChunks(0, []byte("written")))
	return f
}

func (r *boundRig) commit(f objstore.File) {
	r.t.Helper()
	_, err := f.Commit(r.t.Context(), objstore.AttrChange{})
	require.NoError(r.t, err)
}

func (r *boundRig) create(name string) objstore.Ino {
	r.t.Helper()
	n, err := r.Create(r.t.Context(), r.root, name, objstore.NodeInit{Mode: 0o100644})
	require.NoError(r.t, err)
	return n.Ino
}

func (r *boundRig) unlink(name string) {
	r.t.Helper()
	require.NoError(r.t, r.Unlink(r.t.Context(), r.root, name))
}

func (r *boundRig) rename(from, to string) error {
	return r.Rename(r.t.Context(), r.root, from, r.root, to, objstore.RenamePlain)
}

// requireBound requires the number of bound files, and that the records give it.
func (r *boundRig) requireBound(want int, what string) {
	r.t.Helper()
	require.EqualValues(r.t, want, r.Bound("bkt"), what)
	require.NoError(r.t, r.WrongUsage(), what)
}

// The number of bound files follows all that gives a file other settings, a first name, or takes the last one. It counts files,
// not names, and no old versions.
func TestBoundFilesAreCounted(t *testing.T) {
	for _, v := range []objstore.Versioning{objstore.VersioningOff, objstore.VersioningEnabled, objstore.VersioningSuspended} {
		t.Run(fmt.Sprintf("versioning=%s", v), func(t *testing.T) {
			r := newBoundRig(t, track(t), v)
			r.requireBound(0, "a new bucket")
			r.countObjects()
			r.countFiles()
			if v != objstore.VersioningOff {
				r.countOldVersions()
			}
		})
	}
}

func (r *boundRig) countObjects() {
	r.put("a", sse(objstore.KMS))
	r.put("d/e/b", sse(objstore.DSSE))
	r.put("c", sse(objstore.AES256))
	r.put("d/d", sseBucketKey())
	r.requireBound(2, "put")
	r.put("a", sse(objstore.DSSE))
	r.put("c", sseBucketKey())
	r.requireBound(2, "overwritten, no change")
	r.put("a", sseBucketKey())
	r.requireBound(1, "overwritten with a bucket key")
	r.put("a", sse(objstore.AES256))
	r.put("c", sse(objstore.KMS))
	r.requireBound(2, "overwritten without one")
	r.copy("c", "copy", sse(objstore.KMS))
	r.copy("c", "copy2", sse(objstore.AES256))
	r.copy("a", "copy3", sse(objstore.KMS))
	r.copy("copy3", "c", sse(objstore.KMS))
	r.requireBound(4, "copied")
	require.NoError(r.t, r.rename("d", "d2"))
	require.NoError(r.t, r.rename("copy3", "copy"))
	r.requireBound(3, "renamed over one")
	for _, key := range []string{"a", "c", "copy", "copy2", "d2/e/b", "d2/d"} {
		r.remove(key, "")
	}
	r.requireBound(0, "deleted")
}

func (r *boundRig) countFiles() {
	t, ctx := r.t, r.t.Context()
	f := r.write(r.create("f"), sse(objstore.KMS))
	r.requireBound(0, "not committed")
	r.commit(f)
	r.requireBound(1, "committed")
	require.NoError(t, f.Close())
	_, err := r.Link(ctx, r.ino("f"), r.root, "f2")
	require.NoError(t, err)
	r.requireBound(1, "two names")
	require.NoError(t, r.SetXattr(ctx, r.ino("f"), "user.x", []byte("y"), objstore.XattrSet))
	r.unlink("f")
	r.requireBound(1, "one name left")
	require.NoError(t, r.Rewrap(ctx, r.ino("f2"), sseBucketKey()))
	r.requireBound(0, "wrapped anew with a bucket key")
	require.NoError(t, r.Rewrap(ctx, r.ino("f2"), sse(objstore.KMS)))
	r.requireBound(1, "and without")
	f = r.write(r.ino("f2"), sse(objstore.AES256))
	r.commit(f)
	r.requireBound(0, "encrypted anew")
	require.NoError(t, f.Begin(ctx, sse(objstore.DSSE), objstore.BeginKeep))
	require.NoError(t, f.WriteChunks(0, []byte("again")))
	r.commit(f)
	r.requireBound(1, "and again")
	r.unlink("f2")
	r.requireBound(0, "unlinked while open")
	require.NoError(t, f.WriteChunks(0, []byte("unseen!")))
	r.commit(f)
	require.NoError(t, f.Close())
	r.requireBound(0, "closed")
	r.failedChange()
}

// failedChange counts nothing.
func (r *boundRig) failedChange() {
	enc := sse(objstore.KMS)
	r.SetFault(func() error { return errInjected })
	_, err := r.PutObject(r.t.Context(), objstore.PutInput{Bucket: "bkt", Key: "failed", Body: bytes.NewReader(nil), Encryption: &enc})
	r.SetFault(nil)
	require.ErrorIs(r.t, err, errInjected)
	r.requireBound(0, "a change that failed")
}

func (r *boundRig) countOldVersions() {
	old := r.put("v", sse(objstore.KMS)).VersionID
	now := r.put("v", sse(objstore.AES256)).VersionID
	if old != now { // not suspended
		r.requireBound(0, "an old version")
		_, err := r.Restore(r.t.Context(), r.root, "v", old)
		require.NoError(r.t, err)
		r.requireBound(1, "restored")
		r.remove("v", r.versionOf("v"))
		r.requireBound(0, "the one before is current again")
		r.remove("v", now)
		r.requireBound(1, "and the one before that")
	} else {
		r.put("v", sse(objstore.KMS))
	}
	r.put("w", sse(objstore.KMS))
	r.remove("w", "")
	r.requireBound(1, "a delete marker")
}

func (r *boundRig) versionOf(name string) objstore.VersionID {
	r.t.Helper()
	n, err := r.Lookup(r.t.Context(), r.root, name)
	require.NoError(r.t, err)
	return n.VersionID
}

// What a crash leaves is counted when it is recovered, and the number is there when a store is opened again.
func TestBoundFilesAfterACrash(t *testing.T) {
	r := newBoundRig(t, track(t), objstore.VersioningOff)
	ctx := t.Context()
	r.put("kept", sse(objstore.KMS))
	r.put("rebound", sse(objstore.KMS))
	synced := r.write(r.create("synced"), sse(objstore.KMS))
	require.NoError(t, synced.Sync(ctx, objstore.AttrChange{}))
	freed := r.write(r.ino("rebound"), sse(objstore.AES256))
	require.NoError(t, freed.Sync(ctx, objstore.AttrChange{}))
	gone := r.write(r.create("gone"), sse(objstore.KMS))
	r.commit(gone)
	r.unlink("gone")
	r.requireBound(2, "before")

	crashed := &boundRig{open(t, copied(t, r.dir)), t, r.root}
	crashed.requireBound(2, "kept and synced")
	require.NoError(t, crashed.Close())
	crashed.rig = open(t, crashed.dir)
	crashed.requireBound(2, "opened again")
	require.NoError(t, crashed.Close())
	for _, f := range []objstore.File{synced, freed, gone} {
		require.NoError(t, f.Close())
	}
}

// A bucket that is gone is not counted for by a file that was unlinked in it and closed later.
func TestBoundFileOfARemovedBucket(t *testing.T) {
	r := newBoundRig(t, track(t), objstore.VersioningOff)
	f := r.write(r.create("f"), sse(objstore.KMS))
	r.commit(f)
	r.unlink("f")
	require.NoError(t, r.DeleteBucket(t.Context(), "bkt"))
	require.NoError(t, f.Close())
	require.Empty(t, recordsOf(t, r.rig, 'S'))
}

// A directory's rename wraps the data key of the one bound file in it for its new name, and looks for it in no other bucket.
func TestRenameFindsTheBoundFile(t *testing.T) {
	r := newBoundRig(t, track(t), objstore.VersioningOff)
	for i := range 5 {
		r.put(fmt.Sprintf("d/e/%d", i), sse(objstore.AES256))
		r.put(fmt.Sprintf("d/k/%d", i), sseBucketKey())
	}
	r.put("d/e/bound", sse(objstore.KMS))
	require.NoError(t, r.rename("d", "d2"))
	requireBoundTo(t, r, "bkt", "d2", "e", "bound")
	require.NoError(t, r.Rewrap(t.Context(), r.ino("d2", "e", "bound"), sseBucketKey()))
	require.NoError(t, r.rename("d2", "d3"))
	require.NoError(t, r.Rewrap(t.Context(), r.ino("d3", "k", "1"), sse(objstore.KMS)))
	r.put("other/x", sse(objstore.AES256))
	require.NoError(t, r.Rename(t.Context(), r.root, "other", r.root, "d3", objstore.RenameExchange))
	requireBoundTo(t, r, "bkt", "other", "k", "1")
	require.Equal(t, "d/k/1", string(get(t, r.rig, "bkt", "other/k/1", "")))
	r.requireBound(1, "renamed")
}

func requireBoundTo(t *testing.T, r *boundRig, bucket string, path ...string) {
	t.Helper()
	arn, err := r.BoundTo(r.ino(path...))
	require.NoError(t, err)
	require.Equal(t, kms.ObjectARN(bucket, filepath.Join(path...)), arn)
}

// uncounted closes a store, writes its records of usage as they were before bound files were counted, and opens it again.
func (r *boundRig) uncounted() {
	r.t.Helper()
	keys := recordsOf(r.t, r.rig, 'S')
	require.Len(r.t, keys, 1)
	require.NoError(r.t, r.Raw(func(tx *kv.Tx) error {
		rec, err := tx.Get(keys[0])
		if err != nil {
			return err
		}
		require.Equal(r.t, byte(2), rec[0])
		old := bytes.Clone(rec[:len(rec)-1]) // a small number is one byte
		old[0] = 1
		tx.Put(keys[0], old)
		return nil
	}))
	r.reopen()
}

func (r *boundRig) reopen() {
	r.t.Helper()
	require.NoError(r.t, r.Close())
	r.rig = open(r.t, r.dir)
}

// Where bound files were never counted, a rename looks for them, however often the record is written, until a repair counts.
func TestRenameWhereBoundFilesWereNotCounted(t *testing.T) {
	r := newBoundRig(t, open(t, filepath.Join(t.TempDir(), "store")), objstore.VersioningOff)
	r.put("d/bound", sse(objstore.KMS))
	r.put("d/free", sse(objstore.AES256))
	for i := range 3 { // their records leave to a stem that they have a bucket key
		r.put(fmt.Sprint("d/", i), sseBucketKey())
	}
	before, err := r.Usage(t.Context(), "bkt")
	require.NoError(t, err)
	r.uncounted()
	r.requireBound(-1, "an old record")
	after, err := r.Usage(t.Context(), "bkt")
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, r.rename("d", "d2"))
	requireBoundTo(t, r, "bkt", "d2", "bound")

	r.put("more", sse(objstore.KMS))
	r.requireBound(-1, "written anew")
	r.remove("more", "")
	r.requireBound(-1, "and again")
	r.reopen()
	r.requireBound(-1, "written anew and read")
	require.NoError(t, r.rename("d2", "d3"))
	requireBoundTo(t, r, "bkt", "d3", "bound")
	require.NotEmpty(t, repair(t, r.rig))
	r.requireBound(1, "repaired")
	require.Empty(t, repair(t, r.rig))
	r.reopen()
	r.requireBound(1, "repaired and read")
	require.NoError(t, r.rename("d3", "d4"))
	requireBoundTo(t, r, "bkt", "d4", "bound")
	requireClean(t, r.rig)
	require.NoError(t, r.Close())
}

// A lost or damaged count is none, and not 0.
func TestRenameWhereTheCountIsLost(t *testing.T) {
	for what, hurt := range map[string]func(tx *kv.Tx, k []byte){
		"lost":     func(tx *kv.Tx, k []byte) { tx.Delete(k) },
		"damaged":  func(tx *kv.Tx, k []byte) { tx.Put(k, []byte{2, 0, 0, 0, 0, 0, 0}) },
		"negative": func(tx *kv.Tx, k []byte) { tx.Put(k, []byte{2, 0, 0, 0, 0, 3}) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newBoundRig(t, open(t, filepath.Join(t.TempDir(), "store")), objstore.VersioningOff)
			r.put("d/bound", sse(objstore.KMS))
			keys := recordsOf(t, r.rig, 'S')
			require.Len(t, keys, 1)
			require.NoError(t, r.Raw(func(tx *kv.Tx) error { hurt(tx, keys[0]); return nil }))
			r.reopen()
			require.EqualValues(t, -1, r.Bound("bkt"))
			require.NoError(t, r.rename("d", "d2"))
			requireBoundTo(t, r, "bkt", "d2", "bound")
			require.NotEmpty(t, repair(t, r.rig))
			r.requireBound(1, "repaired")
			require.NoError(t, r.Close())
		})
	}
}

// A file that has lost its data key with its stem is not bound any more, and a count that is too great keeps nothing from going on.
func TestBoundFilesThatLoseTheirStem(t *testing.T) {
	r := newBoundRig(t, open(t, filepath.Join(t.TempDir(), "store")), objstore.VersioningOff)
	for i := range 3 {
		r.put(fmt.Sprint("d/", i), sse(objstore.KMS))
	}
	r.requireBound(3, "put")
	stems := append(recordsOf(t, r.rig, 'C'), recordsOf(t, r.rig, 'W')...)
	require.Len(t, stems, 2)
	require.NoError(t, r.Raw(func(tx *kv.Tx) error {
		for _, k := range stems {
			tx.Delete(k)
		}
		return nil
	}))
	r.reopen()
	require.NoError(t, r.rename("d", "d2"))
	requireBoundTo(t, r, "bkt", "d2", "0") // the first had a stem of its own
	r.remove("d2/2", "")
	require.EqualValues(t, 3, r.Bound("bkt"))
	require.NotEmpty(t, repair(t, r.rig))
	r.requireBound(1, "repaired")
	r.put("d2/1", sse(objstore.KMS))
	r.requireBound(2, "written anew")
	require.NoError(t, r.Close())
}

// A rename of a directory reads none of the files in it where no file of the bucket is bound: one that cannot be read does not
// matter then.
func TestRenameReadsNoFreeFiles(t *testing.T) {
	r := newBoundRig(t, open(t, filepath.Join(t.TempDir(), "store")), objstore.VersioningOff)
	r.put("d/one", sse(objstore.AES256))
	r.put("d/e/two", sseBucketKey())
	one := r.ino("d", "one")
	r.reopen() // nothing is known of the files
	require.NoError(t, r.Raw(func(tx *kv.Tx) error {
		tx.Put(binary.BigEndian.AppendUint64([]byte{'I'}, uint64(one)), []byte("garbage"))
		return nil
	}))
	require.NoError(t, r.rename("d", "d2"))
	_, err := r.Node(t.Context(), one)
	require.Error(t, err)
	require.Equal(t, objstore.IntegrityError, objstore.CodeOf(err))

	r.put("else/where", sse(objstore.KMS))
	err = r.rename("d2", "d3")
	require.Error(t, err)
	require.Equal(t, objstore.IntegrityError, objstore.CodeOf(err))
	r.remove("else/where", "")
	require.NoError(t, r.rename("d2", "d3"))
	r.uncounted()
	err = r.rename("d3", "d4")
	require.Error(t, err)
	require.Equal(t, objstore.IntegrityError, objstore.CodeOf(err))
	require.NoError(t, r.Close())
}
