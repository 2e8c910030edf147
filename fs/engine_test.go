package fs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/local"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
)

// engine is a view of bucket "files" of a new store on disk, which is checked at the end.
func engine(t testing.TB) (*badgerstore.Store, *FS, *View) {
	t.Helper()
	s, _, f, v := engineAndKeys(t)
	return s, f, v
}

// engineAndKeys is engine with its key service.
func engineAndKeys(t testing.TB) (*badgerstore.Store, *kms.Service, *FS, *View) {
	t.Helper()
	root := bytes.Repeat([]byte{7}, 32)
	s, err := badgerstore.Open(filepath.Join(t.TempDir(), "store"), badgerstore.Options{
		Secret: local.Derive(root, "kmsfs store v1"), SyncEvery: time.Hour,
	})
	require.NoError(t, err)
	p, err := local.Open(s.Records(), root, local.Options{})
	require.NoError(t, err)
	keys := kms.NewService(p, kms.Options{ServiceKeys: map[uint32][]byte{1: local.Derive(root, "kmsfs sse-s3 v1")}})
	s.SetKMS(keys)
	_, err = s.CreateBucket(t.Context(), objstore.Bucket{
		Name: "files", Versioning: objstore.VersioningEnabled, Default: objstore.Encryption{Algorithm: objstore.KMS},
	})
	require.NoError(t, err)
	f := New(Options{Tree: s, Store: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	v, err := f.NewView(t.Context(), ViewOptions{Bucket: "files"})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, f.Close())
		require.Zero(t, f.OpenFiles(), "a handle was not released")
		_, err := s.Check(context.Background(), nil, func(d objstore.Damage) { t.Errorf("damage: %s/%s: %s", d.Bucket, d.Key, d.What) })
		require.NoError(t, err)
		require.NoError(t, s.Close())
	})
	return s, keys, f, v
}

// TestFileIsASliceOfBytesOnTheEngine does what its namesake does on the store that is shipped.
func TestFileIsASliceOfBytesOnTheEngine(t *testing.T) {
	_, f, v := engine(t)
	for seed := range uint64(9) {
		m := &fileModel{t: t, r: rand.New(rand.NewPCG(seed, 11)), v: v, h: create(t, v, string(rune('a'+seed)))}
		f.pool.limit = [...]int{0, 3, 1000}[seed%3]
		m.ino = m.h.Ino()
		for range 60 {
			m.step()
			m.check()
		}
		m.reopen()
		m.check()
		m.h.Release(context.Background())
	}
}

func TestVersionsOnTheEngine(t *testing.T) {
	s, _, v := engine(t)
	h := create(t, v, "f")
	for _, text := range []string{"one", "two", "three"} {
		require.NoError(t, h.Flush(t.Context()))
		h.Release(t.Context())
		h = open(t, v, h.Ino(), OpenFlags{Write: true, Truncate: true})
		write(t, h, 0, text)
		require.NoError(t, h.Flush(t.Context()))
	}
	h.Release(t.Context())
	all, err := s.Versions(t.Context(), v.Root(), "f")
	require.NoError(t, err)
	require.Len(t, all, 4)
	dir := lookup(t, v, lookup(t, v, v.Root(), VersionsName).Ino, "f")
	names := list(t, v, dir.Ino, 10)
	require.Len(t, names, 2+3)
	for k, want := range []string{"", "one", "two"} {
		old := open(t, v, lookup(t, v, dir.Ino, names[k+2]).Ino, OpenFlags{})
		require.Equal(t, want, string(readAll(t, old, 10)))
		old.Release(t.Context())
	}
}

// TestOverwriteNeedsNoOldKey: what is dropped at open(2) is not decrypted, so an overwrite is one call of the KMS, and works
// under another key while the old one is disabled; under the disabled one it fails and leaves the file as it was.
func TestOverwriteNeedsNoOldKey(t *testing.T) {
	_, keys, f, v := engineAndKeys(t)
	old, err := keys.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	other, err := keys.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	require.NoError(t, v.SetXattr(t.Context(), v.Root(), "user.sse-kms-key-id", []byte(old.ARN), objstore.XattrSet))
	h := create(t, v, "f")
	write(t, h, 0, "old")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())

	before := keys.Calls()
	h = open(t, v, h.Ino(), OpenFlags{Write: true, Truncate: true})
	write(t, h, 0, "new")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	require.EqualValues(t, 1, keys.Calls()-before)

	require.NoError(t, keys.DisableKey(t.Context(), old.ARN))
	_, err = v.Open(t.Context(), h.Ino(), OpenFlags{Write: true, Truncate: true})
	require.Error(t, err)
	require.ErrorIs(t, err, kms.DisabledException)
	require.Zero(t, f.OpenFiles())
	require.NoError(t, v.SetXattr(t.Context(), h.Ino(), "user.sse-kms-key-id", []byte(other.ARN), objstore.XattrSet))
	h = open(t, v, h.Ino(), OpenFlags{Write: true, Truncate: true})
	write(t, h, 0, "newest")
	require.NoError(t, h.Flush(t.Context()))
	require.Equal(t, "newest", string(readAll(t, h, 10)))
	h.Release(t.Context())
	require.NoError(t, keys.EnableKey(t.Context(), old.ARN))
}
