package kv

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tablesIn lists the tables in a directory of a store.
func tablesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	require.NoError(t, err)
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	return names
}

// Whoever waits for room in the journal does not wait for second copies; the clock brings them, and takes away those that are
// not needed any more.
func TestCopiesComeByTheClock(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{SyncEvery: -1})
	putObjects(t, db, 20000, 200)
	require.NoError(t, db.freeJournal())
	db.checkpointMu.Lock()
	require.NoError(t, db.meta.emptyMemtables(db))
	db.checkpointMu.Unlock()
	require.NotEmpty(t, tablesIn(t, filepath.Join(dir, "meta")))
	require.Empty(t, tablesIn(t, filepath.Join(dir, "meta.copy")))
	crashed := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.CopyFS(crashed, os.DirFS(dir)))
	require.NoError(t, db.Close())

	db = mustOpen(t, crashed, Options{SyncEvery: 20 * time.Millisecond})
	require.Eventually(t, func() bool {
		have := tablesIn(t, filepath.Join(crashed, "meta.copy"))
		return len(have) > 0 && len(have) == len(tablesIn(t, filepath.Join(crashed, "meta")))
	}, 30*time.Second, 10*time.Millisecond)
	require.ElementsMatch(t, tablesIn(t, filepath.Join(crashed, "meta")), tablesIn(t, filepath.Join(crashed, "meta.copy")))
	require.NoError(t, db.Check(t.Context(), nil, func(err error) { t.Error(err) }))
	require.NoError(t, db.Close())
}
