package fusefs_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/fs/fusefs"
	"kmsfs/kms"
	"kmsfs/objstore"
)

func openFile(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o644)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestTruncatingOpenIsOneVersion(t *testing.T) {
	m := mount(t)
	ino := m.write(t, "f", "a long first content")
	m.write(t, "f", "short")
	require.Equal(t, "short", m.read(t, "f"))
	require.Equal(t, 2, m.store.VersionCount(ino))
}

func TestAppend(t *testing.T) {
	m := mount(t)
	ino := m.write(t, "f", "")
	var want bytes.Buffer
	f := openFile(t, m.path("f"), os.O_WRONLY|os.O_APPEND)
	for k := range 3000 { // crosses chunks
		line := fmt.Sprintf("line %d of an appended file, %s\n", k, bytes.Repeat([]byte("x"), k%100))
		want.WriteString(line)
		_, err := f.WriteString(line)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	require.Equal(t, want.String(), m.read(t, "f"))
	require.Equal(t, 2, m.store.VersionCount(ino))
}

func TestSparseFile(t *testing.T) {
	m := mount(t)
	f := openFile(t, m.path("f"), os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte("end"), 10<<20)
	require.NoError(t, err)
	fi, err := f.Stat()
	require.NoError(t, err)
	require.EqualValues(t, 10<<20+3, fi.Size())
	data, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
	require.NoError(t, err)
	require.EqualValues(t, 10<<20, data)
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	require.NoError(t, err)
	require.Zero(t, hole)
	require.NoError(t, f.Close())
	var st stat
	require.NoError(t, st.lstat(m.path("f")))
	require.Less(t, st.Blocks*512, int64(1<<20), "holes take no space")
	require.Equal(t, string(make([]byte, 10<<20))+"end", m.read(t, "f"))
}

func TestSharedMapping(t *testing.T) {
	m := mount(t)
	m.write(t, "f", string(bytes.Repeat([]byte("."), 200000)))
	f := openFile(t, m.path("f"), os.O_RDWR)
	// The daemon is in this process: a page fault that it answers must not meet a collection of garbage that stops it.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	p, err := unix.Mmap(int(f.Fd()), 0, 200000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	copy(p[70000:], "mapped")
	require.NoError(t, unix.Msync(p, unix.MS_SYNC))
	got := make([]byte, 6)
	_, err = f.ReadAt(got, 70000)
	require.NoError(t, err)
	require.Equal(t, "mapped", string(got))
	copy(p[199990:], "late")
	require.NoError(t, f.Close()) // the mapping outlives the descriptor
	require.NoError(t, unix.Munmap(p))
	require.Eventually(t, func() bool { return m.read(t, "f")[199990:199994] == "late" }, 5*time.Second, 10*time.Millisecond)
}

func TestCopiedDescriptorIsOneVersion(t *testing.T) {
	m := mount(t)
	f := openFile(t, m.path("f"), os.O_WRONLY|os.O_CREATE)
	fd, err := unix.Dup(int(f.Fd()))
	require.NoError(t, err)
	_, err = f.WriteString("one ")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "one ", m.read(t, "f"), "a close makes it visible")
	_, err = unix.Write(fd, []byte("two"))
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	require.Equal(t, "one two", m.read(t, "f"))
	require.Equal(t, 1, m.store.VersionCount(m.ino(t, "f")))
}

func TestUnlinkWhileOpen(t *testing.T) {
	m := mount(t)
	f := openFile(t, m.path("f"), os.O_RDWR|os.O_CREATE)
	_, err := f.WriteString("data")
	require.NoError(t, err)
	require.NoError(t, os.Remove(m.path("f")))
	_, err = f.WriteString(" more")
	require.NoError(t, err)
	require.NoError(t, f.Truncate(7))
	got := make([]byte, 20)
	n, _ := f.ReadAt(got, 0)
	require.Equal(t, "data mo", string(got[:n]))
	require.NoError(t, f.Chmod(0o600))
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.NoFileExists(t, m.path("f"))
}

