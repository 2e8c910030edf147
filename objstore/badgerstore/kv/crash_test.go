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
	for _, kind := range []string{"table", "meta/MANIFEST", "meta/KEYREGISTRY", "INDEX"} {
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

// After several crashes in a row every block of badger's tables is read, because one may be what kills us.
func TestFullReadAfterCrashes(t *testing.T) {
	dir, _ := crashedStore(t)
	for range suspicious - 1 {
		db := mustOpen(t, dir, small())
		next := copyDir(t, dir)
		require.NoError(t, db.Close())
		dir = next
	}
	unnamed := filepath.Join(dir, "meta.copy")
	require.NoError(t, os.RemoveAll(unnamed), "what has no second copy cannot heal")
	require.NoError(t, os.Mkdir(unnamed, 0o700))
	tables, err := filepath.Glob(filepath.Join(dir, "meta", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	flip(t, tables[0], 200)
	_, err = Open(dir, testSecret(), small())
	require.Error(t, err)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Contains(t, corrupt.What, "meta/")
}

// A pack that is cut off, or gone, costs the values in it and nothing else.
func TestDamagedPack(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"cut off": func(path string) error { return os.Truncate(path, 3000) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := makeStore(t)
			packs, err := filepath.Glob(filepath.Join(dir, "data", "*.pack"))
			require.NoError(t, err)
			require.Len(t, packs, 1, "openings go on with the pack that is there")
			require.NoError(t, harm(packs[0]))
			db := mustOpen(t, dir, small())
			var corrupt *CorruptError
			_, err = db.GetData([]byte("id100"))
			require.Error(t, err)
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, "data", corrupt.What)
			require.NoError(t, db.Update(func(tx *Tx) error { tx.PutData([]byte("new"), []byte("value")); return nil }))
			require.NoError(t, db.Close())
			checkHurt(t, dir, want, true)
			db = mustOpen(t, dir, small())
			v, err := db.GetData([]byte("new"))
			require.NoError(t, err)
			require.Equal(t, "value", string(v))
			require.NoError(t, db.Close())
		})
	}
}

// Check finds a damaged value in a pack, which Open does not read.
func TestCheckFindsDamagedData(t *testing.T) {
	dir, _ := makeStore(t)
	packs, err := filepath.Glob(filepath.Join(dir, "data", "*.pack"))
	require.NoError(t, err)
	require.NotEmpty(t, packs)
	flip(t, packs[0], fileSize(packs[0])/2)
	db := mustOpen(t, dir, small())
	var found []error
	var last Progress
	require.NoError(t, db.Check(t.Context(), func(p Progress) { last = p }, func(err error) { found = append(found, err) }))
	require.Len(t, found, 1)
	var corrupt *CorruptError
	require.ErrorAs(t, found[0], &corrupt)
	require.Equal(t, "data", corrupt.What)
	require.NotEmpty(t, corrupt.Key)
	require.Greater(t, last.Done, fileSize(packs[0]))
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
