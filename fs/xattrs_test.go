package fs

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/xattr"
)

const keyARN = "arn:aws:kms:us-east-1:000000000000:key/"

func setXattr(t *testing.T, v *View, ino objstore.Ino, name, value string) {
	t.Helper()
	require.NoError(t, v.SetXattr(t.Context(), ino, name, []byte(value), objstore.XattrSet))
}

func requireXattr(t *testing.T, v *View, ino objstore.Ino, name, want string) {
	t.Helper()
	value, err := v.GetXattr(t.Context(), ino, name)
	require.NoError(t, err)
	require.Equal(t, want, string(value))
}

func requireNoXattr(t *testing.T, v *View, ino objstore.Ino, name string) {
	t.Helper()
	_, err := v.GetXattr(t.Context(), ino, name)
	require.ErrorIs(t, err, objstore.NoSuchXattr)
}

func mkdir(t *testing.T, v *View, parent objstore.Ino, name string) objstore.Ino {
	t.Helper()
	n, err := v.Mknod(t.Context(), parent, name, NodeInit{Mode: sIFDIR | 0o755})
	require.NoError(t, err)
	return n.Ino
}

// put makes a file with content in the directory parent.
func put(t *testing.T, v *View, parent objstore.Ino, name, data string) objstore.Ino {
	t.Helper()
	_, h, err := v.Create(t.Context(), parent, name, NodeInit{Mode: 0o644}, OpenFlags{Write: true}, false)
	require.NoError(t, err)
	write(t, h, 0, data)
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	return h.Ino()
}

func TestFileInheritsFromTheNearestDirectory(t *testing.T) {
	_, _, v := setup(t)
	a := mkdir(t, v, v.Root(), "a")
	b := mkdir(t, v, a, "b")
	requireXattr(t, v, put(t, v, b, "before", "x"), xattr.SSE, "AES256")

	setXattr(t, v, a, xattr.KeyID, "alias/a")
	setXattr(t, v, a, xattr.EncryptionContext, `{ "team" : "hr" }`)
	setXattr(t, v, b, xattr.BucketKey, "true")
	f := put(t, v, b, "f", "x")
	for name, want := range map[string]string{
		xattr.SSE: "aws:kms", xattr.KeyID: keyARN + "a", xattr.EncryptionContext: `{"team":"hr"}`, xattr.BucketKey: "true",
	} {
		requireXattr(t, v, f, name, want)
	}
	requireXattr(t, v, a, xattr.EncryptionContext, `{"team":"hr"}`)
	requireXattr(t, v, a, xattr.KeyID, "alias/a")
	requireNoXattr(t, v, b, xattr.KeyID)
	names, err := v.ListXattr(t.Context(), f)
	require.NoError(t, err)
	require.Empty(t, names, "what is inherited is answered, not listed: a copy would select it")
	setXattr(t, v, f, xattr.BucketKey, "false")
	names, err = v.ListXattr(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, []string{xattr.BucketKey}, names)

	c := mkdir(t, v, v.Root(), "c")
	require.NoError(t, v.Rename(t.Context(), a, "b", c, "b", objstore.RenamePlain))
	requireXattr(t, v, put(t, v, b, "moved", "x"), xattr.SSE, "AES256")
}

func TestSelectionWaitsForTheNextVersion(t *testing.T) {
	s, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	requireXattr(t, v, f, xattr.Pending, "false")
	setXattr(t, v, f, xattr.KeyID, "alias/a")
	requireXattr(t, v, f, xattr.Pending, "true")
	requireXattr(t, v, f, xattr.KeyID, "alias/a")
	require.Equal(t, 1, s.VersionCount(f))

	h := open(t, v, f, OpenFlags{Write: true})
	setXattr(t, v, f, xattr.KeyID, "alias/b") // while it is open
	write(t, h, 0, "y")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	requireXattr(t, v, f, xattr.Pending, "false")
	node, err := s.Node(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, keyARN+"b", node.Stored.KeyID)

	require.NoError(t, v.RemoveXattr(t.Context(), f, xattr.KeyID))
	requireXattr(t, v, f, xattr.KeyID, keyARN+"b")
	requireXattr(t, v, f, xattr.Pending, "true")
}

