package fusefs_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/fs/fusefs"
)

// requests collects the names of the requests that a mount with Debug logs.
type requests struct{ names chan string }

func newRequests() *requests { return &requests{make(chan string, 10000)} }

func (r *requests) logger() *slog.Logger {
	in, out := io.Pipe()
	go func() {
		line := regexp.MustCompile(`rx \d+: ([A-Z_0-9]+) n(\d+)`)
		const pollHack = "18446744073709551615" // a file that go-fuse opens at the start, and whose RELEASE comes at any time
		for s := bufio.NewScanner(in); s.Scan(); {
			if m := line.FindStringSubmatch(s.Text()); m != nil && m[2] != pollHack {
				r.names <- m[1]
			}
		}
	}()
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// until returns the requests up to one of the name last.
func (r *requests) until(t *testing.T, last string) string {
	t.Helper()
	var got []string
	for {
		select {
		case name := <-r.names:
			if got = append(got, name); name == last {
				return strings.Join(got, " ")
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no %s after %v", last, got)
		}
	}
}

// TestRequestsPerOperation: a round trip costs more than most operations do, so none may come unnoticed. The kernel asks
// for the attributes of a directory that changed, unless there are no permissions to check, and for the capability of
// each file before it is truncated or written to, as long as it has not been told that there is none.
func TestRequestsPerOperation(t *testing.T) {
	for _, checked := range []bool{true, false} {
		r := newRequests()
		m := mount(t, func(o *fusefs.Options) { o.Debug, o.Logger, o.NoPermissions = true, r.logger(), !checked })
		dir := ""
		if checked {
			dir = "GETATTR "
		}
		require.NoError(t, os.Mkdir(m.path("d"), 0o755))
		r.until(t, "MKDIR")
		m.requestsOfAFile(t, r, dir)
	}
}

func (m *mounted) requestsOfAFile(t *testing.T, r *requests, dir string) {
	data := bytes.Repeat([]byte("x"), 4096)
	overwrite := func() { require.NoError(t, os.WriteFile(m.path("d/f"), data, 0o644)) }
	read := func() {
		_, err := os.ReadFile(m.path("d/f"))
		require.NoError(t, err)
	}
	for _, c := range []struct {
		do         func()
		what, want string
	}{
		{overwrite, "create", dir + "LOOKUP CREATE GETXATTR WRITE FLUSH RELEASE"},
		{read, "first read", dir + "OPEN GETATTR RELEASE"},
		{read, "read of kept pages", "OPEN RELEASE"},
		{overwrite, "overwrite", "OPEN GETXATTR GETXATTR WRITE FLUSH RELEASE"},
	} {
		c.do()
		require.Equal(t, c.want, r.until(t, "RELEASE"), c.what)
	}
	for range 3 {
		_, err := os.Lstat(m.path("d/f"))
		require.NoError(t, err)
		require.NoFileExists(t, m.path("d/none"))
	}
	require.NoError(t, os.Remove(m.path("d/f")))
	require.Equal(t, "GETATTR LOOKUP UNLINK", r.until(t, "UNLINK"), "attributes and missing names are kept")
}
