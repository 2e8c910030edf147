package fusefs_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/objstore"
)

func TestNamesAreUpTo255Bytes(t *testing.T) {
	m := engine(t)
	long, tooLong := strings.Repeat("ä", 127)+"x", strings.Repeat("n", 256)
	require.Len(t, long, 255)
	m.write(t, "f", "x")
	for what, do := range map[string]func(path string) error{
		"create":  func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) },
		"mkdir":   func(path string) error { return syscall.Mkdir(path, 0o755) },
		"mkfifo":  func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"symlink": func(path string) error { return os.Symlink("f", path) },
		"link":    func(path string) error { return os.Link(m.path("f"), path) },
		"rename": func(path string) error {
			require.NoError(t, os.WriteFile(m.path("g"), nil, 0o644))
			return os.Rename(m.path("g"), path)
		},
	} {
		require.ErrorIs(t, do(m.path(tooLong)), syscall.ENAMETOOLONG, what)
		require.NoError(t, do(m.path(long)), what)
		_, err := os.Lstat(m.path(long))
		require.NoError(t, err, what)
		require.NoError(t, os.Remove(m.path(long)), what)
	}
	_, err := os.Lstat(m.path(tooLong))
	require.ErrorIs(t, err, syscall.ENAMETOOLONG)
}

// TestPathsAreUpTo4095Bytes: longer ones the kernel takes from nobody. Relative to the mount, for its own path counts.
func TestPathsAreUpTo4095Bytes(t *testing.T) {
	m := engine(t)
	top := openFile(t, m.dir, os.O_RDONLY)
	dir := int(top.Fd())
	var parts []string
	for k := range 15 {
		parts = append(parts, strings.Repeat(string(rune('a'+k)), 255))
		require.NoError(t, unix.Mkdirat(dir, strings.Join(parts, "/"), 0o755))
	}
	path := strings.Join(append(parts, strings.Repeat("f", 255)), "/")
	require.Len(t, path, 4095)
	fd, err := unix.Openat(dir, path, unix.O_CREAT|unix.O_WRONLY, 0o644)
	require.NoError(t, err)
	_, err = unix.Write(fd, []byte("deep"))
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	fd, err = unix.Openat(dir, path, unix.O_RDONLY, 0)
	require.NoError(t, err)
	got := make([]byte, 10)
	n, err := unix.Read(fd, got)
	require.NoError(t, err)
	require.Equal(t, "deep", string(got[:n]))
	require.NoError(t, unix.Close(fd))
	_, err = unix.Openat(dir, path+"f", unix.O_RDONLY, 0)
	require.ErrorIs(t, err, syscall.ENAMETOOLONG)
	require.NoError(t, unix.Renameat(dir, parts[0], dir, "short"), "a rename above it")
	require.NoError(t, unix.Unlinkat(dir, "short"+path[255:], 0))
}

