package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// powerDisk is a disk that can lose power: an ext4 file system in a file of a btrfs image. The ext4 writes past the outer
// page cache (a direct-io loop device), so that the file is what a disk without a volatile cache has at that moment. A
// reflink copy of it is taken at once and as a whole; what the ext4 had in memory is not in it.
//
// The ext4 is mounted so that it helps as little as it may: a rename does not flush the file, data is not ordered before
// metadata, and its journal is not committed for a minute, but when somebody syncs.
type powerDisk struct {
	t     testing.TB
	outer string // where the btrfs is mounted
	mnt   string // where the ext4 is mounted
	image string // the file that has the ext4
	cuts  int
}

const (
	innerSize    = 8 << 30 // sparse, and so is the other
	outerSize    = 20 << 30
	innerOptions = "noauto_da_alloc,data=writeback,commit=60"
)

func newPowerDisk(t testing.TB) *powerDisk {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	d := &powerDisk{t: t, outer: filepath.Join(dir, "outer"), mnt: filepath.Join(dir, "disk")}
	outer := filepath.Join(dir, "btrfs")
	for _, path := range []string{d.outer, d.mnt} {
		require.NoError(t, os.Mkdir(path, 0o755))
	}
	makeImage(t, outer, outerSize, "mkfs.btrfs", "-q")
	d.attach(outer, d.outer, "btrfs", "nodatacow") // reflink works, and direct writes are not turned into cached ones
	d.image = filepath.Join(d.outer, "0")
	makeImage(t, d.image, innerSize, "mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1")
	d.attach(d.image, d.mnt, "ext4", innerOptions)
	return d
}

func makeImage(t testing.TB, path string, size int64, mkfs ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, size))
	out, err := exec.Command(mkfs[0], append(mkfs[1:], path)...).CombinedOutput()
	require.NoError(t, err, "%v: %s", mkfs, out)
}

// attach mounts an image through a loop device that goes with the mount, until the test ends.
func (d *powerDisk) attach(image, mnt, fstype, options string) {
	d.t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", image).CombinedOutput()
	require.NoError(d.t, err, "these tests need loop devices: losetup: %s", out)
	loop := strings.TrimSpace(string(out))
	err = unix.Mount(loop, mnt, fstype, 0, options)
	detached := exec.Command("losetup", "--detach", loop).Run() // waits for the umount
	require.NoError(d.t, err, "mount %s as %s", loop, fstype)
	require.NoError(d.t, detached)
	d.t.Cleanup(func() { _ = unmountSoon(mnt) })
}

// unmountSoon unmounts what may still be in use by a process that is about to end.
func unmountSoon(mnt string) error {
	var err error
	for range 200 {
		if err = unix.Unmount(mnt, 0); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(pollEvery)
	}
	return err
}

// cut copies the image as it is now. The disk in use goes on.
func (d *powerDisk) cut() (image string) {
	d.t.Helper()
	d.cuts++
	image = filepath.Join(d.outer, fmt.Sprint(d.cuts))
	from, err := os.Open(d.image)
	require.NoError(d.t, err)
	defer from.Close()
	to, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	require.NoError(d.t, err)
	defer to.Close()
	require.NoError(d.t, unix.IoctlFileClone(int(to.Fd()), int(from.Fd())))
	return image
}

// Of ioctl EXT4_IOC_SHUTDOWN: what is not on the disk is dropped, the log too.
const (
	ioctlShutdown    = 0x8004587d
	shutdownNoFlush  = 2
	writebackPause   = 5 * time.Millisecond
	writebackRefresh = 50
)

// replace goes on with a copy that was cut; no process may use the disk any more.
func (d *powerDisk) replace(image string) {
	d.t.Helper()
	root, err := os.Open(d.mnt)
	require.NoError(d.t, err)
	require.NoError(d.t, unix.IoctlSetPointerInt(int(root.Fd()), ioctlShutdown, shutdownNoFlush))
	require.NoError(d.t, root.Close())
	require.NoError(d.t, unmountSoon(d.mnt), "something still uses the disk")
	require.NoError(d.t, os.Remove(d.image))
	d.image = image
	d.attach(image, d.mnt, "ext4", innerOptions)
}

// writeAnything does what a kernel may do at any time: it writes some dirty pages of some files to the disk, in no order,
// until stop is closed. Files come and go meanwhile.
func writeAnything(dir string, rng *rand.Rand, stop <-chan struct{}) {
	var files []string
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(writebackPause):
		}
		if n%writebackRefresh == 0 {
			files = filesBelow(dir)
		}
		if len(files) == 0 {
			continue
		}
		f, err := os.Open(files[rng.IntN(len(files))])
		if err != nil {
			continue
		}
		if st, err := f.Stat(); err == nil {
			from := rng.Int64N(st.Size() + 1)
			_ = unix.SyncFileRange(int(f.Fd()), from, rng.Int64N(1<<20), unix.SYNC_FILE_RANGE_WRITE)
		}
		_ = f.Close()
	}
}

func filesBelow(dir string) (files []string) {
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return nil
	})
	return files
}
