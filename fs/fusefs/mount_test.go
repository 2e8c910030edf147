package fusefs_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/fs"
	"kmsfs/fs/fstest"
	"kmsfs/fs/fusefs"
	"kmsfs/objstore"
)

// mounted is a mount of a store in memory.
type mounted struct {
	store *fstest.Store
	files *fs.FS
	dir   string
}

// mount mounts bucket "files" of a new store for the test.
func mount(t *testing.T, change ...func(*fusefs.Options)) *mounted {
	t.Helper()
	m := &mounted{store: fstest.New()}
	m.files = fs.New(fs.Options{Tree: m.store, Store: m.store, Logger: testLog(t)})
	t.Cleanup(func() {
		require.NoError(t, m.files.Close())
		require.Zero(t, m.files.OpenFiles(), "files are open after unmounting")
		require.NoError(t, m.store.Close())
	})
	m.dir = m.mount(t, change...)
	return m
}

// mount adds a mount of the same store.
func (m *mounted) mount(t testing.TB, change ...func(*fusefs.Options)) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		require.Empty(t, os.Getenv("KMSFS_TEST_NO_SKIP"), "there is no /dev/fuse")
		t.Skip("there is no /dev/fuse")
	}
	o := fusefs.Options{Dir: t.TempDir(), Bucket: "files", Logger: testLog(t), AllowOther: os.Geteuid() == 0}
	for _, c := range change {
		c(&o)
	}
	mnt, err := fusefs.New(context.Background(), m.files, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, mnt.Unmount()) })
	return o.Dir
}

func testLog(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func (m *mounted) path(name string) string { return filepath.Join(m.dir, name) }

// write makes name's content data and returns its inode number.
func (m *mounted) write(t *testing.T, name, data string) objstore.Ino {
	t.Helper()
	require.NoError(t, os.WriteFile(m.path(name), []byte(data), 0o644))
	return m.ino(t, name)
}

func (m *mounted) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(m.path(name))
	require.NoError(t, err)
	return string(b)
}

func (m *mounted) ino(t *testing.T, name string) objstore.Ino {
	t.Helper()
	var st stat
	require.NoError(t, st.lstat(m.path(name)))
	return objstore.Ino(st.Ino)
}