func TestSparseTebibyte(t *testing.T) {
	const size = 1 << 40
	m := engine(t)
	f := openFile(t, m.path("f"), os.O_RDWR|os.O_CREATE)
	for _, piece := range []struct {
		off  int64
		data string
	}{{0, "head"}, {size/2 + 7, "middle"}, {size - 4, "tail"}} {
		_, err := f.WriteAt([]byte(piece.data), piece.off)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	out, err := exec.Command("cp", m.path("f"), m.path("copy")).CombinedOutput() // goes from data to data, by copy_file_range
	require.NoError(t, err, string(out))
	for _, name := range []string{"f", "copy"} {
		m.requireTebibyte(t, name)
	}
	require.NoError(t, os.Truncate(m.path("f"), size/2))
	require.NoError(t, os.Truncate(m.path("f"), size))
	f = openFile(t, m.path("f"), os.O_RDONLY)
	_, err = unix.Seek(int(f.Fd()), 1<<20, unix.SEEK_DATA)
	require.ErrorIs(t, err, syscall.ENXIO, "what was cut off is a hole")
	require.ErrorIs(t, os.Truncate(m.path("f"), math.MaxInt64), syscall.EFBIG)
}

func (m *mounted) requireTebibyte(t *testing.T, name string) {
	t.Helper()
	const size, chunk = 1 << 40, objstore.ChunkSize
	var st stat
	require.NoError(t, st.lstat(m.path(name)))
	require.EqualValues(t, size, st.Size)
	require.LessOrEqual(t, st.Blocks*512, int64(4*chunk))
	f := openFile(t, m.path(name), os.O_RDONLY)
	seek := func(off int64, whence int) int64 {
		at, err := unix.Seek(int(f.Fd()), off, whence)
		require.NoError(t, err)
		return at
	}
	require.EqualValues(t, chunk, seek(0, unix.SEEK_HOLE))
	require.EqualValues(t, size/2, seek(chunk, unix.SEEK_DATA))
	require.EqualValues(t, size-chunk, seek(size/2+chunk, unix.SEEK_DATA))
	require.EqualValues(t, size, seek(size-chunk, unix.SEEK_HOLE))
	for off, want := range map[int64]string{0: "head", size/2 + 7: "middle", size - 4: "tail", size / 3: "\x00\x00\x00"} {
		got := make([]byte, len(want))
		_, err := f.ReadAt(got, off)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// TestManyFilesInOneDirectory: $KMSFS_TEST_FILES makes it more.
func TestManyFilesInOneDirectory(t *testing.T) {
	count := 20000
	if text := os.Getenv("KMSFS_TEST_FILES"); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	m := engine(t)
	require.NoError(t, os.Mkdir(m.path("d"), 0o755))
	name := func(k int) string { return m.path(fmt.Sprintf("d/%07d", k)) }
	for k := range count {
		require.NoError(t, unix.Mknod(name(k), unix.S_IFREG|0o644, 0))
	}
	seen := m.listed(t, "d")
	require.Len(t, seen, count)
	for k := range count {
		require.Equal(t, filepath.Base(name(k)), seen[k])
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		_, err := os.Lstat(name(r.IntN(count)))
		require.NoError(t, err)
		_, err = os.Lstat(name(count + r.IntN(count)))
		require.ErrorIs(t, err, syscall.ENOENT)
	}
	require.ErrorIs(t, syscall.Rmdir(m.path("d")), syscall.ENOTEMPTY)
	require.NoError(t, os.Rename(m.path("d"), m.path("e")))
	require.Len(t, m.listed(t, "e"), count)
}

// listed is the names of a directory, sorted; each was given once.
func (m *mounted) listed(t *testing.T, dir string) []string {
	t.Helper()
	names, err := openFile(t, m.path(dir), os.O_RDONLY).Readdirnames(-1)
	require.NoError(t, err)
	slices.Sort(names)
	require.Len(t, slices.Compact(slices.Clone(names)), len(names), "a name was given twice")
	return names
}

func TestXattrLimits(t *testing.T) {
	m := engine(t)
	m.write(t, "f", "x")
	f := m.path("f")
	value := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{3}).Read(value)
	require.NoError(t, unix.Setxattr(f, "user.large", value, 0))
	got := make([]byte, 1<<16)
	n, err := unix.Getxattr(f, "user.large", got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(value, got[:n]))
	require.ErrorIs(t, unix.Setxattr(f, "user.larger", make([]byte, 1<<16+1), 0), syscall.E2BIG)
	require.ErrorIs(t, unix.Setxattr(f, "user.second", value, 0), syscall.E2BIG, "all of a file have 128 KiB together")
	longest := "user." + strings.Repeat("n", 250)
	require.NoError(t, unix.Setxattr(f, longest, nil, 0))
	require.ErrorIs(t, unix.Setxattr(f, longest+"n", nil, 0), syscall.ERANGE)
	require.NoError(t, unix.Removexattr(f, "user.large"))
	m.requireListFits(t, f)
}

// requireListFits: no more names can be set than listxattr(2) can list.
func (m *mounted) requireListFits(t *testing.T, f string) {
	t.Helper()
	count := 1 // there is one already
	var err error
	for err == nil {
		if err = unix.Setxattr(f, fmt.Sprintf("user.%0250d", count), nil, 0); err == nil {
			count++
		}
	}
	require.ErrorIs(t, err, syscall.E2BIG)
	require.Greater(t, count, 250)
	list := make([]byte, 1<<16)
	n, err := unix.Listxattr(f, list)
	require.NoError(t, err)
	require.Equal(t, count, bytes.Count(list[:n], []byte{0}))
}

func TestTimesAndOwnersAtTheirLimits(t *testing.T) {
	m := engine(t)
	second := m.mount(t) // has nothing of them in its caches
	times := map[string]unix.Timespec{
		"1901":   {Sec: math.MinInt32, Nsec: 1},
		"1969":   {Sec: -1, Nsec: 999999999},
		"2038":   {Sec: math.MaxInt32 + 1, Nsec: 123456789},
		"2446":   {Sec: 15032385535, Nsec: 999999999},
		"before": {Sec: -1 << 40, Nsec: 5},
		"after":  {Sec: 1 << 40, Nsec: 7},
	}
	for name, at := range times {
		m.write(t, name, "x")
		require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, m.path(name), []unix.Timespec{at, at}, 0))
	}
	owners := map[string]uint32{"2^31": 1 << 31, "above": 1<<31 + 5, "last": math.MaxUint32 - 1}
	if os.Geteuid() == 0 { // only root may give files away
		for name, id := range owners {
			m.write(t, name, "x")
			require.NoError(t, unix.Chown(m.path(name), int(id), int(id)-1))
		}
	}
	for _, dir := range []string{m.dir, second} {
		requireTimes(t, dir, times)
		if os.Geteuid() == 0 {
			requireOwners(t, dir, owners)
		}
	}
}

func requireTimes(t *testing.T, dir string, times map[string]unix.Timespec) {
	t.Helper()
	for name, at := range times {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(dir, name), &st))
		require.Equal(t, [2]unix.Timespec{at, at}, [2]unix.Timespec{st.Atim, st.Mtim}, name)
	}
}

func requireOwners(t *testing.T, dir string, owners map[string]uint32) {
	t.Helper()
	for name, id := range owners {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(dir, name), &st))
		require.Equal(t, [2]uint32{id, id - 1}, [2]uint32{st.Uid, st.Gid}, name)
	}
}
