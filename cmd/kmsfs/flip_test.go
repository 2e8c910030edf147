package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// flipTargets are files of a store, of each kind one. The engine's own tests meet every region of every file.
func flipTargets() []string {
	return []string{"content/*/*", "data/*.pack", "meta/*.sst", "meta/KEYREGISTRY", "meta.copy/*.sst", "INDEX", "kmsfs.store", "kmsfs.keyring"}
}

// A changed bit: the mount comes up with all names, each file reads right or with EIO, check names those and exits with
// 8, and writing goes on.
func TestFlippedBit(t *testing.T) {
	b := newBench(t)
	b.mount()
	files := map[string][]byte{}
	for i, n := range []int{0, 10, 3000, 40_000, 70_000, 900_000} {
		name := fmt.Sprint("f", i)
		files[name] = noise(uint64(i), n)
		b.write(name, files[name])
	}
	b.umount()
	lost := 0
	for _, pattern := range flipTargets() {
		matches, err := filepath.Glob(filepath.Join(b.store, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, matches, pattern)
		rel, err := filepath.Rel(b.store, matches[0])
		require.NoError(t, err)
		t.Run(strings.ReplaceAll(rel, "/", "-"), func(t *testing.T) {
			hurt := newBench(t)
			copyStore(t, b, hurt)
			flipMiddle(t, filepath.Join(hurt.store, rel))
			lost += readHurt(t, hurt, files)
		})
	}
	require.NotZero(t, lost, "no flip met any content")
	require.Less(t, lost, len(files)*len(flipTargets())/2)
}

// copyStore copies a closed store and its root key.
func copyStore(t *testing.T, from, to *bench) {
	t.Helper()
	require.NoError(t, os.CopyFS(to.store, os.DirFS(from.store)))
	require.NoError(t, os.Chmod(to.store, 0o700))
	key, err := os.ReadFile(from.store + ".key")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to.store+".key", key, 0o600))
}

func flipMiddle(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(raw)
	raw[len(raw)/2] ^= 4
	require.NotEqual(t, sum, sha256.Sum256(raw))
	require.NoError(t, os.WriteFile(path, raw, 0o600))
}

// readHurt reads all files of a damaged store and answers how many are lost.
func readHurt(t *testing.T, b *bench, files map[string][]byte) (lost int) {
	t.Helper()
	b.mount()
	entries, err := os.ReadDir(b.mnt)
	require.NoError(t, err)
	require.Len(t, entries, len(files))
	damaged := map[string]bool{}
	for name, want := range files {
		got, err := os.ReadFile(b.path(name))
		if err != nil {
			var pe *fs.PathError
			require.ErrorAs(t, err, &pe)
			require.Equal(t, unix.EIO, pe.Err, name)
			damaged[name] = true
			continue
		}
		require.Equal(t, want, got, name)
	}
	code, answer := b.damage()
	told := map[string]bool{}
	for _, d := range answer.Damage {
		require.Equal(t, "demo", d.Bucket)
		told[d.Key] = true
	}
	require.Equal(t, damaged, told)
	if len(damaged) > 0 {
		require.Equal(t, int(exitIntegrity), code)
	} else {
		require.Zero(t, code)
	}
	for name := range damaged {
		b.write(name, []byte("new")) // an overwritten file is whole again
		got, err := os.ReadFile(b.path(name))
		require.NoError(t, err)
		require.Equal(t, "new", string(got))
	}
	b.write("more", []byte("more"))
	b.umount()
	return len(damaged)
}
