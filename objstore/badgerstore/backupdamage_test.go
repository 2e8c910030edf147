package badgerstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
	"kmsfs/objstore/badgerstore/backup"
)

// Whatever byte of whatever file of a backup is changed, cut off or added: it is refused, and the file is named; without a key
// the checksums find it, too. A restore leaves the directory as empty as it was.
func TestDamagedBackupIsRefused(t *testing.T) {
	r := trackQuick(t)
	c := newChanger(t, r, 9)
	for range 20 {
		c.change(t)
	}
	dir, file := filepath.Join(memDir(t), "repo"), filepath.Join(memDir(t), "file")
	r.SetBackupPack(1 << 20)
	backupTo(t, r, dir, 0)
	f, err := os.Create(file)
	require.NoError(t, err)
	_, err = r.BackupStream(t.Context(), f, nil)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, path := range []string{dir, file} {
		var files []string
		require.NoError(t, filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && e.Name() != "lock" {
				files = append(files, p)
			}
			return err
		}))
		for _, name := range files {
			whole, err := os.ReadFile(name)
			require.NoError(t, err)
			for i := range 12 {
				at := i * (len(whole) - 1) / 11
				bad := bytes.Clone(whole)
				bad[at] ^= 0x10
				requireRefused(t, path, name, bad)
			}
			requireRefused(t, path, name, whole[:len(whole)-1])
			requireRefused(t, path, name, append(bytes.Clone(whole), 0))
			if name == files[len(files)/2] {
				to, err := restore(t, path, "")
				requireNamed(t, err, name)
				entries, err := os.ReadDir(to)
				require.NoError(t, err)
				require.Len(t, entries, 1, "the restore left something beside the lock")
			}
			require.NoError(t, os.WriteFile(name, whole, 0o600))
		}
	}
}

// requireRefused puts bad into a file of the backup at path.
func requireRefused(t *testing.T, path, name string, bad []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, bad, 0o600))
	src, err := backup.Open(path, "", nil)
	if err != nil {
		requireNamed(t, err, name)
		return
	}
	_, err = badgerstore.VerifyBackup(t.Context(), src, storeSecret())
	require.NoError(t, src.Close())
	requireNamed(t, err, name)

	src, err = backup.Open(path, "", nil)
	require.NoError(t, err)
	defer src.Close()
	found := 0
	_, err = src.Sums(t.Context(), func(error) { found++ })
	require.True(t, err != nil || found > 0, "no checksum finds what happened to %s", name)
}

func requireNamed(t *testing.T, err error, name string) {
	t.Helper()
	require.Error(t, err, "%s", name)
	if !errors.Is(err, backup.ErrWrongKey) && !errors.Is(err, backup.ErrNewer) { // what names the key or the version was hit
		require.Contains(t, err.Error(), filepath.Base(name))
	}
}

// A backup needs its own root key, and a repository its own store.
func TestBackupOfAnotherStore(t *testing.T) {
	r, other := trackQuick(t), trackQuick(t)
	dir := filepath.Join(memDir(t), "repo")
	backupTo(t, r, dir, 0)
	_, err := other.BackupTo(t.Context(), dir, 0, nil)
	require.ErrorIs(t, err, backup.ErrOtherStore)
	_, err = r.BackupTo(t.Context(), r.dir, 0, nil)
	require.ErrorIs(t, err, backup.ErrNotBackup)
	src, err := backup.Open(dir, "", nil)
	require.NoError(t, err)
	defer src.Close()
	to := filepath.Join(memDir(t), "to")
	_, err = badgerstore.Restore(t.Context(), to, src, badgerstore.Options{Secret: random(32)})
	require.ErrorIs(t, err, backup.ErrWrongKey)
	require.NoDirExists(t, to)
	_, err = badgerstore.Restore(t.Context(), r.dir, src, badgerstore.Options{Secret: storeSecret()})
	require.ErrorIs(t, err, badgerstore.ErrNotEmpty)
	_, err = backup.Open(dir, "yesterday", nil)
	require.ErrorIs(t, err, backup.ErrNoPoint)
}

// A restore that was killed leaves no store, says so, and can be begun anew.
func TestRestoreCutShort(t *testing.T) {
	r := trackQuick(t)
	victim(t, r)
	names, want := snapshot(t, r)
	dir := filepath.Join(memDir(t), "repo")
	backupTo(t, r, dir, 0)
	path, err := restore(t, dir, "")
	require.NoError(t, err)
	for _, name := range []string{"kmsfs.store", "kmsfs.store.copy"} {
		require.NoError(t, os.Remove(filepath.Join(path, name)))
	}
	require.NoError(t, os.WriteFile(filepath.Join(path, "kmsfs.restoring"), nil, 0o600))
	_, err = badgerstore.Open(path, badgerstore.Options{Secret: storeSecret()})
	require.ErrorIs(t, err, badgerstore.ErrUnfinished)
	src, err := backup.Open(dir, "latest", nil)
	require.NoError(t, err)
	defer src.Close()
	_, err = badgerstore.Restore(t.Context(), path, src, badgerstore.Options{Secret: storeSecret()})
	require.NoError(t, err)
	back := open(t, path)
	defer back.Close()
	got, all := snapshot(t, back)
	require.Equal(t, names, got)
	require.Equal(t, want, all)
}

