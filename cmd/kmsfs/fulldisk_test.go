package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// diskSize is the disk of these tests. The journal, and what only deletion may use, take more than half of it.
const diskSize = 240 * mib

// smallDisk is a mounted unversioned bucket whose store has a disk of its own.
func smallDisk(t *testing.T) (b *bench, disk string) {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	image, disk := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	require.NoError(t, os.Mkdir(disk, 0o755))
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, diskSize))
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, disk}} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
	}
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", disk).Run()) })
	b = benchIn(t, dir)
	b.store = filepath.Join(disk, "store")
	b.run("init")
	b.run("bucket", "create", "demo", "--versioning", "suspended")
	b.mount()
	return b, disk
}

// ledger is what was acknowledged: files that were closed without an error.
type ledger map[string][]byte

func (l ledger) verify(t *testing.T, b *bench) {
	t.Helper()
	for name, want := range l {
		got, err := os.ReadFile(b.path(name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "%s has other bytes", name)
	}
}

// put writes a file in pieces. Where says which call failed.
func put(path string, data []byte, sync bool) (where string, err error) {
	f, err := os.Create(path)
	if err != nil {
		return "open", err
	}
	for rest := data; len(rest) > 0; rest = rest[min(len(rest), mib):] {
		if _, err := f.Write(rest[:min(len(rest), mib)]); err != nil {
			return "write", errors.Join(err, ignoreFull(f.Close()))
		}
	}
	if sync {
		if err := f.Sync(); err != nil {
			return "fsync", errors.Join(err, ignoreFull(f.Close()))
		}
	}
	return "close", f.Close()
}

// ignoreFull drops the second report of a full disk: close(2) tells again what write(2) told.
func ignoreFull(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}

// fill writes files of a size until the disk is full, and answers which call said so. That must be ENOSPC.
func (l ledger) fill(t *testing.T, b *bench, prefix string, size int, sync bool) (where string) {
	t.Helper()
	for i := range 10 * diskSize / size {
		name, data := fmt.Sprintf("%s-%d", prefix, i), noise(uint64(size+i), size)
		where, err := put(b.path(name), data, sync)
		if err != nil {
			require.ErrorIs(t, err, unix.ENOSPC, "%s of %s", where, name)
			return where
		}
		l[name] = data
	}
	t.Fatal("the disk does not become full")
	return ""
}

// shrink deletes every second file.
func (l ledger) shrink(t *testing.T, b *bench) {
	t.Helper()
	for i, name := range slices.Sorted(maps.Keys(l)) {
		if i%2 == 0 {
			require.NoError(t, os.Remove(b.path(name)))
			delete(l, name)
		}
	}
}

// overwrite writes more over an existing file than the disk takes. If its close says so too, the file is as it was;
// else it is what write(2) took.
func (l ledger) overwrite(t *testing.T, b *bench) {
	t.Helper()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(l)), func(name string) bool { return len(l[name]) < mib })
	require.NotEmpty(t, names, "there is no large file")
	data, taken := noise(7, 2*diskSize), 0
	f, err := os.OpenFile(b.path(names[0]), os.O_WRONLY|os.O_TRUNC, 0)
	for err == nil && taken < len(data) {
		var n int
		n, err = f.Write(data[taken : taken+mib/4])
		taken += n
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	if f == nil {
		return
	}
	if err := f.Close(); err != nil {
		require.ErrorIs(t, err, unix.ENOSPC)
		return
	}
	t.Logf("the close of a file of which %d bytes were taken succeeded", taken)
	l[names[0]] = data[:taken]
}

