package kv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faults decides which operations on journal files fail.
type faults struct {
	write, sync atomic.Pointer[error]
	short       atomic.Bool // a failing write still writes half
	written     atomic.Int64
}

type faultFile struct {
	file
	f *faults
}

func (f faultFile) WriteAt(p []byte, off int64) (int, error) {
	e := f.f.write.Load()
	if e == nil {
		f.f.written.Add(int64(len(p)))
		return f.file.WriteAt(p, off)
	}
	n := 0
	if f.f.short.Load() {
		n, _ = f.file.WriteAt(p[:len(p)/2], off)
	}
	return n, *e
}

func (f faultFile) Datasync() error {
	if e := f.f.sync.Load(); e != nil {
		return *e
	}
	return f.file.Datasync()
}

func (f *faults) options() Options {
	o := small()
	o.openFile = func(path string) (file, error) {
		g, err := openOSFile(path)
		return faultFile{g, f}, err
	}
	return o
}

func set(p *atomic.Pointer[error], err error) { p.Store(&err) }

func tryPut(db *DB, key, val string) error {
	return db.Update(func(tx *Tx) error { tx.Put([]byte(key), []byte(val)); return nil })
}

func TestJournalWriteErrors(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, short := range []bool{false, true} {
			t.Run(fmt.Sprint(cause, short), func(t *testing.T) { testWriteError(t, cause, short) })
		}
	}
}

func testWriteError(t *testing.T, cause error, short bool) {
	dir := tempDir(t)
	var f faults
	db := mustOpen(t, dir, f.options())
	put(t, db, "before", "1")
	f.short.Store(short)
	set(&f.write, cause)
	for range 3 {
		err := tryPut(db, "failed", "x")
		require.ErrorIs(t, err, cause)
		missing(t, db, "failed")
	}
	f.write.Store(nil)
	put(t, db, "after", "2")
	crashed := copyDir(t, dir)
	require.NoError(t, db.Close())
	for _, d := range []string{dir, crashed} {
		db = mustOpen(t, d, small())
		missing(t, db, "failed")
		require.Equal(t, "1", value(t, db, "before"))
		require.Equal(t, "2", value(t, db, "after"))
		require.NoError(t, db.Close())
	}
}

// A flush that failed is tried again, after all that it was about was written again: the kernel may have dropped it.
func TestFailedFlush(t *testing.T) {
	dir := tempDir(t)
	var f faults
	db := mustOpen(t, dir, f.options())
	put(t, db, "a", "1")
	require.NoError(t, db.Sync())
	put(t, db, "b", "2")
	set(&f.sync, syscall.EIO)
	for range 2 {
		err := db.Sync()
		require.Error(t, err)
		require.ErrorIs(t, err, syscall.EIO)
		require.NotErrorIs(t, err, ErrFailed)
	}
	put(t, db, "c", "3")
	require.ErrorIs(t, db.Checkpoint(), syscall.EIO)
	f.sync.Store(nil)
	f.written.Store(0)
	require.NoError(t, db.Sync())
	require.GreaterOrEqual(t, f.written.Load(), int64(recordsStart+pageSize), "nothing was written again")
	f.written.Store(0)
	require.NoError(t, db.Sync())
	require.Zero(t, f.written.Load())
	put(t, db, "d", "4")
	require.NoError(t, db.Sync())
	crashed := copyDir(t, dir)
	require.NoError(t, db.Close())
	for _, d := range []string{dir, crashed} {
		db = mustOpen(t, d, small())
		for key, want := range map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"} {
			require.Equal(t, want, value(t, db, key))
		}
		require.NoError(t, db.Close())
	}
}

// When written bytes are gone after a failed flush, nothing is acknowledged any more, and reading goes on.
func TestFlushThatLost(t *testing.T) {
	dir := tempDir(t)
	var f faults
	db := mustOpen(t, dir, f.options())
	put(t, db, "a", "1")
	set(&f.sync, syscall.EIO)
	require.ErrorIs(t, db.Sync(), syscall.EIO)
	f.sync.Store(nil)
	seg := db.journal.unsynced()[0]
	_, err := seg.f.WriteAt(make([]byte, pageSize), recordsStart) // as the disk has it
	require.NoError(t, err)
	for range 2 {
		require.ErrorIs(t, db.Sync(), ErrFailed)
	}
	require.ErrorIs(t, tryPut(db, "b", "2"), ErrFailed)
	require.ErrorIs(t, db.Checkpoint(), ErrFailed)
	require.True(t, db.Stats().ReadOnly)
	require.Equal(t, "1", value(t, db, "a"))
	require.ErrorIs(t, db.Close(), ErrFailed)
}