func TestPresentValueIsNoChange(t *testing.T) {
	s, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	setXattr(t, v, f, xattr.KeyID, "alias/a")
	before, err := s.Node(t.Context(), f)
	require.NoError(t, err)
	s.RefuseWith(func(string, objstore.Ino) error { return errors.New("must not be asked") })
	setXattr(t, v, f, xattr.KeyID, "alias/a")
	s.RefuseWith(nil)
	after, err := s.Node(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, before.Ctime, after.Ctime)
}

func TestXattrRefusals(t *testing.T) {
	_, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	set := func(name, value string) error {
		return v.SetXattr(t.Context(), f, name, []byte(value), objstore.XattrSet)
	}
	require.ErrorIs(t, set(xattr.SSE, "ROT13"), xattr.ErrSyntax)
	require.ErrorContains(t, set(xattr.KeyID, "alias/none"), "does not exist")
	requireXattr(t, v, f, xattr.LastError, "the key does not exist")
	for _, name := range xattr.VirtualNames() {
		require.ErrorIs(t, set(name, "x"), objstore.NotPermitted)
		require.ErrorIs(t, v.RemoveXattr(t.Context(), f, name), objstore.NotPermitted)
	}
	require.ErrorIs(t, set("system.nfs4_acl", "x"), Unsupported)
	require.ErrorIs(t, v.RemoveXattr(t.Context(), f, xattr.SSE), objstore.NoSuchXattr)
	_, err := v.GetXattr(t.Context(), f, xattr.KeyID)
	require.ErrorIs(t, err, objstore.NoSuchXattr)
}

func TestVersionXattrs(t *testing.T) {
	_, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	node, _, err := v.GetAttr(t.Context(), f)
	require.NoError(t, err)
	requireXattr(t, v, f, xattr.VersionID, string(node.VersionID))
	requireXattr(t, v, f, xattr.ETag, node.ETag)
	requireNoXattr(t, v, v.Root(), xattr.VersionID)
	requireNoXattr(t, v, v.Root(), xattr.Pending)
}

func TestBucketRootIsTheDefault(t *testing.T) {
	s, _, v := setup(t)
	requireXattr(t, v, v.Root(), xattr.SSE, "AES256")
	setXattr(t, v, v.Root(), xattr.BucketKey, "true") // waits: AES256 has none
	setXattr(t, v, v.Root(), xattr.EncryptionContext, `{"a":"b"}`)
	requireXattr(t, v, v.Root(), xattr.BucketKey, "true")
	setXattr(t, v, v.Root(), xattr.KeyID, "alias/d")
	b, err := s.HeadBucket(t.Context(), "files")
	require.NoError(t, err)
	want := objstore.Encryption{Algorithm: objstore.KMS, KeyID: "alias/d", BucketKey: true, Context: map[string]string{"a": "b"}}
	require.Equal(t, want, b.Default)
	root, err := s.Node(t.Context(), v.Root())
	require.NoError(t, err)
	require.Empty(t, root.Xattrs)

	f := put(t, v, v.Root(), "f", "x")
	requireXattr(t, v, f, xattr.KeyID, keyARN+"d")
	requireXattr(t, v, f, xattr.BucketKey, "true")

	s.RefuseWith(func(string, objstore.Ino) error { return errors.New("must not be asked") })
	setXattr(t, v, v.Root(), xattr.KeyID, "alias/d")
	s.RefuseWith(nil)
	require.NoError(t, v.RemoveXattr(t.Context(), v.Root(), xattr.KeyID))
	require.NoError(t, v.RemoveXattr(t.Context(), v.Root(), xattr.SSE))
	b, err = s.HeadBucket(t.Context(), "files")
	require.NoError(t, err)
	require.Equal(t, objstore.AES256, b.Default.Algorithm)
	require.ErrorIs(t, v.RemoveXattr(t.Context(), v.Root(), xattr.KeyID), objstore.NoSuchXattr)
	err = v.SetXattr(t.Context(), v.Root(), xattr.KeyID, []byte("alias/none"), objstore.XattrSet)
	require.ErrorContains(t, err, "does not exist")
}
