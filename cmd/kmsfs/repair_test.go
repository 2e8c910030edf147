package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
	"kmsfs/objstore/badgerstore/kv"
)

// The record of a file is damaged: check says so, check --repair makes the name one that can be listed and restored, and
// says how; a second one has nothing to mend. A deleted damaged file leaves a store that is whole.
func TestCheckRepair(t *testing.T) {
	b := newBench(t)
	b.mount()
	for _, name := range []string{"hurt", "gone", "whole"} {
		b.write(name, []byte("old"))
		b.write(name, []byte("new"))
	}
	inos := []uint64{inoOf(t, b.path("hurt")), inoOf(t, b.path("gone"))}
	b.umount()
	code, answer := b.repair()
	require.Zero(t, code)
	require.Empty(t, answer.Repairs)
	damageInodes(t, b, inos)
	code, answer = b.damage()
	require.Equal(t, int(exitIntegrity), code)
	require.NotEmpty(t, answer.Damage)

	code, answer = b.repair()
	require.Equal(t, int(exitIntegrity), code)
	require.EqualValues(t, 2, answer.Lost)
	restore := map[string]string{}
	for _, d := range answer.Damage {
		restore[d.Key] = string(d.Restore)
	}
	require.Len(t, restore, 2, "%+v", answer.Damage)
	require.NotEmpty(t, restore["hurt"])
	code, stdout, _ := b.try("check", "--repair")
	require.Equal(t, int(exitIntegrity), code)
	require.Contains(t, stdout, "kmsfs restore s3://demo/hurt "+restore["hurt"])
	require.NotContains(t, stdout, "mended")

	b.run("restore", "s3://demo/hurt", restore["hurt"])
	b.mount()
	require.NoError(t, os.Remove(b.path("gone")))
	for name, want := range map[string]string{"hurt": "old", "whole": "new"} {
		got, err := os.ReadFile(b.path(name))
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
	code, answer = b.repair() // by the daemon
	require.Zero(t, code, "%+v", answer)
	require.Empty(t, answer.Repairs)
	b.umount()
	b.check()
}

// repair runs check --repair and answers the exit code with the report.
func (b *bench) repair() (int, service.CheckAnswer) {
	b.t.Helper()
	code, stdout, stderr := b.try("--json", "check", "--repair")
	var a service.CheckAnswer
	require.NoError(b.t, json.Unmarshal([]byte(stdout), &a), "exit code %d: %s", code, stderr)
	return code, a
}

func inoOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	return st.Ino
}

// damageInodes replaces the records of files in a closed store by garbage.
func damageInodes(t *testing.T, b *bench, inos []uint64) {
	t.Helper()
	root, created, err := local.LoadOrCreateRootKey(b.store + ".key")
	require.NoError(t, err)
	require.False(t, created)
	ring, err := openKeyring(b.store, root)
	require.NoError(t, err)
	db, err := kv.Open(b.store, ring.Newest(keyring.Store).Secret, kv.Options{})
	require.NoError(t, err)
	hurt := 0
	require.NoError(t, db.Update(func(tx *kv.Tx) error {
		for _, ino := range inos {
			k := []byte{'I', 0, 0, 0, 0, 0, 0, byte(ino >> 8), byte(ino)}
			if _, err := tx.Get(k); err != nil {
				return err
			}
			tx.Put(k, []byte("garbage"))
			hurt++
		}
		return nil
	}))
	require.NoError(t, db.Close())
	require.Equal(t, len(inos), hurt)
	_, err = os.Stat(filepath.Join(b.store, "content"))
	require.NoError(t, err)
}
