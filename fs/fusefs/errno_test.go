package fusefs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/fs"
	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/xattr"
)

func TestEveryCodeHasARow(t *testing.T) {
	e := newErrnos()
	for _, c := range objstore.Codes {
		require.Contains(t, e.store, c)
	}
	for _, c := range kms.Codes {
		require.Contains(t, e.kms, c)
	}
	for _, c := range fs.Codes {
		require.Contains(t, e.fs, c)
	}
	require.Len(t, e.store, len(objstore.Codes))
	require.Len(t, e.kms, len(kms.Codes))
	require.Len(t, e.fs, len(fs.Codes))
	for _, errno := range e.kms {
		require.NotEqual(t, syscall.ENOSYS, errno)
	}
}

func TestErrnos(t *testing.T) {
	e := newErrnos()
	state := func(s kms.KeyState) error { return &kms.Error{Code: kms.KMSInvalidStateException, State: s} }
	stored := func(c objstore.Code, err error) error { return &objstore.Error{Code: c, Err: err} }
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{kms.NotFoundException, syscall.ENOKEY},
		{&kms.Error{Code: kms.NotFoundException, Region: "eu-central-1"}, syscall.EKEYREJECTED},
		{kms.DisabledException, syscall.EKEYREVOKED},
		{state(kms.StatePendingDeletion), syscall.EKEYEXPIRED},
		{state(kms.StatePendingImport), syscall.ENOKEY},
		{kms.InvalidKeyUsageException, syscall.EKEYREJECTED},
		{kms.AccessDeniedException, syscall.EACCES},
		{kms.ThrottlingException, syscall.EIO},
		{stored(objstore.AccessDenied, &kms.Error{Code: kms.DisabledException}), syscall.EKEYREVOKED},
		{fmt.Errorf("open: %w", stored(objstore.NoSuchNode, nil)), syscall.ENOENT},
		{stored(objstore.IntegrityError, syscall.ENOENT), syscall.EIO},
		{stored(objstore.InternalError, syscall.ENOSPC), syscall.ENOSPC},
		{fmt.Errorf("write: %w", syscall.EDQUOT), syscall.EDQUOT},
		{fmt.Errorf("%w: %w", fs.Stale, objstore.NoSuchNode), syscall.ESTALE},
		{fmt.Errorf("user.sse: %w", xattr.ErrSyntax), syscall.EINVAL},
		{xattr.ErrReadOnly, syscall.EPERM},
		{context.Canceled, syscall.EINTR},
		{syscall.ENOSYS, syscall.EIO},
		{errors.New("anything"), syscall.EIO},
		{objstore.Code("NewCode"), syscall.EIO},
		{kms.Code("NewCode"), syscall.EIO},
	} {
		require.Equal(t, c.want, e.of(c.err), "%v", c.err)
	}
}

func TestRootIsNodeOne(t *testing.T) {
	f := &filesystem{root: 77}
	for _, ino := range []objstore.Ino{1, 2, 77, 1 << 40, fs.BucketsRoot} {
		require.Equal(t, ino, f.ino(f.nodeid(ino)))
	}
	require.EqualValues(t, 1, f.nodeid(77))
	require.EqualValues(t, 77, f.nodeid(1))
}

func TestReplyTellsTheSize(t *testing.T) {
	n, status := reply(nil, []byte("value"))
	require.EqualValues(t, 5, n)
	require.EqualValues(t, syscall.ERANGE, status)
	buf := make([]byte, 9)
	n, status = reply(buf, []byte("value"))
	require.True(t, status.Ok())
	require.Equal(t, "value", string(buf[:n]))
}
