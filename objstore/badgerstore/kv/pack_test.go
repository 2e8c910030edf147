package kv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// packFaults are faults of packs only.
func packFaults() (*faults, Options) {
	f := &faults{}
	o := small()
	o.openFile = func(path string) (file, error) {
		g, err := openOSFile(path)
		if strings.HasSuffix(path, ".pack") {
			return faultFile{g, f}, err
		}
		return g, err
	}
	return f, o
}

func packFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "data", "*"))
	require.NoError(t, err)
	return names
}

// bulk is the data value number i.
func bulk(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("%06d.", i), 8000)) }

func putBulk(t *testing.T, db *DB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		require.NoError(t, db.Update(func(tx *Tx) error { tx.PutData(fmt.Append(nil, i), bulk(i)); return nil }))
	}
}

// deleteBulk deletes those of the first n that gone picks.
func deleteBulk(t *testing.T, db *DB, n int, gone func(int) bool) {
	t.Helper()
	for i := range n {
		if gone(i) {
			require.NoError(t, db.Update(func(tx *Tx) error { tx.DeleteData(fmt.Append(nil, i)); return nil }))
		}
	}
}

func checkBulk(t *testing.T, db *DB, n int, gone func(int) bool) {
	t.Helper()
	for i := range n {
		v, err := db.GetData(fmt.Append(nil, i))
		if gone(i) {
			require.ErrorIs(t, err, ErrNotFound, i)
			continue
		}
		require.NoError(t, err, i)
		require.Equal(t, bulk(i), v)
	}
}

// When much of the packs has died, what lives is moved and the rest given back, without being asked.
func TestPacksAreReclaimed(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	const n = 2000 // 112 MB, four packs
	putBulk(t, db, 0, n)
	require.NoError(t, db.Checkpoint())
	require.Len(t, packFiles(t, dir), 4)
	gone := func(i int) bool { return i < 800 || i%2 == 0 }
	db.checkpointMu.Lock() // a background round among the deletes would leave the rest of them to a later one
	deleteBulk(t, db, n, gone)
	require.NoError(t, db.checkpoint())
	crashed := copyDir(t, dir)
	db.checkpointMu.Unlock()
	db.reclaim()
	require.Less(t, diskUsage(t, filepath.Join(dir, "data")), int64(36<<20))
	checkBulk(t, db, n, gone)
	require.Zero(t, db.wasted)
	again := copyDir(t, dir)
	require.NoError(t, db.Close())
	for _, d := range []string{dir, crashed, again} {
		db = mustOpen(t, d, small())
		checkBulk(t, db, n, gone)
		require.NoError(t, db.Close())
	}
}

// What died before a restart counts after it.
func TestWasteIsRemembered(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	putBulk(t, db, 0, 100)
	require.NoError(t, db.Checkpoint())
	deleteBulk(t, db, 100, func(i int) bool { return i < 50 })
	require.NoError(t, db.Close())
	db = mustOpen(t, dir, small())
	require.EqualValues(t, 50*(len(bulk(0))+valueOverhead), db.wasted)
	require.NoError(t, db.Close())
}

// A reader keeps the pack that it reads from, and a new pack does not take its number meanwhile.
func TestSnapshotKeepsPacks(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	putBulk(t, db, 0, 20)
	require.NoError(t, db.Checkpoint())
	before := packFiles(t, dir)
	require.Len(t, before, 1)
	s, err := db.Snapshot()
	require.NoError(t, err)
	deleteBulk(t, db, 20, func(int) bool { return true })
	require.NoError(t, db.Compact(t.Context()))
	putBulk(t, db, 20, 40)
	require.NoError(t, db.Checkpoint())
	after := packFiles(t, dir)
	require.Len(t, after, 2)
	require.Contains(t, after, before[0])
	for i := range 20 {
		v, err := s.GetData(fmt.Append(nil, i))
		require.NoError(t, err)
		require.Equal(t, bulk(i), v)
	}
	s.Close()
	require.NotContains(t, packFiles(t, dir), before[0])
	checkBulk(t, db, 40, func(i int) bool { return i < 20 })
	require.NoError(t, db.Close())
}