func TestRemovedDirectoryThatIsOpen(t *testing.T) {
	m := mount(t)
	require.NoError(t, os.Mkdir(m.path("d"), 0o755))
	d := openFile(t, m.path("d"), os.O_RDONLY)
	require.NoError(t, os.Remove(m.path("d")))
	fi, err := d.Stat()
	require.NoError(t, err)
	require.Zero(t, fi.Sys().(*syscall.Stat_t).Nlink)
	_, err = unix.Openat(int(d.Fd()), "f", unix.O_CREAT|unix.O_WRONLY, 0o644)
	require.ErrorIs(t, err, syscall.ENOENT)
}

func TestRenameOverOpenFile(t *testing.T) {
	m := mount(t)
	m.write(t, "old", "old")
	m.write(t, "new", "new")
	f := openFile(t, m.path("old"), os.O_RDONLY)
	require.NoError(t, os.Rename(m.path("new"), m.path("old")))
	got := make([]byte, 3)
	_, err := f.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	require.Equal(t, "new", m.read(t, "old"))
}

func TestRenameFlags(t *testing.T) {
	m := mount(t)
	m.write(t, "a", "a")
	m.write(t, "b", "b")
	rename := func(flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, m.path("a"), unix.AT_FDCWD, m.path("b"), flags)
	}
	require.ErrorIs(t, rename(unix.RENAME_NOREPLACE), syscall.EEXIST)
	require.NoError(t, rename(unix.RENAME_EXCHANGE))
	require.Equal(t, "b", m.read(t, "a"))
	require.Equal(t, "a", m.read(t, "b"))
}

// TestBigDirectoryWhileDeleting lists a directory and removes what it lists, as rm -r does.
func TestBigDirectoryWhileDeleting(t *testing.T) {
	m := mount(t)
	require.NoError(t, os.Mkdir(m.path("d"), 0o755))
	for k := range 3000 {
		require.NoError(t, unix.Mknod(m.path(fmt.Sprintf("d/name%05d", k)), unix.S_IFIFO|0o644, 0))
	}
	d := openFile(t, m.path("d"), os.O_RDONLY)
	seen := 0
	for {
		names, _ := d.Readdirnames(100)
		if len(names) == 0 {
			break
		}
		for _, name := range names {
			seen++
			require.NoError(t, os.Remove(m.path("d/"+name)))
		}
	}
	require.Equal(t, 3000, seen)
	require.NoError(t, os.Remove(m.path("d")))
}

func TestListingGivesAttributes(t *testing.T) {
	m := mount(t)
	for k := range 500 {
		m.write(t, fmt.Sprintf("f%03d", k), string(make([]byte, k)))
	}
	m.write(t, "f100", "changed")
	entries, err := os.ReadDir(m.dir)
	require.NoError(t, err)
	require.Len(t, entries, 500)
	for k, e := range entries {
		fi, err := e.Info()
		require.NoError(t, err)
		want := k
		if k == 100 {
			want = 7
		}
		require.EqualValues(t, want, fi.Size(), e.Name())
	}
}

func TestCopyFileRange(t *testing.T) {
	m := mount(t)
	data := make([]byte, 500000)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(data)
	m.write(t, "src", string(data))
	src, dst := openFile(t, m.path("src"), os.O_RDONLY), openFile(t, m.path("dst"), os.O_RDWR|os.O_CREATE)
	for done := 0; done < len(data); {
		n, err := unix.CopyFileRange(int(src.Fd()), nil, int(dst.Fd()), nil, len(data)-done, 0)
		require.NoError(t, err)
		require.Positive(t, n)
		done += n
	}
	require.NoError(t, dst.Close())
	require.Equal(t, string(data), m.read(t, "dst"))

	same := openFile(t, m.path("src"), os.O_RDWR)
	from, to := int64(65536), int64(1<<20)
	n, err := unix.CopyFileRange(int(same.Fd()), &from, int(same.Fd()), &to, 131072, 0)
	require.NoError(t, err)
	require.Equal(t, 131072, n)
	require.NoError(t, same.Close())
	got := m.read(t, "src")
	require.Len(t, got, 1<<20+131072)
	require.Equal(t, string(data[65536:65536+131072]), got[1<<20:])
}

