package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
)

// bench is one store, with one mount point, served by the real program.
type bench struct {
	t testing.TB
	// dir holds everything of the bench: the store, what lies beside it, and the mount point.
	dir, store, mnt string
	under           []string // a program, with arguments, that runs ours
}

// newBench makes a bench with nothing in it. The daemons of its mounts end with the test.
func newBench(t testing.TB) *bench {
	t.Helper()
	return benchIn(t, t.TempDir())
}

// benchIn is newBench with everything in dir.
func benchIn(t testing.TB, dir string) *bench {
	t.Helper()
	needFUSE(t)
	b := &bench{t: t, dir: dir, store: filepath.Join(dir, "store"), mnt: filepath.Join(dir, "mnt")}
	require.NoError(t, os.MkdirAll(b.mnt, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), nil, 0o600))
	t.Cleanup(func() {
		endDaemons(dir)
		if log, err := os.ReadFile(b.store + ".log"); t.Failed() && err == nil {
			t.Logf("the end of the daemon's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return b
}

// needFUSE skips a test where nothing can be mounted, unless skipping is forbidden.
func needFUSE(t testing.TB) {
	t.Helper()
	if err := checkFUSE(); err != nil {
		if os.Getenv("KMSFS_TEST_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// needRoot is needFUSE for what only root can do.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("KMSFS_TEST_NO_SKIP") != "" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

// command is the program with arguments, on the bench's store.
func (b *bench) command(args ...string) *exec.Cmd {
	args = slices.Concat(b.under, []string{"kmsfs"}, args) // TestMain put this very program into PATH under that name
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "KMSFS_STORE="+b.store, "KMSFS_CONFIG="+filepath.Join(b.dir, "config.toml"),
		"XDG_RUNTIME_DIR="+b.dir)
	return cmd
}

// try runs the program and answers its exit code and what it printed.
func (b *bench) try(args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	cmd := b.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(b.t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// run is try for what has to succeed.
func (b *bench) run(args ...string) string {
	b.t.Helper()
	code, stdout, stderr := b.try(args...)
	require.Zero(b.t, code, "kmsfs %s: %s", strings.Join(args, " "), stderr)
	return stdout
}

// mount mounts the bucket "demo".
func (b *bench) mount(args ...string) {
	b.t.Helper()
	b.run(append([]string{"mount", "demo", b.mnt}, args...)...)
}

func (b *bench) umount() {
	b.t.Helper()
	b.run("umount", b.mnt)
}

// pid is the process that serves the store.
func (b *bench) pid() int {
	b.t.Helper()
	var st service.Status
	require.NoError(b.t, json.Unmarshal([]byte(b.run("--json", "status", "--brief")), &st))
	require.NotZero(b.t, st.PID, "no daemon runs")
	return st.PID
}

// kill ends the daemon pid without notice.
func (b *bench) kill(pid int) {
	b.t.Helper()
	require.NoError(b.t, syscall.Kill(pid, syscall.SIGKILL))
	b.gone(pid)
}

// gone waits until a daemon has ended. It is nobody's child here, so a zombie counts as ended.
func (b *bench) gone(pid int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	}, 10*time.Second, 2*time.Millisecond)
}

// check requires that the store is whole.
func (b *bench) check() service.CheckAnswer {
	b.t.Helper()
	code, a := b.damage()
	require.Zero(b.t, code, "%+v", a.Damage)
	require.Zero(b.t, a.Damaged, "%+v", a.Damage)
	return a
}

// damage checks the store and answers the exit code with the report.
func (b *bench) damage() (int, service.CheckAnswer) {
	b.t.Helper()
	code, stdout, stderr := b.try("--json", "check")
	var a service.CheckAnswer
	require.NoError(b.t, json.Unmarshal([]byte(stdout), &a), "exit code %d: %s", code, stderr)
	return code, a
}

// path is a path on the mount.
func (b *bench) path(names ...string) string {
	return filepath.Join(append([]string{b.mnt}, names...)...)
}

// write makes a file on the mount; close(2) included.
func (b *bench) write(name string, data []byte) {
	b.t.Helper()
	require.NoError(b.t, os.WriteFile(b.path(name), data, 0o644))
}

func (b *bench) setxattr(name, attr, value string) {
	b.t.Helper()
	require.NoError(b.t, unix.Setxattr(b.path(name), attr, []byte(value), 0), "%s %s=%s", name, attr, value)
}

// allocated is what du(1) says of a directory, in bytes. Files that vanish meanwhile count nothing.
func allocated(t testing.TB, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		sum += st.Blocks * 512
		return err
	})
	require.NoError(t, err)
	return sum
}

// scaled is the number in an environment variable, for the full-size runs by hand, or the default of `make test`.
func scaled(t testing.TB, variable string, normal int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return normal
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n
}

const (
	testPatience = 20 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// mounted reports whether one of our file systems is mounted at dir.
func mounted(t testing.TB, dir string) bool {
	t.Helper()
	m, err := mountAt(dir)
	require.NoError(t, err)
	return m != nil && m.FSType == fsType
}