// A disk that the store itself fills: errors are ENOSPC at whichever call finds out, nothing acknowledged is lost,
// deleting works and lets writing go on.
func TestFullDisk(t *testing.T) {
	b, _ := smallDisk(t)
	l := ledger{}
	pid := b.pid()
	told := map[string]bool{}
	for round, c := range []struct {
		size int
		sync bool
	}{{16 * mib, false}, {200_000, false}, {3 * mib, true}, {3000, false}} {
		before := len(l)
		told[l.fill(t, b, fmt.Sprint("r", round), c.size, c.sync)] = true
		require.Greater(t, len(l), before, "nothing could be written in round %d", round)
		l.verify(t, b)
		var st unix.Statfs_t
		require.NoError(t, unix.Statfs(b.mnt, &st))
		require.Less(t, st.Bavail*uint64(st.Bsize), uint64(32*mib), "statfs(2) shows space that is not there")
		t.Logf("full at %v of %d bytes: %d files, %d MiB free", told, c.size, len(l), st.Bavail*uint64(st.Bsize)/mib)
		if round == 0 {
			l.overwrite(t, b)
			l.verify(t, b)
		}
		b.run("gc") // on the full disk
		l.verify(t, b)
		l.shrink(t, b)
		b.run("gc")
	}
	t.Logf("told at %v", slices.Sorted(maps.Keys(told)))
	require.Equal(t, pid, b.pid(), "the daemon did not live through it")
	l["after"] = noise(9, 5*mib)
	b.write("after", l["after"])
	b.check()
	requireKept(t, b, l)
}

// requireKept requires that everything is there after umount and after a kill.
func requireKept(t *testing.T, b *bench, l ledger) {
	t.Helper()
	b.umount()
	b.mount()
	l.verify(t, b)
	b.kill(b.pid())
	b.mount()
	l.verify(t, b)
	b.check()
	b.umount()
	b.check()
}

// occupy takes all the rest of a disk.
func occupy(t *testing.T, disk string) (release func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "foreign"))
	require.NoError(t, err)
	defer f.Close()
	block := noise(4, mib)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			require.ErrorIs(t, err, unix.ENOSPC)
			block = block[:len(block)/2]
		}
	}
	return func() { require.NoError(t, os.Remove(f.Name())) }
}

// openUnsaved opens files and writes to them what stays in the daemon's memory until fsync(2) or close(2).
func openUnsaved(t *testing.T, b *bench) map[string]*os.File {
	t.Helper()
	opened := map[string]*os.File{}
	for _, name := range []string{"close", "fsync"} {
		f, err := os.Create(b.path(name))
		require.NoError(t, err)
		_, err = f.Write(noise(1, 60_000))
		require.NoError(t, err)
		opened[name] = f
	}
	return opened
}

// closeUnsaved answers what the call that each file is named after says.
func closeUnsaved(opened map[string]*os.File) map[string]error {
	told := map[string]error{"fsync": opened["fsync"].Sync(), "close": opened["close"].Close()}
	_ = opened["fsync"].Close()
	return told
}

// A disk that someone else fills to the last block, while files are open.
func TestDiskFilledByOthers(t *testing.T) {
	b, disk := smallDisk(t)
	l := ledger{}
	for i := range 20 {
		name := fmt.Sprint("early-", i)
		l[name] = noise(uint64(i), 1+i*100_000)
		b.write(name, l[name])
	}
	opened := openUnsaved(t, b)
	release := occupy(t, disk)
	for name, err := range closeUnsaved(opened) {
		t.Logf("%s: %v", name, err)
		require.ErrorIs(t, err, unix.ENOSPC)
	}
	l.overwrite(t, b)
	_, err := put(b.path("new"), noise(5, mib), true)
	require.ErrorIs(t, err, unix.ENOSPC)
	l.verify(t, b)
	gc, _, stderr := b.try("gc")
	t.Logf("gc: exit code %d %s", gc, stderr)
	require.Contains(t, []int{0, int(exitFailed)}, gc)
	l.shrink(t, b)
	l.verify(t, b)
	b.kill(b.pid()) // still full
	b.mount()
	l.verify(t, b)
	release()

	pid := b.pid()
	l.fill(t, b, "late", 8*mib, false)
	require.Contains(t, l, "late-0", "nothing can be written after the space came back")
	l.shrink(t, b)
	require.Equal(t, pid, b.pid())
	b.run("gc")
	b.check()
	requireKept(t, b, l)
}
