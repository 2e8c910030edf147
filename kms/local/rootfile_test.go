package local_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/local"
)

// testKDF is quick.
func testKDF() local.KDF { return local.KDF{Memory: 8 << 10, Time: 1, Threads: 1} }

func testRoot() []byte {
	root := make([]byte, 32)
	for i := range root {
		root[i] = byte(i*7 + 1)
	}
	return root
}

func answers(p string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(p), nil }
}

func sealedFile(t *testing.T) []byte {
	t.Helper()
	content, err := local.SealRootFile(testRoot(), []byte("correct horse"), testKDF())
	require.NoError(t, err)
	return content
}

func TestRootFileWithPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.key")
	require.NoError(t, local.CreateRootFile(path, sealedFile(t)))
	f, err := local.ReadRootFile(path)
	require.NoError(t, err)
	require.True(t, f.Protected())
	require.Equal(t, testKDF(), f.KDF())
	require.Equal(t, local.RootKeyID(testRoot()), f.ID())
	root, err := f.Open(answers("correct horse"))
	require.NoError(t, err)
	require.Equal(t, testRoot(), root)
	_, err = f.Open(answers("correct horsf"))
	require.ErrorIs(t, err, local.ErrPassphrase)
	none := errors.New("no terminal")
	_, err = f.Open(func() ([]byte, error) { return nil, none })
	require.ErrorIs(t, err, none)
	_, err = local.LoadRootKey(path)
	require.ErrorContains(t, err, "needs its passphrase")
	_, _, err = local.LoadOrCreateRootKey(path)
	require.Error(t, err, "and is not made anew")

	require.ErrorIs(t, local.CreateRootFile(path, testRoot()), os.ErrExist)
	require.NoError(t, local.ReplaceRootFile(path, local.PlainRootFile(testRoot())))
	plain, err := local.LoadRootKey(path)
	require.NoError(t, err)
	require.Equal(t, testRoot(), plain)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestDefaultKDF(t *testing.T) {
	require.Equal(t, "argon2id m=65536,t=3,p=4", local.DefaultKDF().String())
}

func TestSealRootFileRefused(t *testing.T) {
	_, err := local.SealRootFile(testRoot(), nil, testKDF())
	require.ErrorContains(t, err, "the passphrase is empty")
	_, err = local.SealRootFile(testRoot(), []byte("x"), local.KDF{Memory: 8, Time: 1, Threads: 1})
	require.ErrorContains(t, err, "m=8,t=1,p=1")
}

// TestRootFileDamaged flips every byte: never another key, never a panic.
func TestRootFileDamaged(t *testing.T) {
	good := sealedFile(t)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		f, err := local.ParseRootFile(bad, "store.key")
		if err == nil {
			_, err = f.Open(answers("correct horse"))
		}
		require.Error(t, err, "byte %d", i)
	}
	for _, bad := range [][]byte{good[:len(good)-1], append(bytes.Clone(good), '\n'), good[:20]} {
		_, err := local.ParseRootFile(bad, "store.key")
		require.ErrorContains(t, err, "store.key")
	}
	for from, to := range map[string]string{"m=8192": "m=4194305", "t=1": "t=101", "p=1": "p=0", "m=8192,": "m=8191,"} {
		_, err := local.ParseRootFile(bytes.Replace(good, []byte(from), []byte(to), 1), "store.key")
		require.ErrorContains(t, err, "outside of what this release takes", to)
	}
	_, err := local.ParseRootFile(bytes.Replace(good, []byte("key 1\n"), []byte("key 2\n"), 1), "store.key")
	require.ErrorContains(t, err, "this release knows")
}

func TestCredentialMayBeReadByGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kmsfs.key")
	require.NoError(t, os.WriteFile(path, testRoot(), 0o440))
	f, err := local.ReadCredential(path)
	require.NoError(t, err)
	root, err := f.Open(nil)
	require.NoError(t, err)
	require.Equal(t, testRoot(), root)
	_, err = local.ReadRootFile(path)
	require.Error(t, err)
}

func TestRecoveryKit(t *testing.T) {
	kit := string(local.RecoveryKit(testRoot(), "/srv/store"))
	require.Contains(t, kit, "/srv/store")
	// computed with Python's hashlib and base64
	require.Contains(t, kit, "\n    1: AEEA-6FQ5-EQVT-FC7D\n")
	var lines []string
	for line := range strings.Lines(kit) {
		if strings.HasPrefix(line, "    ") && strings.Contains(line, ": ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	require.Len(t, lines, 4)
	typed := strings.NewReplacer("-", " ", "O", "0", "B", "8").Replace(lines[3] + "\n" + lines[1] + "\r\n" + lines[0] + "\n" + lines[2])
	for name, text := range map[string]string{"as written": kit, "lines alone": strings.Join(lines, "\n"), "typed": strings.ToLower(typed)} {
		root, err := local.ParseRecoveryKit([]byte(text))
		require.NoError(t, err, name)
		require.Equal(t, testRoot(), root, name)
	}
	other := bytes.Repeat([]byte{9}, 32)
	otherKit := string(local.RecoveryKit(other, "/srv/store"))
	for name, c := range map[string]struct{ text, want string }{
		"a letter":     {strings.Replace(kit, "2: ", "2: A", 1), "line 2: has a mistake"},
		"exchanged":    {strings.NewReplacer("2: ", "3: ", "3: ", "2: ").Replace(kit), "has a mistake"},
		"missing":      {strings.Join(lines[:3], "\n"), "line 4: of its lines 1: to 4: is missing"},
		"empty":        {"", "line 1: of its lines"},
		"other's id":   {strings.Replace(kit, local.RootKeyID(testRoot()), local.RootKeyID(other), 1), "mixed"},
		"other's line": {strings.Replace(kit, lines[2], "3: "+otherKit[strings.Index(otherKit, "3: ")+3:][:19], 1), "mixed"},
		"long":         {strings.Repeat(kit, 20), "too long"},
	} {
		_, err := local.ParseRecoveryKit([]byte(c.text))
		require.ErrorContains(t, err, c.want, name)
	}
}