// A damaged store can be backed up: what can be read is in it, and the rest is counted.
func TestBackupOfDamagedStore(t *testing.T) {
	r := open(t, filepath.Join(memDir(t), "store"))
	_, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt"})
	require.NoError(t, err)
	for _, key := range []string{"whole", "hurt"} {
		_, err := r.PutObject(t.Context(), objstore.PutInput{Bucket: "bkt", Key: key, Body: bytes.NewReader(random(5 * chunk))})
		require.NoError(t, err)
	}
	_, want := snapshot(t, r)
	require.NoError(t, r.Close())
	files, err := filepath.Glob(filepath.Join(r.dir, "content", "*", "*"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.NoError(t, os.Truncate(files[0], 3*(chunk+40)))
	r = open(t, r.dir)
	defer r.Close()
	dir := filepath.Join(memDir(t), "repo")
	rep, err := r.BackupTo(t.Context(), dir, 0, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, rep.Lost)
	path, err := restore(t, dir, "")
	require.NoError(t, err)
	back := open(t, path)
	defer back.Close()
	whole := 0
	_, got := snapshot(t, back)
	for name := range want {
		if got[name] == want[name] {
			whole++
		} else {
			require.Equal(t, damaged, got[name])
		}
	}
	require.Equal(t, 1, whole)
}

// A store that was restored gives out no slot number that the lost one had given out before the backup, even where nothing used
// the slot any more: a pack of the repository may have other bytes under it.
func TestRestoredStoreGivesOutNewSlots(t *testing.T) {
	r := trackQuick(t)
	ctx := t.Context()
	b, err := r.CreateBucket(ctx, objstore.Bucket{Name: changerBucket})
	require.NoError(t, err)
	n, err := r.Create(ctx, b.Root, "file", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	change := func(r *rig, fn func(f objstore.File)) {
		f, err := r.OpenFile(ctx, n.Ino)
		require.NoError(t, err)
		require.NoError(t, f.Begin(ctx, objstore.Encryption{Algorithm: objstore.AES256}, objstore.BeginKeep))
		fn(f)
		_, err = f.Commit(ctx, objstore.AttrChange{})
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	dir := filepath.Join(memDir(t), "repo")
	change(r, func(f objstore.File) { require.NoError(t, f.WriteChunks(0, random(8*chunk))) })
	backupTo(t, r, dir, 0)
	change(r, func(f objstore.File) { require.NoError(t, f.SetSize(3*chunk)) })
	path, err := restore(t, dir, backupTo(t, r, dir, 0).Point)
	require.NoError(t, err)
	back := open(t, path)
	defer back.Close()
	change(back, func(f objstore.File) { require.NoError(t, f.WriteChunks(3, random(5*chunk))) })
	names, want := snapshot(t, back)
	requireRestores(t, dir, backupTo(t, back, dir, 0).Point, names, want)
}

// A backup that is cancelled keeps nothing: no state is pinned, the earlier backup is whole, and the next one takes up what was
// copied.
func TestBackupCancelled(t *testing.T) {
	r := trackQuick(t)
	c := newChanger(t, r, 11)
	dir := filepath.Join(memDir(t), "repo")
	backupTo(t, r, dir, 0)
	for range 30 {
		c.change(t)
	}
	_, err := r.PutObject(t.Context(), objstore.PutInput{Bucket: changerBucket, Key: "large", Body: bytes.NewReader(random(4 << 20))})
	require.NoError(t, err)
	r.SetBackupPack(300 << 10)
	ctx, cancel := context.WithCancel(t.Context())
	packs := 0
	r.SetBackupFault(func(what string) error {
		if strings.HasPrefix(what, "rename packs/") {
			if packs++; packs == 8 {
				cancel()
			}
		}
		return nil
	})
	_, err = r.BackupTo(ctx, dir, 0, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, r.Pinned())
	requireVerifies(t, dir)
	r.SetBackupFault(nil)
	rep := backupTo(t, r, dir, 0)
	require.Less(t, rep.Added, rep.Size-1<<20, "what the cancelled backup had copied was copied again")
	names, want := snapshot(t, r)
	requireRestores(t, dir, "", names, want)
}
