package keyring_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
)

const (
	storeID = "00112233445566778899aabbccddeeff"
	primary = "kmsfs.keyring"
	second  = "kmsfs.keyring.copy"
)

func rootKey(b byte) []byte { return bytes.Repeat([]byte{b}, kms.KeySize) }

func day(n int) time.Time { return time.Date(2026, 1, n, 2, 3, 4, 0, time.UTC) }

func write(t *testing.T, dir string, r *keyring.Ring, root byte, now time.Time) {
	t.Helper()
	require.NoError(t, r.Write(dir, rootKey(root), now))
}

func open(t *testing.T, dir string, root byte) (*keyring.Ring, error) {
	t.Helper()
	f, err := keyring.Read(dir)
	require.NoError(t, err)
	return f.Open(rootKey(root))
}

func secrets(r *keyring.Ring) (all [][]byte) {
	for _, p := range []keyring.Purpose{keyring.Store, keyring.KMS, keyring.SSES3, keyring.Users, keyring.Audit, keyring.Identity} {
		all = append(all, r.Secrets(p)...)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	_, err := keyring.Read(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	r := keyring.New(storeID, day(1))
	write(t, dir, r, 1, day(1))
	r.Add(keyring.SSES3, day(2))
	r.Add(keyring.Identity, day(2))
	write(t, dir, r, 1, day(2))
	got, err := open(t, dir, 1)
	require.NoError(t, err)
	require.Equal(t, r.Head, got.Head)
	require.Equal(t, secrets(r), secrets(got))
	require.Len(t, secrets(got), 8)
	require.Equal(t, uint32(2), got.Newest(keyring.SSES3).Version)
	require.Equal(t, uint64(2), got.Generation)
	require.Equal(t, day(1), got.Since, "the root key is the same")
	require.Equal(t, local.RootKeyID(rootKey(1)), got.Root)

	got.DropFormer(keyring.Identity)
	require.Len(t, got.All(keyring.Identity), 1)
	require.Len(t, got.Signers, 2, "public halves stay")
	require.Equal(t, got.Signers[1].Public, got.Signer().Public())
	write(t, dir, got, 2, day(3))
	_, err = open(t, dir, 1)
	require.ErrorIs(t, err, keyring.ErrRootKey)
	require.ErrorContains(t, err, "since 2026-01-03")
	last, err := open(t, dir, 2)
	require.NoError(t, err)
	require.Equal(t, secrets(got), secrets(last))

	data, err := os.ReadFile(filepath.Join(dir, primary))
	require.NoError(t, err)
	for _, s := range secrets(r) {
		require.False(t, bytes.Contains(data, s))
	}
	r.Wipe()
	require.Zero(t, r.Newest(keyring.KMS).Secret[0]|r.Newest(keyring.KMS).Secret[31])
}

// TestOneCopyIsEnough: whatever happens to one copy, the other one opens and heals it.
func TestOneCopyIsEnough(t *testing.T) {
	dir := t.TempDir()
	r := keyring.New(storeID, day(1))
	write(t, dir, r, 1, day(1))
	whole, err := os.ReadFile(filepath.Join(dir, primary))
	require.NoError(t, err)
	for _, name := range []string{primary, second} {
		for at := 0; at < len(whole); at += 7 {
			bad := bytes.Clone(whole)
			bad[at] ^= 1
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), bad, 0o600))
			got, err := open(t, dir, 1)
			require.NoError(t, err, "byte %d of %s", at, name)
			require.Equal(t, secrets(r), secrets(got))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), whole, 0o600))
		}
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
		got, err := open(t, dir, 1)
		require.NoError(t, err)
		require.NoError(t, got.Heal(dir, rootKey(1)))
		a, err := os.ReadFile(filepath.Join(dir, primary))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(dir, second))
		require.NoError(t, err)
		require.Equal(t, a, b)
		whole = a
	}
}

// TestDamage: no bit of the file can be changed, and what is said is that it is damaged.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, keyring.New(storeID, day(1)), 1, day(1))
	require.NoError(t, os.Remove(filepath.Join(dir, second)))
	whole, err := os.ReadFile(filepath.Join(dir, primary))
	require.NoError(t, err)
	for at := range whole {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		require.NoError(t, os.WriteFile(filepath.Join(dir, primary), bad, 0o600))
		f, err := keyring.Read(dir)
		if err == nil {
			_, err = f.Open(rootKey(1))
		}
		require.Error(t, err, "byte %d", at)
		if !strings.Contains(err.Error(), keyring.ErrRootKey.Error()) {
			require.ErrorIs(t, err, keyring.ErrDamaged, "byte %d", at)
		}
	}
	newer := bytes.Replace(whole, []byte("keyring 1"), []byte("keyring 2"), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, primary), newer, 0o600))
	_, err = keyring.Read(dir)
	require.ErrorContains(t, err, `it is a "kmsfs keyring 2"; this release knows "kmsfs keyring 1"`)
}

// TestCutShort: the machine died between the writes of the two copies. The root key of before opens its own copy until the
// last one is written; either root key opens what the other cannot.
func TestCutShort(t *testing.T) {
	dir := t.TempDir()
	r := keyring.New(storeID, day(1))
	write(t, dir, r, 1, day(1))
	before, err := os.ReadFile(filepath.Join(dir, second))
	require.NoError(t, err)
	want := r.Newest(keyring.Store)
	write(t, dir, r, 2, day(2))
	require.NoError(t, os.WriteFile(filepath.Join(dir, second), before, 0o600))
	for _, root := range []byte{2, 1} {
		f, err := keyring.Read(dir)
		require.NoError(t, err)
		require.True(t, f.SealedUnder(local.RootKeyID(rootKey(root))))
		got, err := f.Open(rootKey(root))
		require.NoError(t, err)
		require.Equal(t, want, got.Newest(keyring.Store))
	}
	got, err := open(t, dir, 1)
	require.NoError(t, err)
	require.NoError(t, got.Heal(dir, rootKey(1)))
	_, err = open(t, dir, 2)
	require.ErrorIs(t, err, keyring.ErrRootKey, "the ring is again under the root key of before, and under no other")
}
