package badgerstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/kms/local"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
	"kmsfs/objstore/badgerstore/backup"
)

func storeSecret() []byte { return local.Derive(rootKey, "kmsfs store v1") }

// memDir is t.TempDir, in memory if there is room: stores are made by the dozen here, and none needs a disk.
func memDir(t testing.TB) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || int64(st.Bavail)*st.Bsize < 4<<30 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "backuptest")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// trackQuick is track in memory.
func trackQuick(t testing.TB) *rig {
	t.Helper()
	r := open(t, filepath.Join(memDir(t), "store"))
	t.Cleanup(func() {
		requireClean(t, r)
		require.NoError(t, r.Close())
	})
	return r
}

func backupTo(t testing.TB, r *rig, dir string, keep int) objstore.BackupReport {
	t.Helper()
	rep, err := r.BackupTo(context.Background(), dir, keep, nil)
	require.NoError(t, err)
	require.Zero(t, rep.Lost)
	require.Empty(t, rep.Damaged)
	return rep
}

// restore makes a store of a backup, in a new directory.
func restore(t testing.TB, path, point string) (dir string, err error) {
	t.Helper()
	src, err := backup.Open(path, point, nil)
	if err != nil {
		return "", err
	}
	defer src.Close()
	dir = filepath.Join(memDir(t), "restored")
	_, err = badgerstore.Restore(context.Background(), dir, src, badgerstore.Options{Secret: storeSecret()})
	return dir, err
}

// requireRestores requires that a backup gives back a state.
func requireRestores(t *testing.T, path, point, wantNames string, want contents) *rig {
	t.Helper()
	dir, err := restore(t, path, point)
	require.NoError(t, err)
	r := open(t, dir)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	requireClean(t, r)
	names, got := snapshot(t, r)
	require.Equal(t, want, got)
	require.Equal(t, wantNames, names)
	return r
}

// A backup of a store with everything in it gives back everything, in both forms; and the store that it gives can be written,
// repaired without anything to mend, and backed up again.
func TestBackupHasEverything(t *testing.T) {
	r := trackQuick(t)
	victim(t, r)
	names, want := snapshot(t, r)
	dir, file := filepath.Join(memDir(t), "repo"), filepath.Join(memDir(t), "file")
	ring := random(300)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "kmsfs.keyring"), ring, 0o600))
	r.SetBackupPack(200 << 10)
	backupTo(t, r, dir, 0)
	f, err := os.Create(file)
	require.NoError(t, err)
	_, err = r.BackupStream(t.Context(), f, nil)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, path := range []string{dir, file} {
		back := requireRestores(t, path, "", names, want)
		got, err := os.ReadFile(filepath.Join(back.dir, "kmsfs.keyring"))
		require.NoError(t, err)
		require.Equal(t, ring, got)
		require.Empty(t, repair(t, back))
		_, err = back.PutObject(t.Context(), objstore.PutInput{Bucket: "versioned", Key: "new", Body: strings.NewReader("more")})
		require.NoError(t, err)
		_, err = back.GC(t.Context(), time.Now())
		require.NoError(t, err)
		requireClean(t, back)
	}
	requireSealed(t, filepath.Dir(dir), filepath.Dir(file))
}

// requireSealed requires that no name of the victim store is in clear.
func requireSealed(t *testing.T, dirs ...string) {
	t.Helper()
	marks := []string{"versioned", "somewhere/else", "user.note", "remember", "victim", "aws:kms", "arn:aws", string(rootKey)}
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range marks {
				require.False(t, bytes.Contains(b, []byte(m)), "%s has %q", path, m)
			}
			return err
		}))
	}
}

// changer makes random changes to a store. No file of it stays open.
type changer struct {
	r    *rig
	rnd  *rand.Rand
	root objstore.Ino
}

const changerBucket = "changes"

func newChanger(t *testing.T, r *rig, seed uint64) *changer {
	t.Helper()
	b, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: changerBucket, Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	return &changer{r, rand.New(rand.NewPCG(seed, 1)), b.Root}
}