// A checkpoint whose pack cannot be written or made durable loses nothing, and the next one makes it good.
func TestPackFaults(t *testing.T) {
	for name, fault := range map[string]func(f *faults) func(){
		"write": func(f *faults) func() { set(&f.write, syscall.ENOSPC); return func() { f.write.Store(nil) } },
		"short": func(f *faults) func() {
			f.short.Store(true)
			set(&f.write, syscall.EIO)
			return func() { f.write.Store(nil) }
		},
		"sync": func(f *faults) func() { set(&f.sync, syscall.EIO); return func() { f.sync.Store(nil) } },
	} {
		t.Run(name, func(t *testing.T) { testPackFault(t, fault) })
	}
}

func testPackFault(t *testing.T, fault func(f *faults) func()) {
	none := func(int) bool { return false }
	dir := tempDir(t)
	f, o := packFaults()
	db := mustOpen(t, dir, o)
	putBulk(t, db, 0, 5)
	require.NoError(t, db.Checkpoint())
	putBulk(t, db, 5, 10)
	mend := fault(f)
	for range 2 {
		require.Error(t, db.Checkpoint())
		checkBulk(t, db, 10, none)
	}
	crashed := copyDir(t, dir)
	mend()
	require.NoError(t, db.Checkpoint())
	checkBulk(t, db, 10, none)
	require.Less(t, diskUsage(t, filepath.Join(dir, "data")), int64(11*len(bulk(0))), "what failed was cut off")

	deleteBulk(t, db, 5, func(int) bool { return true })
	require.NoError(t, db.Checkpoint())
	mend = fault(f)
	require.Error(t, db.Compact(t.Context()))
	mend()
	require.NoError(t, db.Compact(t.Context()))
	checkBulk(t, db, 10, func(i int) bool { return i < 5 })
	require.NoError(t, db.Close())
	db = mustOpen(t, crashed, small())
	checkBulk(t, db, 10, none)
	require.NoError(t, db.Close())
}

// A damaged value keeps its pack: what is whole in it stays readable, and compacting goes on with the others.
func TestDamagedValueKeepsItsPack(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	putBulk(t, db, 0, 20)
	require.NoError(t, db.Checkpoint())
	deleteBulk(t, db, 20, func(i int) bool { return i < 10 })
	require.NoError(t, db.Close())
	packs := packFiles(t, dir)
	require.Len(t, packs, 1)
	flip(t, packs[0], int64(15*(len(bulk(0))+valueOverhead)+100))
	db = mustOpen(t, dir, small())
	require.NoError(t, db.Compact(t.Context()))
	_, err := os.Stat(packs[0])
	require.NoError(t, err)
	damaged := 0
	for i := 10; i < 20; i++ {
		v, err := db.GetData(fmt.Append(nil, i))
		if err == nil {
			require.Equal(t, bulk(i), v)
			continue
		}
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		damaged++
	}
	require.Equal(t, 1, damaged)
	require.NoError(t, db.Close())
}

// Many packs are read with few of them open.
func TestManyPacks(t *testing.T) {
	dir := tempDir(t)
	p, err := openPacksIn(dir, openOSFile)
	require.NoError(t, err)
	w := &packWriter{packs: p}
	var at []location
	for i := range openPacks + 20 {
		l, err := w.add(func(dst []byte) []byte { return append(dst, bulk(i)...) })
		require.NoError(t, err)
		require.NoError(t, w.finish())
		p.set.packs[p.last].full = true
		at = append(at, l)
	}
	for range 2 {
		for i, l := range at {
			s := p.hold()
			got, err := p.read(s, l)
			require.NoError(t, err)
			require.Equal(t, bulk(i), got)
			p.release(s)
		}
		require.Len(t, p.opened, openPacks)
	}
	require.NoError(t, p.close())
}

// A pack in which nothing lives goes only when the records that say so are durable: those of values that an earlier try had
// moved before its sync failed are in no journal.
func TestEmptyPackWaitsForItsRecords(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	putBulk(t, db, 0, 10)
	require.NoError(t, db.Checkpoint())
	deleteBulk(t, db, 10, func(int) bool { return true })
	require.NoError(t, db.Checkpoint())
	before := packFiles(t, dir)
	require.Len(t, before, 1)
	db.checkpointMu.Lock()
	db.meta.suspect = true
	require.NoError(t, db.compactPacks(t.Context(), anyWaste))
	require.False(t, db.meta.suspect, "the failed sync was not made up for")
	db.checkpointMu.Unlock()
	require.Empty(t, packFiles(t, dir))
	require.NoError(t, db.Close())
}
