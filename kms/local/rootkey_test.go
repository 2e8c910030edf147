package local_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/local"
)

func TestRootKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.key")
	_, err := local.LoadRootKey(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	key, created, err := local.LoadOrCreateRootKey(path)
	require.NoError(t, err)
	require.True(t, created)
	require.Len(t, key, 32)
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), st.Mode())
	again, created, err := local.LoadOrCreateRootKey(path)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, key, again)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestRootKeyRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.key")
	keys, made, errs := make([][]byte, 8), make([]bool, 8), make([]error, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], made[i], errs[i] = local.LoadOrCreateRootKey(path) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	n := 0
	for i := range keys {
		require.Equal(t, keys[0], keys[i])
		if made[i] {
			n++
		}
	}
	require.Equal(t, 1, n)
}

func TestRootKeyRefused(t *testing.T) {
	good := bytes.Repeat([]byte{5}, 32)
	write := func(data []byte, mode fs.FileMode) func(string) error {
		return func(path string) error {
			return errors.Join(os.WriteFile(path, data, 0o600), os.Chmod(path, mode))
		}
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"group reads":  {write(good, 0o640), "can be read or written by others (mode 0640)"},
		"all write":    {write(good, 0o602), "run: chmod 600 "},
		"short":        {write(good[1:], 0o600), "has 31 bytes, but a root key has 32"},
		"long":         {write(append(good, 1), 0o600), "has 33 bytes, but a root key has 32"},
		"empty":        {write(nil, 0o600), "has 0 bytes"},
		"zeros":        {write(make([]byte, 32), 0o600), "holds only zero bytes"},
		"directory":    {func(p string) error { return os.Mkdir(p, 0o700) }, "is not a regular file"},
		"named pipe":   {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "is not a regular file"},
		"no directory": {func(string) error { return nil }, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.key")
			if name == "no directory" {
				path = filepath.Join(path, "store.key")
			}
			require.NoError(t, c.make(path))
			_, created, err := local.LoadOrCreateRootKey(path)
			require.Error(t, err)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, path)
			require.False(t, created)
		})
	}
}

// The vector was computed with OpenSSL's HKDF.
func TestDerive(t *testing.T) {
	got := local.Derive(bytes.Repeat([]byte{1}, 32), "kmsfs store v1")
	require.Equal(t, deriveVector, hex.EncodeToString(got))
	require.NotEqual(t, got, local.Derive(bytes.Repeat([]byte{1}, 32), "kmsfs kms v1"))
}

const deriveVector = "cb68d4cca87df83ad0fd040fb32891a136dcf8577a1ea5dda40ee66403fa4b56"
