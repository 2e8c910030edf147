package badgerstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// lostFile is a store in which the record of a file with an older version is damaged, after its repair.
func lostFile(t *testing.T) (r *rig, b objstore.Bucket, first []byte) {
	t.Helper()
	r = open(t, filepath.Join(t.TempDir(), "store"))
	b, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	first = random(70_000)
	put(t, r, "f", first)
	put(t, r, "g", first)
	put(t, r, "f", random(80_000))
	n, err := r.Lookup(t.Context(), b.Root, "f")
	require.NoError(t, err)
	_, err = r.SetAttr(t.Context(), n.Ino, objstore.AttrChange{Mode: new(uint32(0o644))})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	damage(t, r.dir, func(tx *kv.Tx) { tx.Put(append([]byte{'I', 0, 0, 0, 0, 0, 0, 0}, byte(n.Ino)), []byte("garbage")) })
	r = open(t, r.dir)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	_, err = r.ListObjects(t.Context(), "bkt", objstore.ListInput{})
	require.Error(t, err)
	lost := 0
	for _, m := range repair(t, r) {
		if m.Lost {
			require.Equal(t, "f", m.Key)
			lost++
		}
	}
	require.Equal(t, 1, lost)
	return r, b, first
}

func requireListed(t *testing.T, r *rig, keys ...string) {
	t.Helper()
	l, err := r.ListObjects(t.Context(), "bkt", objstore.ListInput{})
	require.NoError(t, err)
	var got []string
	for _, o := range l.Objects {
		got = append(got, o.Key)
	}
	require.Equal(t, keys, got)
}

func requireUnreadable(t *testing.T, r *rig, root objstore.Ino, name string) {
	t.Helper()
	_, _, err := r.GetObject(t.Context(), "bkt", name, "")
	require.ErrorIs(t, err, objstore.IntegrityError)
	n, err := r.Lookup(t.Context(), root, name)
	require.NoError(t, err)
	_, err = r.OpenFile(t.Context(), n.Ino)
	require.ErrorIs(t, err, objstore.IntegrityError)
}

func TestLostFileIsListedAndRestored(t *testing.T) {
	r, b, first := lostFile(t)
	requireListed(t, r, "f", "g")
	requireUnreadable(t, r, b.Root, "f")
	var found []objstore.Damage
	_, err := r.Check(t.Context(), nil, func(d objstore.Damage) { found = append(found, d) })
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "f", found[0].Key)

	vs, err := r.Versions(t.Context(), b.Root, "f")
	require.NoError(t, err)
	require.Len(t, vs, 2)
	n, err := r.Restore(t.Context(), b.Root, "f", vs[1].VersionID)
	require.NoError(t, err)
	require.EqualValues(t, len(first), n.Size)
	require.Equal(t, first, get(t, r, "bkt", "f", ""))
	requireClean(t, r)
}

func TestLostFileIsDeleted(t *testing.T) {
	for name, remove := range map[string]func(r *rig, root objstore.Ino) error{
		"mount": func(r *rig, root objstore.Ino) error { return r.Unlink(t.Context(), root, "f") },
		"s3": func(r *rig, _ objstore.Ino) error {
			_, err := r.DeleteObject(t.Context(), "bkt", "f", "", objstore.Condition{})
			return err
		},
		"renamed over": func(r *rig, root objstore.Ino) error {
			return r.Rename(t.Context(), root, "g", root, "f", objstore.RenamePlain)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, b, first := lostFile(t)
			require.NoError(t, remove(r, b.Root))
			if name == "renamed over" {
				requireListed(t, r, "f")
			} else {
				requireListed(t, r, "g")
			}
			requireClean(t, r)
			vs, err := r.Versions(t.Context(), b.Root, "f")
			require.NoError(t, err)
			require.Equal(t, first, get(t, r, "bkt", "f", vs[len(vs)-1].VersionID))
			require.Empty(t, repair(t, r))
		})
	}
}

// A damaged page of a chunk map costs the object, not the store.
func TestRepairOfPage(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "store"))
	defer func() { require.NoError(t, r.Close()) }()
	b := bucket(t, r, objstore.Bucket{})
	other := random(100_000)
	put(t, r, "other", other)
	addFragmented(t, r, b.Root, "big")
	pages := recordsOf(t, r, 'P')
	require.NotEmpty(t, pages)
	require.NoError(t, r.Raw(func(tx *kv.Tx) error { tx.Put(pages[0], []byte("garbage")); return nil }))
	_, err := r.DeleteObject(t.Context(), "bkt", "big", "", objstore.Condition{})
	require.Error(t, err)

	require.Len(t, repair(t, r), 1)
	require.Empty(t, repair(t, r))
	told := map[string]bool{}
	_, err = r.Check(t.Context(), nil, func(d objstore.Damage) { told[d.Key] = true })
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"big": true}, told)
	_, err = r.DeleteObject(t.Context(), "bkt", "big", "", objstore.Condition{})
	require.NoError(t, err)
	requireClean(t, r)
	require.Equal(t, other, get(t, r, "bkt", "other", ""))
}

