package content

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faulty is the real file system with faults: each hook may refuse an operation or cut it short.
type faulty struct {
	OS
	write    func(p []byte) (int, error) // how much to write, and what to answer
	datasync func() error
	syncDir  func(path string) error
	read     func() error
	syncs    atomic.Int64 // fdatasyncs that reached the file
	dirSyncs atomic.Int64
	starts   atomic.Int64 // early write-backs
	forgets  atomic.Int64
}

func (o *faulty) OpenFile(path string, create bool) (File, error) {
	f, err := o.OS.OpenFile(path, create)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, o}, nil
}

func (o *faulty) SyncDir(path string) error {
	if o.syncDir != nil {
		if err := o.syncDir(path); err != nil {
			return err
		}
	}
	o.dirSyncs.Add(1)
	return o.OS.SyncDir(path)
}

type faultyFile struct {
	File
	o *faulty
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.o.write == nil {
		return f.File.WriteAt(p, off)
	}
	n, fault := f.o.write(p)
	if m, err := f.File.WriteAt(p[:n], off); err != nil {
		return m, err
	}
	return n, fault
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if f.o.read != nil {
		if err := f.o.read(); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) ReadOnce(p []byte, off int64) (int, error) {
	if f.o.read != nil {
		if err := f.o.read(); err != nil {
			return 0, err
		}
	}
	return f.File.ReadOnce(p, off)
}

func (f *faultyFile) Datasync() error {
	if f.o.datasync != nil {
		if err := f.o.datasync(); err != nil {
			return err
		}
	}
	f.o.syncs.Add(1)
	return f.File.Datasync()
}

func (f *faultyFile) StartWriteback(off, n int64) error {
	f.o.starts.Add(1)
	return f.File.StartWriteback(off, n)
}

// A failed write uses its numbers up, also for the next process, and leaves no bytes.
func TestFailedAppend(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(p []byte) (int, error)
		want  error
	}{
		{"no space at all", func([]byte) (int, error) { return 0, syscall.ENOSPC }, syscall.ENOSPC},
		{"no space halfway", func(p []byte) (int, error) { return len(p) / 2, syscall.ENOSPC }, syscall.ENOSPC},
		{"short without a reason", func(p []byte) (int, error) { return len(p) / 2, nil }, io.ErrShortWrite},
		{"I/O error", func(p []byte) (int, error) { return len(p), syscall.EIO }, syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			ops := &faulty{}
			d := openTest(t, ops)
			id := testID(1)
			mustAppend(t, d, id, pattern(1, testSlot))
			_, before, err := d.Stat(id)
			require.NoError(t, err)

			ops.write = c.write
			_, err = d.Append(id, testSlot, pattern(2, 4*testSlot))
			require.Error(t, err)
			require.ErrorIs(t, err, c.want)
			ops.write = nil

			size, allocated, err := d.Stat(id)
			require.NoError(t, err)
			require.Equal(t, int64(5*testSlot), size)
			require.LessOrEqual(t, allocated, before+4096, "the partial tail is still on disk")
			requireContent(t, d, id, 0, pattern(1, testSlot))
			require.Equal(t, uint64(5), mustAppend(t, reopen(t, d), id, []byte("x")), "after a restart")
			require.Equal(t, uint64(5), mustAppend(t, d, id, []byte("x")))
			require.NoError(t, d.Sync())
		})
	}
}