func (c *changer) key() string { return fmt.Sprintf("d%d/f%d", c.rnd.IntN(3), c.rnd.IntN(12)) }

func (c *changer) change(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	switch c.rnd.IntN(10) {
	case 0, 1, 2:
		size := []int{0, 300, 9000, 100_000, 400_000}[c.rnd.IntN(5)]
		_, err := c.r.PutObject(ctx, objstore.PutInput{Bucket: changerBucket, Key: c.key(), Body: bytes.NewReader(random(size))})
		require.NoError(t, err)
	case 3, 4, 5:
		c.write(t, c.key())
	case 6:
		_, err := c.r.DeleteObject(ctx, changerBucket, c.key(), "", objstore.Condition{})
		require.True(t, err == nil || objstore.CodeOf(err) == objstore.NoSuchKey, "%v", err)
	case 7:
		c.forget(t)
	case 8:
		_, err := c.r.CopyObject(ctx, objstore.CopyInput{SrcBucket: changerBucket, SrcKey: c.key(), Bucket: changerBucket, Key: c.key()})
		require.True(t, err == nil || objstore.CodeOf(err) == objstore.NoSuchKey || objstore.CodeOf(err) == objstore.InvalidRequest, "%v", err)
	case 9:
		_, err := c.r.GC(ctx, time.Now())
		require.NoError(t, err)
	}
}

// write changes chunks of a file in place, as a mount does.
func (c *changer) write(t *testing.T, key string) {
	t.Helper()
	ctx := context.Background()
	if _, err := c.r.HeadObject(ctx, changerBucket, key, ""); err != nil {
		return
	}
	dir, name, _ := strings.Cut(key, "/")
	d, err := c.r.Lookup(ctx, c.root, dir)
	require.NoError(t, err)
	n, err := c.r.Lookup(ctx, d.Ino, name)
	require.NoError(t, err)
	f, err := c.r.OpenFile(ctx, n.Ino)
	require.NoError(t, err)
	require.NoError(t, f.Begin(ctx, n.Stored, objstore.BeginKeep))
	require.NoError(t, f.WriteChunks(c.rnd.Int64N(4), random(chunk*(1+c.rnd.IntN(4)))))
	if c.rnd.IntN(2) == 0 {
		require.NoError(t, f.Sync(ctx, objstore.AttrChange{}))
	}
	_, err = f.Commit(ctx, objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// forget removes an old version for good.
func (c *changer) forget(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	l, err := c.r.ListVersions(ctx, changerBucket, objstore.ListInput{})
	require.NoError(t, err)
	if len(l.Objects) > 0 {
		o := l.Objects[c.rnd.IntN(len(l.Objects))]
		_, err = c.r.DeleteObject(ctx, changerBucket, o.Key, o.VersionID, objstore.Condition{})
		require.NoError(t, err)
	}
}

// After random changes, with backups and restarts between them, each backup that is kept gives back its own moment, and a
// store that was restored from one goes on, into the same repository, without mistaking what the lost store wrote for its own.
func TestBackupRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := filepath.Join(memDir(t), "repo")
	r := open(t, filepath.Join(memDir(t), "store"))
	c := newChanger(t, r, seed)
	type moment struct {
		names string
		all   contents
	}
	moments := map[string]moment{}
	var points []string
	const keep = 4
	for round := range 9 {
		for range 25 {
			c.change(t)
		}
		r.SetBackupPack(300 << 10)
		p := backupTo(t, r, dir, keep).Point
		m := moment{}
		m.names, m.all = snapshot(t, r)
		moments[p] = m
		points = append(points, p)
		all, bad, err := backup.Points(dir)
		require.NoError(t, err)
		require.Empty(t, bad)
		require.Len(t, all, min(keep, len(points)))
		if round%3 != 2 {
			continue
		}
		require.NoError(t, r.Close())
		back := points[max(0, len(points)-1-c.rnd.IntN(keep))] // the store goes back to one of the points
		path, err := restore(t, dir, back)
		require.NoError(t, err)
		r = open(t, path)
		c.r = r
	}
	requireClean(t, r)
	require.NoError(t, r.Close())
	all, _, err := backup.Points(dir)
	require.NoError(t, err)
	for _, p := range all {
		requireRestores(t, dir, p.Name, moments[p.Name].names, moments[p.Name].all)
	}
	requireVerifies(t, dir)
}

func requireVerifies(t *testing.T, dir string) {
	t.Helper()
	src, err := backup.Open(dir, "", nil)
	require.NoError(t, err)
	defer src.Close()
	_, err = src.Sums(t.Context(), func(err error) { t.Error(err) })
	require.NoError(t, err)
	_, err = badgerstore.VerifyBackup(t.Context(), src, storeSecret())
	require.NoError(t, err)
}

// While a backup is copying, everything that it has to copy is changed, deleted and collected. It is one moment all the same,
// and when it is through, the space is given back.
func TestBackupIsOneMoment(t *testing.T) {
	r := trackQuick(t)
	c := newChanger(t, r, 3)
	for range 60 {
		c.change(t)
	}
	r.SetBackupPack(100 << 10)
	names, want := snapshot(t, r)
	dir := filepath.Join(memDir(t), "repo")
	first := true
	r.SetBackupFault(func(what string) error {
		if !strings.HasPrefix(what, "write packs/") || !first {
			return nil
		}
		first = false // the state is taken, and next to nothing of it copied
		for range 60 {
			c.change(t)
		}
		clearBucket(t, r, changerBucket)
		_, err := r.GC(context.Background(), time.Now())
		require.NoError(t, err)
		return nil
	})
	backupTo(t, r, dir, 0)
	require.False(t, first)
	requireRestores(t, dir, "", names, want)
	_, err := r.GC(t.Context(), time.Now())
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(r.dir, "content", "*", "*"))
	require.NoError(t, err)
	require.Empty(t, left, "content that the backup kept was not given back")
}

