package fs

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// A large write is answered before it is stored; all who ask for the file meanwhile see it.
func TestWriteBehind(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	defer h.Release(t.Context())
	data := bytes.Repeat([]byte("0123456789"), leastBehind/10+1)
	n, finish, err := h.WriteBehind(t.Context(), 5, data, false)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
	require.NotNil(t, finish)
	node, _, err := v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err)
	require.EqualValues(t, 5+len(data), node.Size)
	go finish()
	require.Equal(t, data, readAll(t, h, 5+len(data))[5:])
	require.NoError(t, h.Flush(t.Context()))
	require.Equal(t, 1, s.VersionCount(h.Ino()))

	_, finish, err = h.WriteBehind(t.Context(), 0, data[:leastBehind-1], false)
	require.NoError(t, err)
	require.Nil(t, finish, "a small one is stored first")
}

// What was answered and cannot be stored is not lost: it is read, flushes fail until it is stored, and further writes say so.
func TestWriteBehindThatFails(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	data := bytes.Repeat([]byte("0123456789"), leastBehind/10+1)
	full := errors.New("the disk is full")
	s.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "write" {
			return full
		}
		return nil
	})
	_, finish, err := h.WriteBehind(t.Context(), 5, data, false)
	require.NoError(t, err)
	finish()
	why, err := v.GetXattr(t.Context(), h.Ino(), "user.kmsfs.error")
	require.NoError(t, err)
	require.Contains(t, string(why), "the disk is full")
	require.Equal(t, data, readAll(t, h, 5+len(data))[5:])
	_, finish, err = h.WriteBehind(t.Context(), 5, data, false)
	require.ErrorIs(t, err, full)
	require.Nil(t, finish)
	require.ErrorIs(t, h.Flush(t.Context()), full)

	s.RefuseWith(nil)
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	again := open(t, v, h.Ino(), OpenFlags{})
	defer again.Release(t.Context())
	require.Equal(t, data, readAll(t, again, 5+len(data))[5:])
}
