package local_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/local"
)

func TestWrappedRootFile(t *testing.T) {
	root := bytes.Repeat([]byte{3}, 32)
	for _, endpoint := range []string{"", "https://kms.example:8090"} {
		want := local.WrappedRoot{Key: "arn:aws:kms:us-east-1:000000000000:key/x", Endpoint: endpoint, Store: strings.Repeat("0", 32), Blob: []byte("blob")}
		text := local.WrappedRootFile(local.RootKeyID(root), want)
		f, err := local.ParseRootFile(text, "the file")
		require.NoError(t, err)
		require.Equal(t, &want, f.Wrapped())
		require.False(t, f.Protected(), "no passphrase is asked for")
		require.Equal(t, local.RootKeyID(root), f.ID())
		_, err = f.Open(func() ([]byte, error) { return []byte("p"), nil })
		require.ErrorContains(t, err, "wrapped by a key service")
		got, err := f.Unwrap(func(w *local.WrappedRoot) ([]byte, error) { return bytes.Clone(root), nil })
		require.NoError(t, err)
		require.Equal(t, root, got)
		for _, other := range [][]byte{bytes.Repeat([]byte{4}, 32), root[:31], nil} {
			_, err = f.Unwrap(func(*local.WrappedRoot) ([]byte, error) { return other, nil })
			require.ErrorIs(t, err, local.ErrWrapped)
		}
		away := errors.New("away")
		_, err = f.Unwrap(func(*local.WrappedRoot) ([]byte, error) { return nil, away })
		require.ErrorIs(t, err, away)
		for cut := len("kmsfs root key 1\n"); cut < len(text); cut++ {
			_, err := local.ParseRootFile(text[:cut], "the file")
			require.ErrorContains(t, err, "the file is damaged", "%d bytes", cut)
		}
		_, err = local.ParseRootFile(append(text, '\n'), "the file")
		require.ErrorContains(t, err, "the file is damaged")
	}
}