// While one append fails and is cleaned up, others at the same content lose nothing.
func TestFailedAppendAmongOthers(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	var n atomic.Int64
	ops.write = func(p []byte) (int, error) {
		if n.Add(1)%3 == 0 {
			return len(p) / 2, syscall.ENOSPC
		}
		return len(p), nil
	}
	var wg sync.WaitGroup
	var good atomic.Int64
	for u := range 4 {
		wg.Go(func() {
			for a := range 30 {
				data := pattern(u*100+a, testSlot+a)
				first, err := d.Append(testID(1), testSlot, data)
				if errors.Is(err, syscall.ENOSPC) {
					continue
				}
				got := make([]byte, len(data))
				if err := errors.Join(err, d.ReadAt(testID(1), testSlot, first, got)); err != nil || string(got) != string(data) {
					t.Errorf("append %d/%d: lost (%v)", u, a, err)
				}
				good.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(80), good.Load())
}

// After a failed fdatasync the next one is preceded by writing everything again that is not durable, but for what was given
// up meanwhile.
func TestFailedSyncIsMadeUp(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	mustAppend(t, d, testID(1), pattern(1, 3*testSlot))
	require.NoError(t, d.Sync())
	mustAppend(t, d, testID(1), pattern(2, 20*testSlot+5))
	ops.datasync = func() error { return syscall.EIO }
	err := d.Sync()
	require.Error(t, err)
	require.ErrorIs(t, err, syscall.EIO)
	require.NotErrorIs(t, err, ErrBad)
	mustAppend(t, d, testID(1), pattern(3, testSlot))
	require.NoError(t, d.Punch(testID(1), testSlot, 4, 2))
	require.Error(t, d.Sync())

	ops.datasync = nil
	written := 0
	ops.write = func(p []byte) (int, error) { written += len(p); return len(p), nil }
	require.NoError(t, d.Sync())
	require.Equal(t, 19*testSlot+5, written, "20 slots and 5 bytes, 1 slot, less 2 slots")
	requireContent(t, d, testID(1), 6, pattern(2, 20*testSlot+5)[3*testSlot:])
	written = 0
	require.NoError(t, d.Sync())
	require.Zero(t, written)
}

// What the kernel dropped after a failed fdatasync is lost: the content is bad for good, others are not, and removing it heals.
func TestLostBytesAreSticky(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	mustAppend(t, d, testID(1), pattern(1, testSlot))
	require.NoError(t, d.Sync())
	mustAppend(t, d, testID(1), pattern(2, 2*testSlot))
	ops.datasync = func() error { return syscall.EIO }
	require.Error(t, d.Sync())
	ops.datasync = nil
	f, err := os.OpenFile(d.path(testID(1)), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(make([]byte, pageBytes), 17*pageBytes) // the disk has nothing there yet
	require.NoError(t, errors.Join(err, f.Close()))
	requireBad := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.ErrorIs(t, err, ErrBad)
		require.ErrorContains(t, err, testID(1).String())
	}
	requireBad(d.Sync())

	before := ops.syncs.Load()
	mustAppend(t, d, testID(2), []byte("good"))
	requireBad(d.Sync())
	require.Equal(t, before+1, ops.syncs.Load(), "the good one is synced, the bad one not tried again")
	_, err = d.Append(testID(1), testSlot, []byte("more"))
	requireBad(err)
	requireContent(t, d, testID(1), 0, pattern(1, testSlot))

	require.NoError(t, d.Remove(testID(1)))
	require.NoError(t, d.Sync())
}

func TestFailedDirectorySyncIsRepeated(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	mustAppend(t, d, testID(1), []byte("x"))
	ops.syncDir = func(string) error { return syscall.EIO }
	err := d.Sync()
	require.Error(t, err)
	require.ErrorIs(t, err, syscall.EIO)
	ops.syncDir = nil
	before := ops.dirSyncs.Load()
	require.NoError(t, d.Sync())
	require.Equal(t, before+2, ops.dirSyncs.Load(), "the fan-out directory and the root")
}

func TestReadErrorIsNotMissing(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	mustAppend(t, d, testID(1), []byte("x"))
	ops.read = func() error { return syscall.EIO }
	err := d.ReadAt(testID(1), testSlot, 0, make([]byte, 1))
	require.Error(t, err)
	require.ErrorIs(t, err, syscall.EIO)
	require.NotErrorIs(t, err, ErrMissing)
}

// Sync touches only what changed: once per file and once per new directory.
func TestSyncTouchesOnlyDirtyFiles(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	base := ops.dirSyncs.Load() // making the root
	for n := range 5 {
		mustAppend(t, d, testID(n), []byte("x"))
		mustAppend(t, d, testID(n), []byte("y"))
	}
	require.NoError(t, d.Sync())
	require.Equal(t, int64(5), ops.syncs.Load())
	require.Equal(t, base+6, ops.dirSyncs.Load())
	require.NoError(t, d.Sync())
	require.Equal(t, int64(5), ops.syncs.Load())

	mustAppend(t, d, testID(3), []byte("z"))
	require.NoError(t, d.Sync())
	require.Equal(t, int64(6), ops.syncs.Load())
	require.Equal(t, base+6, ops.dirSyncs.Load())
}

// Callers that come while a file is being synced share the next sync, and what is appended meanwhile stays dirty.
func TestConcurrentSyncsAreGrouped(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	mustAppend(t, d, testID(1), []byte("x"))
	require.NoError(t, d.Sync())
	base := ops.syncs.Load()

	mustAppend(t, d, testID(1), []byte("y"))
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ops.datasync = func() error {
		once.Do(func() { close(entered); <-leave })
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, 9)
	wg.Go(func() { errs[0] = d.Sync() })
	<-entered
	mustAppend(t, d, testID(1), []byte("z")) // not covered by the sync that runs
	for n := range errs[1:] {
		wg.Go(func() { errs[1+n] = d.Sync() })
	}
	close(leave)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Empty(t, d.dirty)
	synced := ops.syncs.Load() - base
	require.GreaterOrEqual(t, synced, int64(2), "z needs a sync of its own")
	require.LessOrEqual(t, synced, int64(3), "eight callers share")
}

func (f *faultyFile) Forget(off, n int64) error {
	f.o.forgets.Add(1)
	return f.File.Forget(off, n)
}

// Long appends leave the kernel's cache when they are durable: a sync that failed needs them there.
func TestLongAppendsLeaveTheCacheWhenDurable(t *testing.T) {
	o := &faulty{}
	d := openTest(t, o)
	long := pattern(1, forgetBytes)
	mustAppend(t, d, testID(1), long)
	mustAppend(t, d, testID(2), pattern(2, 100))
	require.Zero(t, o.forgets.Load())
	o.datasync = func() error { return syscall.EIO }
	require.ErrorIs(t, d.Sync(), syscall.EIO)
	require.Zero(t, o.forgets.Load())
	o.datasync = nil
	require.NoError(t, d.Sync())
	require.EqualValues(t, 1, o.forgets.Load())
	got := make([]byte, len(long))
	require.NoError(t, d.ReadAt(testID(1), testSlot, 0, got))
	require.True(t, bytes.Equal(long, got))
}

func TestLargeAppendsStartWriteback(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	data := make([]byte, 16*testSlot) // about 1 MiB
	for range 20 {
		mustAppend(t, d, testID(1), data)
	}
	require.Equal(t, int64(2), ops.starts.Load())
}

// What large appends wrote becomes durable without being asked; when that fails, the next Sync writes it again.
func TestLargeAppendsAreSyncedEarly(t *testing.T) {
	ops := &faulty{}
	d := openTest(t, ops)
	d.syncStep = 8 * testSlot
	synced := make(chan struct{}, 10)
	var fail atomic.Bool
	ops.datasync = func() error {
		defer func() { synced <- struct{}{} }()
		if fail.Load() {
			return syscall.EIO
		}
		return nil
	}
	mustAppend(t, d, testID(1), make([]byte, 7*testSlot))
	require.Empty(t, synced, "too early")
	mustAppend(t, d, testID(1), make([]byte, testSlot))
	<-synced
	require.Eventually(t, func() bool { return !d.syncing.Load() }, time.Minute, time.Millisecond)
	require.Empty(t, d.dirty)

	fail.Store(true)
	data := bytes.Repeat([]byte("x"), 8*testSlot)
	first := mustAppend(t, d, testID(1), data)
	<-synced
	require.Eventually(t, func() bool { return !d.syncing.Load() }, time.Minute, time.Millisecond)
	require.Contains(t, d.dirty, testID(1))
	fail.Store(false)
	require.NoError(t, d.Sync())
	require.Empty(t, d.dirty)
	got := make([]byte, len(data))
	require.NoError(t, d.ReadAt(testID(1), testSlot, first, got))
	require.Equal(t, data, got)
}

// The store's disk is full: the real thing, on a small tmpfs.
func TestDiskFull(t *testing.T) {
	mnt := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", mnt, "tmpfs", 0, "size=1m"), "these tests mount a tmpfs: run them as root")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(mnt, 0)) })
	d, err := Open(mnt + "/content")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })

	id := testID(1)
	require.Equal(t, uint64(0), mustAppend(t, d, id, pattern(1, 8*testSlot)))
	_, err = d.Append(id, testSlot, pattern(2, 12*testSlot))
	require.Error(t, err)
	require.ErrorIs(t, err, syscall.ENOSPC)
	requireContent(t, d, id, 0, pattern(1, 8*testSlot))
	require.NoError(t, d.Sync())

	var st syscall.Statfs_t
	require.NoError(t, syscall.Statfs(mnt, &st))
	require.GreaterOrEqual(t, int64(st.Bavail)*st.Bsize, int64(5*testSlot), "what the failed append wrote is free again")
	require.Equal(t, uint64(20), mustAppend(t, d, id, pattern(3, 4*testSlot)))

	require.NoError(t, d.Punch(id, testSlot, 0, 8))
	mustAppend(t, d, id, pattern(4, 7*testSlot))
	requireContent(t, d, id, 20, pattern(3, 4*testSlot))
	require.NoError(t, d.Remove(id))
	mustAppend(t, d, testID(2), pattern(5, 14*testSlot))
}

func TestSpaceIsGivenBack(t *testing.T) {
	d := openTest(t, OS{})
	id := testID(1)
	const n = 64
	mustAppend(t, d, id, pattern(1, n*testSlot))
	require.NoError(t, d.Sync())
	allocated := func() int64 {
		_, a, err := d.Stat(id)
		require.NoError(t, err)
		return a
	}
	full := allocated()
	require.GreaterOrEqual(t, full, int64(n*testSlot))

	require.NoError(t, d.Punch(id, testSlot, 10, 20))
	require.LessOrEqual(t, allocated(), full-20*testSlot+2*4096)
	requireContent(t, d, id, 9, pattern(1, n*testSlot)[9*testSlot:10*testSlot])
	requireContent(t, d, id, 11, make([]byte, 18*testSlot))
	requireContent(t, d, id, 30, pattern(1, n*testSlot)[30*testSlot:])
	require.Equal(t, uint64(n), mustAppend(t, d, id, []byte("x")), "punching gives no numbers back")

	require.NoError(t, d.Punch(id, testSlot, 0, n+1))
	require.LessOrEqual(t, allocated(), int64(2*4096))
	require.Equal(t, uint64(n+1), mustAppend(t, reopen(t, d), id, []byte("x")))
	require.NoError(t, d.Punch(id, testSlot, 0, 0))
	err := d.Punch(testID(9), testSlot, 0, 1)
	require.Error(t, err)
	require.ErrorIs(t, err, ErrMissing)
	err = d.Punch(id, testSlot, 1, 1<<63)
	require.Error(t, err)
	require.ErrorIs(t, err, ErrMissing)

	mustAppend(t, d, testID(2), make([]byte, testSlot))
	require.NoError(t, d.Remove(testID(2)))
	_, err = os.Stat(d.path(testID(2)))
	require.Error(t, err)
	require.ErrorIs(t, err, os.ErrNotExist)
}