func TestFallocate(t *testing.T) {
	m := mount(t)
	m.write(t, "f", string(bytes.Repeat([]byte("x"), 300000)))
	f := openFile(t, m.path("f"), os.O_RDWR)
	fd := int(f.Fd())
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1000, 200000))
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 299000, 2000))
	require.ErrorIs(t, unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 65536), syscall.EOPNOTSUPP)
	require.NoError(t, f.Close())
	want := bytes.Repeat([]byte("x"), 301000)
	clear(want[1000:201000])
	clear(want[299000:])
	require.Equal(t, string(want), m.read(t, "f"))
}

func TestXattrs(t *testing.T) {
	m := mount(t)
	m.write(t, "f", "x")
	f := m.path("f")
	require.ErrorIs(t, unix.Setxattr(f, "user.sse", []byte("ROT13"), 0), syscall.EINVAL)
	require.ErrorIs(t, unix.Setxattr(f, "user.s3.etag", []byte("x"), 0), syscall.EPERM)
	require.NoError(t, unix.Setxattr(f, "user.sse-kms-key-id", []byte("alias/a"), 0))
	require.ErrorIs(t, unix.Setxattr(f, "user.sse-kms-key-id", []byte("alias/b"), unix.XATTR_CREATE), syscall.EEXIST)
	require.ErrorIs(t, unix.Setxattr(f, "user.other", []byte("b"), unix.XATTR_REPLACE), syscall.ENODATA)
	buf := make([]byte, 1000)
	n, err := unix.Getxattr(f, "user.sse.pending", buf)
	require.NoError(t, err)
	require.Equal(t, "true", string(buf[:n]))
	n, err = unix.Listxattr(f, buf)
	require.NoError(t, err)
	require.Equal(t, "user.sse-kms-key-id\x00", string(buf[:n]))
	_, err = unix.Getxattr(f, "user.sse", buf[:2])
	require.ErrorIs(t, err, syscall.ERANGE)
}

func TestRefusedKeys(t *testing.T) {
	m := mount(t)
	m.write(t, "f", "x")
	m.store.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "open" || op == "begin" {
			return &kms.Error{Code: kms.DisabledException}
		}
		return nil
	})
	_, err := os.Open(m.path("f"))
	require.ErrorIs(t, err, syscall.EKEYREVOKED)
	_, err = os.Create(m.path("new"))
	require.ErrorIs(t, err, syscall.EKEYREVOKED)
	require.NoFileExists(t, m.path("new"))
	require.ErrorIs(t, os.Truncate(m.path("f"), 0), syscall.EKEYREVOKED)
	require.NoError(t, os.Chmod(m.path("f"), 0o600), "metadata needs no key")
	buf := make([]byte, 1000)
	n, err := unix.Getxattr(m.path("f"), "user.kmsfs.error", buf)
	require.NoError(t, err)
	require.Contains(t, string(buf[:n]), "DisabledException")
	m.store.RefuseWith(nil)
	require.NoError(t, os.Remove(m.path("f")))
}

func TestCallerIsNamed(t *testing.T) {
	asked := make(chan [2]uint32, 1000)
	m := mount(t, func(o *fusefs.Options) {
		o.Caller = func(uid, pid uint32) context.Context { asked <- [2]uint32{uid, pid}; return context.Background() }
	})
	m.write(t, "f", "x")
	require.NotEmpty(t, asked)
	require.EqualValues(t, os.Getuid(), (<-asked)[0])
}