func clearBucket(t *testing.T, r *rig, bucket string) {
	t.Helper()
	l, err := r.ListVersions(context.Background(), bucket, objstore.ListInput{})
	require.NoError(t, err)
	for _, o := range l.Objects {
		_, err := r.DeleteObject(context.Background(), bucket, o.Key, o.VersionID, objstore.Condition{})
		require.NoError(t, err)
	}
}

// Two objects are written in turns; whenever a backup is taken, the second is at most one step behind the first.
func TestBackupBetweenWrites(t *testing.T) {
	r := trackQuick(t)
	ctx := t.Context()
	_, err := r.CreateBucket(ctx, objstore.Bucket{Name: "bkt"})
	require.NoError(t, err)
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for i := 0; !stop.Load(); i++ {
			for _, key := range []string{"one", "two"} {
				body := bytes.Repeat([]byte{byte(i)}, 100+i%3*100_000)
				if _, err := r.PutObject(ctx, objstore.PutInput{Bucket: "bkt", Key: key, Body: bytes.NewReader(body)}); err != nil {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	dir := filepath.Join(memDir(t), "repo")
	for range 3 {
		path, err := restore(t, dir, backupTo(t, r, dir, 0).Point)
		require.NoError(t, err)
		back := open(t, path)
		requireClean(t, back)
		count := func(key string) byte {
			o, rd, err := back.GetObject(ctx, "bkt", key, "")
			if objstore.CodeOf(err) == objstore.NoSuchKey {
				return 255
			}
			require.NoError(t, err)
			defer rd.Close()
			b := make([]byte, o.Size)
			_, err = rd.ReadAt(b, 0)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat(b[:1], len(b)), b)
			return b[0]
		}
		require.LessOrEqual(t, count("one")-count("two"), byte(1))
		require.NoError(t, back.Close())
	}
	stop.Store(true)
	require.NoError(t, <-done)
}

func written(t *testing.T, dir string) (n int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		st, err := e.Info()
		n += st.Size()
		return err
	}))
	return n
}

