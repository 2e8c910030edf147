package kv

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// residentTables returns the bytes of meta's tables that are mapped in and resident.
func residentTables(t *testing.T, dir string) (kib int) {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	inTable := false
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		switch {
		case strings.Contains(f[0], "-"):
			inTable = strings.Contains(line, dir) && strings.HasSuffix(f[len(f)-1], ".sst")
		case inTable && f[0] == "Rss:":
			n := 0
			for _, c := range f[1] {
				n = n*10 + int(c-'0')
			}
			kib += n
		}
	}
	return kib
}

func TestTrimResident(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	putObjects(t, db, 20000, 100)
	require.NoError(t, db.Compact(t.Context()))
	require.NoError(t, db.meta.verifyChecksum())
	require.Greater(t, residentTables(t, dir), 1000)
	db.trim()
	require.Less(t, residentTables(t, dir), 500)
	require.Len(t, value(t, db, "object/00000500"), 100)
	require.NoError(t, db.Close())
}

// Reads alone, with no change, lead to a trim. That it comes in time is seen in measurements only.
func TestReadsAreTrimmed(t *testing.T) {
	db := mustOpen(t, tempDir(t), small())
	putObjects(t, db, 100, 100)
	require.NoError(t, db.Compact(t.Context()))
	before := db.touches.Load()
	for range trimAfter {
		require.Len(t, value(t, db, "object/00000050"), 100)
	}
	require.GreaterOrEqual(t, db.touches.Load()-before, int64(trimAfter))
	require.Positive(t, residence().files)
	require.Greater(t, residence().all, residence().files)
	require.NoError(t, db.Close())
}

// At rest little is worth a trim; at work what takes the process to its size.
func TestWorthTrim(t *testing.T) {
	const mib, rest = 1 << 20, 20 << 20
	for _, c := range []struct {
		own, mapped   int64 // MiB
		resting, busy bool
	}{
		{own: 50, mapped: 10},
		{own: 50, mapped: 20, resting: true},
		{own: 50, mapped: 350, resting: true},
		{own: 50, mapped: 400, resting: true, busy: true},
		{own: 200, mapped: 300, resting: true, busy: true},
		{own: 400, mapped: 90, resting: true},
		{own: 400, mapped: 100, resting: true, busy: true},
	} {
		r := resident{all: (c.own + c.mapped) * mib, files: rest + c.mapped*mib}
		require.Equal(t, c.resting, r.worthTrim(rest, true), "%+v at rest", c)
		require.Equal(t, c.busy, r.worthTrim(rest, false), "%+v at work", c)
	}
}