// addFragmented makes a file of every second chunk.
func addFragmented(t *testing.T, r *rig, root objstore.Ino, name string) {
	t.Helper()
	n, err := r.Create(t.Context(), root, name, objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	f, err := r.OpenFile(t.Context(), n.Ino)
	require.NoError(t, err)
	require.NoError(t, f.Begin(t.Context(), objstore.Encryption{Algorithm: objstore.KMS}, objstore.BeginKeep))
	for i := range int64(20) {
		require.NoError(t, f.WriteChunks(2*i, random(chunk)))
	}
	_, err = f.Commit(t.Context(), objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// What was fsynced, or unlinked while open, before a crash: damaged records of it keep the store neither from opening nor
// from being repaired.
func TestRepairAfterCrash(t *testing.T) {
	for _, kind := range []byte{'X', 'O'} {
		t.Run(string(kind), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			root := crashed(t, dir, kind)
			r := open(t, dir)
			defer func() { require.NoError(t, r.Close()) }()
			require.NotEmpty(t, repair(t, r))
			require.Empty(t, repair(t, r))
			requireClean(t, r)
			if kind == 'X' {
				requireListed(t, r, "f")
				require.Equal(t, "committed", string(get(t, r, "bkt", "f", "")))
			} else {
				requireListed(t, r)
			}
			require.Empty(t, recordsOf(t, r, kind))
			require.NoError(t, r.SyncTree(t.Context()))
			_, err := r.Node(t.Context(), root)
			require.NoError(t, err)
		})
	}
}

// crashed makes in dir a copy of a store with a file open that was fsynced, or unlinked, whose records of that are hurt.
func crashed(t *testing.T, dir string, kind byte) objstore.Ino {
	t.Helper()
	r := open(t, filepath.Join(t.TempDir(), "store"))
	defer func() { require.NoError(t, r.Close()) }()
	b, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt"})
	require.NoError(t, err)
	put(t, r, "f", []byte("committed"))
	n, err := r.Lookup(t.Context(), b.Root, "f")
	require.NoError(t, err)
	f, err := r.OpenFile(t.Context(), n.Ino)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	if kind == 'X' {
		require.NoError(t, f.Begin(t.Context(), objstore.Encryption{Algorithm: objstore.KMS}, objstore.BeginKeep))
		require.NoError(t, f.WriteChunks(0, random(100)))
		require.NoError(t, f.Sync(t.Context(), objstore.AttrChange{}))
	} else {
		require.NoError(t, r.Unlink(t.Context(), b.Root, "f"))
	}
	k := recordsOf(t, r, kind)
	require.Len(t, k, 1)
	hurt := map[byte]func(tx *kv.Tx) error{
		'X': func(tx *kv.Tx) error { tx.Put(k[0], []byte("garbage")); return nil },
		'O': func(tx *kv.Tx) error { tx.Delete(k[0]); return nil },
	}[kind]
	old, err := func() (v []byte, err error) {
		err = r.Raw(func(tx *kv.Tx) error { v, err = tx.Get(k[0]); v = bytes.Clone(v); return err })
		return v, err
	}()
	require.NoError(t, err)
	require.NoError(t, r.Raw(hurt))
	require.NoError(t, os.CopyFS(dir, os.DirFS(r.dir)))
	require.NoError(t, r.Raw(func(tx *kv.Tx) error { tx.Put(k[0], old); return nil }))
	return b.Root
}

// A bucket whose record is gone comes back under another name, with all its objects.
func TestRepairOfBucket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	bucket(t, r, objstore.Bucket{Versioning: objstore.VersioningEnabled})
	body := random(1000)
	put(t, r, "a/b", body)
	require.NoError(t, r.Close())
	damage(t, dir, func(tx *kv.Tx) { tx.Delete([]byte("Bbkt")) })
	r = open(t, dir)
	all, err := r.ListBuckets(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	require.NotEmpty(t, repair(t, r))
	require.Empty(t, repair(t, r))
	for range 2 {
		all, err = r.ListBuckets(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, body, get(t, r, all[0].Name, "a/b", ""))
		requireClean(t, r)
		require.NoError(t, r.Close())
		r = open(t, dir)
	}
	require.NoError(t, r.Close())
}
