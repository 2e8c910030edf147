package badgerstore_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

const accessList = "system.posix_acl_access"

// A store that began without access control lists knows when the first one came, also after a restart, and whatever failed.
func TestFirstAccessControlList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	ctx := context.Background()
	reopen := func() {
		require.NoError(t, r.Close())
		r = open(t, dir)
	}
	require.True(t, r.MayHaveACLs(), "not known yet")
	b := bucket(t, r, objstore.Bucket{})
	another := func(name string) {
		_, err := r.CreateBucket(ctx, objstore.Bucket{Name: name})
		require.NoError(t, err)
	}
	another("second")
	n, err := r.Create(ctx, b.Root, "f", objstore.NodeInit{Mode: 0o100644, Xattrs: map[string][]byte{"user.x": []byte("x")}})
	require.NoError(t, err)
	require.False(t, r.MayHaveACLs())
	reopen()
	require.False(t, r.MayHaveACLs())

	r.SetFault(func() error { return errors.New("not now") })
	require.Error(t, r.SetXattr(ctx, n.Ino, accessList, []byte("list"), objstore.XattrSet))
	r.SetFault(nil)
	require.NoError(t, r.SetXattr(ctx, n.Ino, accessList, []byte("list"), objstore.XattrSet))
	require.True(t, r.MayHaveACLs())
	reopen()
	require.True(t, r.MayHaveACLs())
	another("third")
	require.True(t, r.MayHaveACLs())
	requireClean(t, r)

	listCounter := []byte("Macl")
	for _, damage := range []func(*kv.Tx){
		func(tx *kv.Tx) { tx.Put(listCounter, []byte{0, 0, 0, 0, 0, 0, 0, 2}) },
		func(tx *kv.Tx) { tx.Put(listCounter, []byte("short")) },
	} {
		require.NoError(t, r.Raw(func(tx *kv.Tx) error { damage(tx); return nil }))
		reopen()
		_, err = r.Repair(ctx, nil, func(objstore.Mending) {})
		require.NoError(t, err)
		require.True(t, r.MayHaveACLs(), "repair sees the list")
		reopen()
		require.True(t, r.MayHaveACLs())
	}
	require.NoError(t, r.Raw(func(tx *kv.Tx) error { tx.Delete(listCounter); return nil }))
	reopen()
	require.True(t, r.MayHaveACLs(), "an earlier version may have set some")
	require.NoError(t, r.Close())
}