// When the sync of badger's logs fails, the next checkpoint moves what they had into tables.
func TestFailedSyncOfTheLogs(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	put(t, db, "a", "1")
	require.NoError(t, db.Checkpoint())
	put(t, db, "b", "2")
	db.meta.suspect = true
	require.NoError(t, db.Checkpoint())
	require.False(t, db.meta.suspect)
	crashed := copyDir(t, dir)
	logs, err := filepath.Glob(filepath.Join(crashed, "*", "*.mem"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, log := range logs {
		require.NoError(t, os.Remove(log))
	}
	require.NoError(t, os.RemoveAll(filepath.Join(crashed, "journal")))
	require.NoError(t, db.Close())
	db = mustOpen(t, crashed, small())
	require.Equal(t, "1", value(t, db, "a"))
	require.Equal(t, "2", value(t, db, "b"))
	require.NoError(t, db.Close())
}

// Content that cannot be made durable keeps the records from being called durable.
func TestBeforeSync(t *testing.T) {
	var broken atomic.Bool
	var calls atomic.Int64
	o := small()
	o.BeforeSync = func() error {
		calls.Add(1)
		if broken.Load() {
			return os.ErrInvalid
		}
		return nil
	}
	db := mustOpen(t, tempDir(t), o)
	require.NoError(t, db.Sync())
	require.Zero(t, calls.Load(), "nothing to flush")
	put(t, db, "a", "1")
	broken.Store(true)
	require.ErrorIs(t, db.Sync(), os.ErrInvalid)
	require.ErrorIs(t, db.Checkpoint(), os.ErrInvalid)
	require.Less(t, db.Stats().SyncedLSN, db.Stats().LastLSN)
	put(t, db, "b", "2")
	broken.Store(false)
	require.NoError(t, db.Checkpoint())
	require.Equal(t, db.Stats().SyncedLSN, db.Stats().LastLSN)
	require.Equal(t, "1", value(t, db, "a"))
	require.NoError(t, db.Close())
}

// Concurrent callers of Sync share flushes.
func TestSyncGroups(t *testing.T) {
	var f faults
	o := f.options()
	o.BeforeSync = func() error { time.Sleep(2 * time.Millisecond); return nil }
	db := mustOpen(t, tempDir(t), o)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 10 {
				put(t, db, fmt.Sprint(g, i), "v")
				if err := db.Sync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, db.SyncCount(), int64(80), "160 callers")
	require.GreaterOrEqual(t, db.SyncCount(), int64(10))
	require.NoError(t, db.Close())
}

func TestFullDiskByStatfs(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	o := small()
	o.freeSpace = func(string) (int64, error) { return free.Load(), nil }
	dir := tempDir(t)
	db := mustOpen(t, dir, o)
	require.False(t, db.LowSpace())
	put(t, db, "old", "1")
	require.NoError(t, db.Checkpoint())
	free.Store(1 << 20)
	require.True(t, db.LowSpace())
	require.ErrorIs(t, db.Checkpoint(), nilOrNoSpace(db))
	n := fillUntilFull(t, db)
	require.Greater(t, n, 20, "the journal takes something while no checkpoint is possible")
	missing(t, db, fmt.Sprint("fill", n))
	require.NoError(t, db.Sync(), "what was acknowledged can be made durable")
	require.Equal(t, "1", value(t, db, "old"))

	// the process dies, the disk is still full at the next start
	crashed := copyDir(t, dir)
	require.ErrorIs(t, db.Close(), ErrNoSpace)
	db = mustOpen(t, crashed, o)
	require.ErrorIs(t, tryPut(db, "more", "x"), ErrNoSpace)
	require.Equal(t, string(make([]byte, 30000)), value(t, db, fmt.Sprint("fill", n-1)))
	free.Store(1 << 40)
	put(t, db, "more", "x")
	missing(t, db, fmt.Sprint("fill", n))
	require.NoError(t, db.Close())
}

// nilOrNoSpace is what a checkpoint says on a full disk: ErrNoSpace if it had work.
func nilOrNoSpace(db *DB) error {
	if db.active.empty() {
		return nil
	}
	return ErrNoSpace
}

// fillUntilFull returns how many transactions went in.
func fillUntilFull(t *testing.T, db *DB) int {
	t.Helper()
	for n := range 100000 {
		err := tryPut(db, fmt.Sprint("fill", n), string(make([]byte, 30000)))
		if err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
			require.True(t, errors.Is(err, syscall.ENOSPC))
			return n
		}
	}
	t.Fatal("never full")
	return 0
}

// Writers, readers, syncers and checkpoints at once; run with -race.
func TestConcurrent(t *testing.T) {
	dir := tempDir(t)
	o := small()
	o.SyncEvery = 10 * time.Millisecond
	db := mustOpen(t, dir, o)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() { readPairs(t, db, stop) })
	}
	for g := range 3 {
		writers.Go(func() { writePairs(t, db, g) })
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	require.NoError(t, db.Close())
	db = mustOpen(t, dir, small())
	for g := range 3 {
		require.Equal(t, "399", value(t, db, fmt.Sprintf("l%d", g)))
	}
	require.NoError(t, db.Close())
}

// writePairs keeps l<g> and r<g> equal in every transaction.
func writePairs(t *testing.T, db *DB, g int) {
	for i := range 400 {
		v := fmt.Append(nil, i)
		err := db.Update(func(tx *Tx) error {
			tx.Put(fmt.Appendf(nil, "l%d", g), v)
			tx.Put(fmt.Appendf(nil, "r%d", g), v)
			tx.PutData(fmt.Appendf(nil, "d%d-%d", g, i), make([]byte, 2000))
			if i > 0 {
				tx.DeleteData(fmt.Appendf(nil, "d%d-%d", g, i-1))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if i%50 == 0 {
			if err := db.Sync(); err != nil {
				t.Error(err)
			}
		}
	}
}

func readPairs(t *testing.T, db *DB, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		state := map[string]string{}
		err := db.View(func(r Reader) error {
			err := r.Ascend([]byte("l"), nil, func(k, v []byte) (bool, error) {
				state[string(k)] = string(v)
				return true, nil
			})
			for k, v := range state {
				got, gerr := r.Get([]byte(k))
				if gerr != nil || string(got) != v {
					t.Errorf("%s: scan gave %s, Get %s, %v", k, v, got, gerr)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for g := range 3 {
			if l, r := state[fmt.Sprint("l", g)], state[fmt.Sprint("r", g)]; l != r {
				t.Errorf("torn transaction: %s and %s", l, r)
			}
		}
	}
}
