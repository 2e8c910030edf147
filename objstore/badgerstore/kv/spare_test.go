package kv

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A store opens on a disk that was filled to the last block, and has its spare space again when there is space.
func TestOpenOnAFullDisk(t *testing.T) {
	disk := mountTmpfs(t, "300m")
	dir := filepath.Join(disk, "store")
	spare := filepath.Join(dir, spareName)
	db := mustOpen(t, dir, small())
	putObjects(t, db, 100, 2000)
	require.NoError(t, db.Close())
	require.FileExists(t, spare)

	foreign := fill(t, disk)
	db = mustOpen(t, dir, small())
	require.NoFileExists(t, spare)
	v, err := db.GetData([]byte("0000000000000007"))
	require.NoError(t, err)
	require.Len(t, v, 2000)

	require.NoError(t, os.Remove(foreign))
	putObjects(t, db, 100, 2000)
	require.NoError(t, db.Close())
	db = mustOpen(t, dir, small())
	require.FileExists(t, spare)
	require.NoError(t, db.Close())
}

// fill takes all the rest of a disk with one file.
func fill(t *testing.T, disk string) (path string) {
	t.Helper()
	path = filepath.Join(disk, "foreign")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for block := bytes.Repeat([]byte("x"), 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			block = block[:len(block)/2]
		}
	}
	return path
}
