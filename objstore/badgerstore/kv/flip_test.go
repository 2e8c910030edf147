package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// makeStore writes a store that has been checkpointed and compacted in part, and closes it.
func makeStore(t *testing.T) (dir string, want *model) {
	t.Helper()
	dir = filepath.Join(tempDir(t), "store")
	want = &model{keys: map[string]string{}, data: map[string]string{}}
	for round := range 3 {
		db := mustOpen(t, dir, small())
		require.NoError(t, db.Update(func(tx *Tx) error {
			for i := range 300 {
				k, v := fmt.Sprintf("key%03d", i+round*50), fmt.Sprintf("%d-%d", round, i)
				want.keys[k] = v
				tx.Put([]byte(k), []byte(v))
			}
			for range 60 {
				want.nextID++
				id := fmt.Sprintf("id%d", want.nextID)
				v := strings.Repeat(id, 500)
				want.data[id] = v
				tx.PutData([]byte(id), []byte(v))
			}
			return nil
		}))
		require.NoError(t, db.Close())
	}
	return dir, want
}

// regions are offsets that meet each part of a file of size bytes.
func regions(size int64) []int64 {
	var out []int64
	for _, off := range []int64{5, 40, 80, size / 2, size - 60, size - 12, size - 1} {
		if off >= 0 && off < size {
			out = append(out, off)
		}
	}
	return out
}

func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	require.NoError(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], off)
	require.NoError(t, err)
}

func storeFiles(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	}))
	require.Greater(t, len(names), 10)
	return names
}

// One changed byte anywhere in a closed store never gives wrong data. Meta and everything
// but the packs heals by itself.
func TestFlippedBits(t *testing.T) {
	dir, want := makeStore(t)
	for _, name := range storeFiles(t, dir) {
		if strings.Contains(name, "001.journal") {
			continue // as 000 and 002
		}
		for _, off := range regions(fileSize(filepath.Join(dir, name))) {
			t.Run(fmt.Sprintf("%s@%d", name, off), func(t *testing.T) {
				t.Parallel()
				hurt := copyDir(t, dir)
				flip(t, filepath.Join(hurt, name), off)
				checkHurt(t, hurt, want, strings.HasSuffix(name, ".pack"))
			})
		}
	}
}

// checkHurt opens a damaged store and reads everything; only data values may be lost.
func checkHurt(t *testing.T, dir string, want *model, lossAllowed bool) {
	t.Helper()
	db := mustOpen(t, dir, small())
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.View(func(r Reader) error {
		want.compareBounds(t, r, "", "")
		return nil
	}))
	lost := 0
	for id, v := range want.data {
		got, err := db.GetData([]byte(id))
		var corrupt *CorruptError
		switch {
		case err == nil:
			require.Equal(t, v, string(got))
		case errors.Is(err, ErrNotFound), errors.As(err, &corrupt):
			lost++
		default:
			t.Fatalf("%s: unexpected error %v", id, err)
		}
	}
	if !lossAllowed {
		require.Zero(t, lost)
	}
}

func TestBothCopiesDamaged(t *testing.T) {
	dir, _ := makeStore(t)
	tables, err := filepath.Glob(filepath.Join(dir, "meta", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	name := filepath.Base(tables[0])
	flip(t, tables[0], 100)
	flip(t, filepath.Join(dir, "meta.copy", name), 200)
	_, err = Open(dir, testSecret(), small())
	require.Error(t, err)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, "meta/"+name, corrupt.What)
}

func TestLostFiles(t *testing.T) {
	dir, want := makeStore(t)
	for _, name := range storeFiles(t, dir) {
		if strings.HasPrefix(name, "journal") {
			continue
		}
		hurt := copyDir(t, dir)
		require.NoError(t, os.Remove(filepath.Join(hurt, name)))
		checkHurt(t, hurt, want, strings.HasSuffix(name, ".pack"))
	}
}

func TestWrongSecret(t *testing.T) {
	dir, _ := makeStore(t)
	_, err := Open(dir, []byte(strings.Repeat("x", 32)), small())
	require.Error(t, err)
	require.Contains(t, err.Error(), "root key")
	_, err = Open(dir, []byte("short"), small())
	require.ErrorContains(t, err, "shorter")
}

// A damaged second copy is found and mended by Check, and only there.
func TestCheckMendsCopies(t *testing.T) {
	dir, _ := makeStore(t)
	copies, err := filepath.Glob(filepath.Join(dir, "meta.copy", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, copies)
	flip(t, copies[0], 50)
	db := mustOpen(t, dir, small())
	require.Zero(t, db.Stats().HealedFiles)
	require.NoError(t, db.Check(t.Context(), nil, func(err error) { t.Error(err) }))
	require.EqualValues(t, 1, db.Stats().HealedFiles)
	require.NoError(t, db.Check(t.Context(), nil, func(err error) { t.Error(err) }))
	require.EqualValues(t, 1, db.Stats().HealedFiles)
	require.NoError(t, db.Close())
}

// Values swapped between keys, inside badger, are refused.
func TestSealerBindsKey(t *testing.T) {
	s, err := newSealer(testSecret())
	require.NoError(t, err)
	sealed := s.seal([]byte("plain"), []byte("a"))
	got, err := s.open(nil, sealed, []byte("a"))
	require.NoError(t, err)
	require.Equal(t, "plain", string(got))
	_, err = s.open(nil, sealed, []byte("b"))
	require.ErrorIs(t, err, errAuth)
	for i := range sealed {
		bad := append([]byte{}, sealed...)
		bad[i] ^= 1
		_, err := s.open(nil, bad, []byte("a"))
		require.ErrorIs(t, err, errAuth, "byte %d", i)
	}
	other, err := newSealer(testSecret())
	require.NoError(t, err)
	got, err = other.open(nil, sealed, []byte("a"))
	require.NoError(t, err)
	require.Equal(t, "plain", string(got), "a later opening reads it")
}

// Nothing on disk shows a key or a value.
func TestNothingReadable(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	put(t, db, "payroll-key-name", "payroll-value-text")
	require.NoError(t, db.Update(func(tx *Tx) error { tx.PutData([]byte("payroll-id"), []byte("payroll-data")); return nil }))
	require.NoError(t, db.Checkpoint())
	put(t, db, "payroll-second", "payroll-more")
	live := copyDir(t, dir)
	require.NoError(t, db.Close())
	for _, d := range []string{dir, live} {
		for _, name := range storeFiles(t, d) {
			raw, err := os.ReadFile(filepath.Join(d, name))
			require.NoError(t, err)
			require.NotContains(t, string(raw), "payroll", name)
		}
	}
}
