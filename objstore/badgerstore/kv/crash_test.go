package kv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// crashedStore returns a store that was checkpointed, went on, and died.
func crashedStore(t *testing.T) (dir string, want *model) {
	t.Helper()
	clean, want := makeStore(t)
	db := mustOpen(t, clean, small())
	want.keys["late"] = "1"
	put(t, db, "late", "1")
	require.NoError(t, db.Compact(t.Context()))
	want.keys["later"] = "2"
	put(t, db, "later", "2")
	dir = copyDir(t, clean)
	require.NoError(t, db.Close())
	return dir, want
}

// After a crash, too, damage to a file that has a copy is healed.
func TestFlippedBitsAfterCrash(t *testing.T) {
	dir, want := crashedStore(t)
	seen := map[string]bool{}
	for _, name := range storeFiles(t, dir) {
		kind := strings.SplitN(name, ".", 2)[0]
		switch {
		case strings.HasSuffix(name, ".sst") && strings.HasPrefix(name, "meta/"):
			kind = "table"
		case strings.HasSuffix(name, "MANIFEST"), strings.HasSuffix(name, "KEYREGISTRY"), strings.HasSuffix(name, "INDEX"):
		default:
			continue
		}
		seen[kind] = true
		for _, off := range regions(fileSize(filepath.Join(dir, name))) {
			hurt := copyDir(t, dir)
			flip(t, filepath.Join(hurt, name), off)
			t.Log(name, off)
			checkHurt(t, hurt, want, false)
		}
	}
	for _, kind := range []string{"table", "meta/MANIFEST", "data/MANIFEST", "meta/KEYREGISTRY", "INDEX"} {
		require.Contains(t, seen, kind)
	}
}

// A table that the index does not know yet, and that is damaged, is reported.
func TestDamagedNewTableAfterCrash(t *testing.T) {
	clean, _ := makeStore(t)
	db := mustOpen(t, clean, small())
	index, err := os.ReadFile(filepath.Join(clean, "INDEX"))
	require.NoError(t, err)
	put(t, db, "k", "v")
	require.NoError(t, db.Compact(t.Context()))
	dir := copyDir(t, clean)
	require.NoError(t, db.Close())
	for _, path := range []string{"INDEX", "meta.copy/INDEX"} { // as if the machine died before it was written
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), index, 0o600))
	}
	tables, err := filepath.Glob(filepath.Join(dir, "meta", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, path := range tables {
		flip(t, path, fileSize(path)-30)
	}
	_, err = Open(dir, testSecret(), small())
	require.Error(t, err)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.True(t, strings.HasPrefix(corrupt.What, "meta/"), corrupt.What)
}

// A table of data with a broken index is put aside; the rest of the store works on.
func TestDamagedDataTable(t *testing.T) {
	dir, want := makeStore(t)
	tables, err := filepath.Glob(filepath.Join(dir, "data", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	require.NoError(t, os.Truncate(tables[0], 3))
	db := mustOpen(t, dir, small())
	require.EqualValues(t, 1, db.Stats().DamagedTables)
	_, err = os.Stat(filepath.Join(dir, "damaged", filepath.Base(tables[0])))
	require.NoError(t, err)
	require.NoError(t, db.Close())
	checkHurt(t, dir, want, true)
}

// After several crashes in a row every block is read, because one may be what kills us.
func TestFullReadAfterCrashes(t *testing.T) {
	dir, want := crashedStore(t)
	tables, err := filepath.Glob(filepath.Join(dir, "data", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	flip(t, tables[0], 200)
	for range suspicious - 1 {
		db := mustOpen(t, dir, small())
		next := copyDir(t, dir)
		require.NoError(t, db.Close())
		dir = next
	}
	db := mustOpen(t, dir, small())
	require.EqualValues(t, 1, db.Stats().DamagedTables)
	require.NoError(t, db.Close())
	checkHurt(t, dir, want, true)
}

// Check finds a damaged block among the data, which Open does not read.
func TestCheckFindsDamagedData(t *testing.T) {
	dir, _ := makeStore(t)
	tables, err := filepath.Glob(filepath.Join(dir, "data", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	flip(t, tables[0], fileSize(tables[0])/2)
	db := mustOpen(t, dir, small())
	var found []error
	var last Progress
	require.NoError(t, db.Check(t.Context(), func(p Progress) { last = p }, func(err error) { found = append(found, err) }))
	require.NotEmpty(t, found)
	var corrupt *CorruptError
	require.ErrorAs(t, found[0], &corrupt)
	require.Contains(t, corrupt.What, "data")
	require.Positive(t, last.Done)
	require.NoError(t, db.Close())
}

// Segments that an earlier opening with more of them filled are replayed.
func TestFewerSegments(t *testing.T) {
	dir := tempDir(t)
	o := small()
	o.Segments = 5
	o.freeSpace = func(string) (int64, error) { return 0, nil } // no checkpoints
	db := mustOpen(t, dir, o)
	n := fillUntilFull(t, db)
	require.Greater(t, n, 100)
	crashed := copyDir(t, dir)
	require.ErrorIs(t, db.Close(), ErrNoSpace)
	o.Segments = 2
	o.freeSpace = nil
	db = mustOpen(t, crashed, o)
	require.EqualValues(t, n, db.Stats().Replayed)
	require.NoError(t, db.Close())
}