func TestOldVersionsOnTheMount(t *testing.T) {
	m := mount(t)
	m.write(t, "f", "first")
	m.write(t, "f", "second")
	entries, err := os.ReadDir(m.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, ".versions is not listed")
	files, err := filepath.Glob(m.path(".versions/f/*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	got, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Equal(t, "first", string(got))
	_, err = os.OpenFile(files[0], os.O_WRONLY, 0)
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorIs(t, os.Mkdir(m.path(".versions"), 0o755), syscall.EEXIST)
	require.ErrorIs(t, os.Remove(m.path(".versions")), syscall.EPERM)
	m.write(t, "f", "third")
	files, err = filepath.Glob(m.path(".versions/f/*"))
	require.NoError(t, err)
	require.Len(t, files, 2)
}

func TestAllBucketsOnTheMount(t *testing.T) {
	m := mount(t, func(o *fusefs.Options) { o.Bucket = "" })
	require.NoError(t, os.Mkdir(m.path("made"), 0o755))
	require.ErrorIs(t, os.Mkdir(m.path("made"), 0o755), syscall.EEXIST)
	m.write(t, "made/f", "x")
	require.ErrorIs(t, os.WriteFile(m.path("f"), nil, 0o644), syscall.EROFS)
	require.ErrorIs(t, os.Rename(m.path("made/f"), m.path("files/f")), syscall.EXDEV)
	require.ErrorIs(t, syscall.Rmdir(m.path("made")), syscall.ENOTEMPTY)
	require.NoError(t, os.Remove(m.path("made/f")))
	require.NoError(t, os.Remove(m.path("made")))
	entries, err := os.ReadDir(m.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestChangesOfOtherDoorsAreSeen(t *testing.T) {
	m := mount(t)
	ino := m.write(t, "f", "mine")
	require.Equal(t, "mine", m.read(t, "f"))
	require.NoFileExists(t, m.path("new"))
	m.store.Replace(ino, "their content")
	_, err := m.store.Create(t.Context(), objstore.Ino(rootIno(t, m)), "new", objstore.NodeInit{Mode: syscall.S_IFIFO | 0o644})
	require.NoError(t, err)
	m.files.InodeChanged(ino, true)
	m.files.EntryChanged(objstore.Ino(rootIno(t, m)), "new")
	require.Equal(t, "their content", m.read(t, "f"))
	var st stat
	require.NoError(t, st.lstat(m.path("new")))
}

func rootIno(t *testing.T, m *mounted) uint64 {
	t.Helper()
	var st stat
	require.NoError(t, st.lstat(m.dir))
	return st.Ino
}

func TestTwoMountsShowTheSame(t *testing.T) {
	m := mount(t)
	second := m.mount(t)
	m.write(t, "f", "one")
	read := func() string { b, _ := os.ReadFile(filepath.Join(second, "f")); return string(b) }
	require.Eventually(t, func() bool { return read() == "one" }, 5*time.Second, 5*time.Millisecond)
	m.write(t, "f", "two, longer")
	require.Eventually(t, func() bool { return read() == "two, longer" }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, os.Remove(m.path("f")))
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(second, "f")); return os.IsNotExist(err) }, 5*time.Second, 5*time.Millisecond)
}

func TestOwnerOverrides(t *testing.T) {
	uid, gid, umask := uint32(11), uint32(12), uint32(0o077)
	m := mount(t, func(o *fusefs.Options) { o.UID, o.GID, o.Umask = &uid, &gid, &umask })
	m.write(t, "f", "x")
	var st stat
	require.NoError(t, st.lstat(m.path("f")))
	require.Equal(t, [3]uint32{11, 12, syscall.S_IFREG | 0o600}, [3]uint32{st.Uid, st.Gid, st.Mode})
}

func TestReadOnlyMount(t *testing.T) {
	m := mount(t, func(o *fusefs.Options) { o.ReadOnly = true })
	require.ErrorIs(t, os.WriteFile(m.path("f"), nil, 0o644), syscall.EROFS)
}

func TestSpecialNodes(t *testing.T) {
	m := mount(t)
	require.NoError(t, unix.Mknod(m.path("dev"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	require.NoError(t, unix.Mknod(m.path("regular"), unix.S_IFREG|0o600, 0))
	require.NoError(t, os.Symlink("some/where", m.path("link")))
	var st stat
	require.NoError(t, st.lstat(m.path("dev")))
	require.EqualValues(t, unix.Mkdev(1, 3), st.Rdev)
	require.NoError(t, st.lstat(m.path("link")))
	require.EqualValues(t, 10, st.Size)
	target, err := os.Readlink(m.path("link"))
	require.NoError(t, err)
	require.Equal(t, "some/where", target)
	require.Equal(t, 1, m.store.VersionCount(m.ino(t, "regular")))
}

func TestStatfs(t *testing.T) {
	m := mount(t)
	m.write(t, "f", "x")
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(m.dir, &st))
	require.EqualValues(t, 1<<40, st.Blocks*uint64(st.Bsize))
	require.EqualValues(t, 1<<39, st.Bavail*uint64(st.Bsize))
	require.EqualValues(t, 1, st.Files-st.Ffree)
}

func TestBirthTime(t *testing.T) {
	m := mount(t)
	m.write(t, "f", "x")
	var st unix.Statx_t
	require.NoError(t, unix.Statx(unix.AT_FDCWD, m.path("f"), 0, unix.STATX_BTIME, &st))
	require.NotZero(t, st.Mask&unix.STATX_BTIME)
	require.InDelta(t, time.Now().Unix(), st.Btime.Sec, 60)
}

func TestFsyncReachesTheStore(t *testing.T) {
	m := mount(t)
	f := openFile(t, m.path("f"), os.O_WRONLY|os.O_CREATE)
	before := m.store.Syncs.Load()
	_, err := f.WriteString("x")
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.Equal(t, before+1, m.store.Syncs.Load())
	d := openFile(t, m.dir, os.O_RDONLY)
	require.NoError(t, d.Sync())
	require.Equal(t, before+2, m.store.Syncs.Load())
}

func TestUnmountWhileBusy(t *testing.T) {
	m := mount(t)
	o := fusefs.Options{Dir: t.TempDir(), Bucket: "files"}
	mnt, err := fusefs.New(t.Context(), m.files, o)
	require.NoError(t, err)
	f, err := os.Create(filepath.Join(o.Dir, "f"))
	require.NoError(t, err)
	require.Error(t, mnt.Unmount())
	require.NoError(t, f.Close())
	require.NoError(t, mnt.Unmount())
	require.NoError(t, mnt.Wait())
}

// TestRandomFile compares a file on the mount with one beside it: writes, truncations, maps of the kernel's cache.
func TestRandomFile(t *testing.T) {
	m := mount(t)
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		ours := openFile(t, m.path(fmt.Sprint(seed)), os.O_RDWR|os.O_CREATE)
		theirs := openFile(t, filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE)
		for range 80 {
			off, n := r.Int64N(400000), r.IntN(150000)
			data := bytes.Repeat([]byte{byte(r.IntN(255) + 1)}, n)
			truncate := r.IntN(4) == 0
			for _, f := range []*os.File{ours, theirs} {
				if truncate {
					require.NoError(t, f.Truncate(off))
				} else {
					_, err := f.WriteAt(data, off)
					require.NoError(t, err)
				}
			}
			a, err := os.ReadFile(ours.Name())
			require.NoError(t, err)
			b, err := os.ReadFile(theirs.Name())
			require.NoError(t, err)
			require.True(t, bytes.Equal(a, b), "seed %d", seed)
		}
		ours.Close()
	}
}