// The second backup costs what changed: one chunk of a large object, and the pages of its records.
func TestBackupCostsWhatChanged(t *testing.T) {
	r := trackQuick(t)
	c := newChanger(t, r, 5)
	ctx := t.Context()
	for i := range 300 {
		_, err := r.PutObject(ctx, objstore.PutInput{Bucket: changerBucket, Key: fmt.Sprintf("many/%d", i), Body: bytes.NewReader(random(2000))})
		require.NoError(t, err)
	}
	_, err := r.PutObject(ctx, objstore.PutInput{Bucket: changerBucket, Key: "d0/f0", Body: bytes.NewReader(random(300 * chunk))})
	require.NoError(t, err)
	dir := filepath.Join(memDir(t), "repo")
	first := backupTo(t, r, dir, 0)
	require.Greater(t, first.Added, int64(300*chunk))
	before := written(t, dir)
	require.Less(t, backupTo(t, r, dir, 0).Added, int64(20<<10), "a backup of nothing new")

	d, err := r.Lookup(ctx, c.root, "d0")
	require.NoError(t, err)
	n, err := r.Lookup(ctx, d.Ino, "f0")
	require.NoError(t, err)
	f, err := r.OpenFile(ctx, n.Ino)
	require.NoError(t, err)
	require.NoError(t, f.Begin(ctx, n.Stored, objstore.BeginKeep))
	require.NoError(t, f.WriteChunks(100, random(chunk)))
	_, err = f.Commit(ctx, objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	rep := backupTo(t, r, dir, 0)
	require.Less(t, rep.Added, int64(chunk+200<<10))
	require.Less(t, written(t, dir)-before, int64(chunk+250<<10))
	require.Greater(t, rep.Size, first.Size)
}

// With keep, what nothing needs any more goes: also from packs that have something that is needed.
func TestBackupKeep(t *testing.T) {
	r := trackQuick(t)
	_, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt"})
	require.NoError(t, err)
	put := func(key string, n int) {
		_, err := r.PutObject(t.Context(), objstore.PutInput{Bucket: "bkt", Key: key, Body: bytes.NewReader(random(n))})
		require.NoError(t, err)
	}
	put("stays", 3*chunk)
	put("goes", 60*chunk)
	dir := filepath.Join(memDir(t), "repo")
	backupTo(t, r, dir, 2)
	require.Greater(t, written(t, dir), int64(60*chunk))
	_, err = r.DeleteObject(t.Context(), "bkt", "goes", "", objstore.Condition{})
	require.NoError(t, err)
	for range 2 {
		backupTo(t, r, dir, 2)
	}
	names, want := snapshot(t, r)
	require.Less(t, written(t, dir), int64(10*chunk))
	all, _, err := backup.Points(dir)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, p := range all {
		requireRestores(t, dir, p.Name, names, want)
	}
}

var errCut = errors.New("the machine is gone")

// A backup dies before each of its changes of the repository. The earlier backup is whole each time, the next one works, and
// the store gives back its space.
func TestBackupCutAtEachStep(t *testing.T) {
	r := trackQuick(t)
	c := newChanger(t, r, 7)
	for range 40 {
		c.change(t)
	}
	r.SetBackupPack(400 << 10)
	dir := filepath.Join(memDir(t), "repo")
	first := backupTo(t, r, dir, 2)
	names, want := snapshot(t, r)
	for range 40 {
		c.change(t)
	}
	for cut := 0; ; cut++ {
		hurt := filepath.Join(memDir(t), "repo")
		require.NoError(t, os.CopyFS(hurt, os.DirFS(dir)))
		steps := 0
		r.SetBackupFault(func(string) error {
			if steps++; steps > cut {
				return errCut
			}
			return nil
		})
		_, err := r.BackupTo(t.Context(), hurt, 2, nil)
		r.SetBackupFault(nil)
		if err == nil {
			require.Greater(t, cut, 8)
			break
		}
		require.ErrorIs(t, err, errCut)
		requireVerifies(t, hurt)
		if cut%8 == 4 {
			requireRestores(t, hurt, first.Point, names, want)
			now, all := snapshot(t, r)
			requireRestores(t, hurt, backupTo(t, r, hurt, 2).Point, now, all)
			left, err := filepath.Glob(filepath.Join(hurt, "*", "*", "*.new"))
			require.NoError(t, err)
			require.Empty(t, left)
		}
	}
}
