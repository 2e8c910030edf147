package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
)

// Attributes that cannot be: each with the errno that says why, on files, directories and the bucket's root, and nothing
// is changed by it.
func TestBadAttributes(t *testing.T) {
	b := newBench(t)
	b.mount()
	b.run("key", "create", "--alias", "alias/good")
	b.run("key", "create", "--alias", "alias/off")
	b.run("key", "disable", "alias/off")
	b.run("key", "create", "--alias", "alias/dying")
	b.run("key", "schedule-deletion", "--days", "7", "alias/dying")
	require.NoError(t, os.Mkdir(b.path("dir"), 0o755))
	content := noise(1, 100_000)
	b.write("dir/file", content)
	const account = "arn:aws:kms:us-east-1:000000000000:"
	for _, c := range []struct {
		attr, value string
		want        error
	}{
		{"user.sse", "aws:kmz", unix.EINVAL},
		{"user.sse", "", unix.EINVAL},
		{"user.sse", "AES256\x00", unix.EINVAL},
		{"user.sse-kms-key-id", "", unix.EINVAL},
		{"user.sse-kms-key-id", "no key at all", unix.EINVAL},
		{"user.sse-kms-key-id", "alias/none", unix.ENOKEY},
		{"user.sse-kms-key-id", "12345678-1234-1234-1234-123456789012", unix.ENOKEY},
		{"user.sse-kms-key-id", account + "key/12345678-1234-1234-1234-123456789012", unix.ENOKEY},
		{"user.sse-kms-key-id", "arn:aws:kms:eu-west-1:000000000000:key/12345678-1234-1234-1234-123456789012", unix.EKEYREJECTED},
		{"user.sse-kms-key-id", "alias/off", unix.EKEYREVOKED},
		{"user.sse-kms-key-id", "alias/dying", unix.EKEYEXPIRED},
		{"user.encryption-context", "", unix.EINVAL},
		{"user.encryption-context", "team=x", unix.EINVAL},
		{"user.encryption-context", `["a"]`, unix.EINVAL},
		{"user.encryption-context", `{"a":1}`, unix.EINVAL},
		{"user.encryption-context", `{"a":{"b":"c"}}`, unix.EINVAL},
		{"user.encryption-context", `{"a":"b"} x`, unix.EINVAL},
		{"user.encryption-context", `{"a":"` + strings.Repeat("x", 2048) + `"}`, unix.EINVAL},
		{"user.bucket-key", "yes", unix.EINVAL},
	} {
		for _, name := range []string{"dir/file", "dir", ""} {
			err := unix.Setxattr(b.path(name), c.attr, []byte(c.value), 0)
			require.Error(t, err, "%s: %s=%.40s", name, c.attr, c.value)
			require.Equal(t, c.want, err, "%s: %s=%.40s", name, c.attr, c.value)
		}
	}
	for _, name := range []string{"dir/file", "dir", ""} {
		n, err := unix.Listxattr(b.path(name), nil)
		require.NoError(t, err)
		require.Zero(t, n, "%q has attributes", name)
	}
	got, err := os.ReadFile(b.path("dir/file"))
	require.NoError(t, err)
	require.Equal(t, content, got)
	b.setxattr("dir/file", "user.sse-kms-key-id", "alias/good")
	b.check()
}

// A second daemon cannot own a store, even if it does not see the first: here its socket is gone.
func TestTwoDaemonsOnOneStore(t *testing.T) {
	t.Parallel() // it waits for the first daemon to end, in vain
	b := newBench(t)
	b.mount()
	b.write("f", []byte("first"))
	pid := b.pid()
	store, err := filepath.EvalSymlinks(b.store)
	require.NoError(t, err)
	socket, err := service.SocketPath(store)
	require.NoError(t, err)
	hidden := socket + ".hidden"
	require.NoError(t, os.Rename(socket, hidden))
	other := filepath.Join(b.dir, "other")
	require.NoError(t, os.Mkdir(other, 0o755))
	code, _, stderr := b.try("mount", "demo", other)
	require.NoError(t, os.Rename(hidden, socket))
	require.Equal(t, int(exitBusy), code, stderr)
	require.Contains(t, stderr, "in use")
	require.Contains(t, stderr, "hint: ")
	require.False(t, mounted(t, other))

	require.Equal(t, pid, b.pid())
	b.write("f", []byte("second"))
	b.umount()
	b.check()
	b.mount()
	got, err := os.ReadFile(b.path("f"))
	require.NoError(t, err)
	require.Equal(t, "second", string(got))
}
