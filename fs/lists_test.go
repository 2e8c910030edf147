package fs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func emptyFile(t *testing.T, v *View, name string) objstore.Ino {
	t.Helper()
	n, err := v.Mknod(t.Context(), v.Root(), name, NodeInit{Mode: sIFREG | 0o644})
	require.NoError(t, err)
	return n.Ino
}

func TestFileHasNoLabel(t *testing.T) {
	_, _, v := engine(t)
	f := emptyFile(t, v, "f")
	_, err := v.GetXattr(t.Context(), f, "security.selinux")
	require.ErrorIs(t, err, Unsupported)
	require.NoError(t, v.SetXattr(t.Context(), f, "security.selinux", []byte("x"), objstore.XattrSet))
	value, err := v.GetXattr(t.Context(), f, "security.selinux")
	require.NoError(t, err)
	require.Equal(t, "x", string(value))
	_, err = v.GetXattr(t.Context(), f, "security.other")
	require.ErrorIs(t, err, objstore.NoSuchXattr)
}

// Lists are not supported until the first one is set; a kernel that enforces them is always told that there is none.
func TestNoFileHasAList(t *testing.T) {
	_, files, v := engine(t)
	enforcing, err := files.NewView(t.Context(), ViewOptions{Bucket: "files", EnforcesACLs: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, enforcing.Close(t.Context())) })
	f, other := emptyFile(t, v, "f"), emptyFile(t, v, "other")
	_, err = v.GetXattr(t.Context(), f, AccessACL)
	require.ErrorIs(t, err, Unsupported)
	requireNoXattr(t, enforcing, f, AccessACL)

	list := string(aclBytes(owner(6), [3]uint32{tagUser, 4, 7}, group(4), mask(6), others(4)))
	require.NoError(t, v.SetXattr(t.Context(), f, AccessACL, []byte(list), objstore.XattrSet))
	requireXattr(t, v, f, AccessACL, list)
	requireNoXattr(t, v, other, AccessACL)
	require.NoError(t, v.RemoveXattr(t.Context(), f, AccessACL))
	requireNoXattr(t, v, f, AccessACL)
}
