package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
)

// scriptDir holds scripts of commands in the format of testscript.
const scriptDir = "../../testdata/scripts"

// TestMain lets scripts run this very program as kmsfs, and what else scriptPrograms has.
func TestMain(m *testing.M) {
	testscript.Main(m, scriptPrograms())
}

// TestScripts runs every script. Each has its own store ($KMSFS_STORE), an empty directory $WORK/mnt, and its daemons
// are ended after it. $REPO is this repository, $GOCACHE the cache of who runs the test. Beside testscript's commands
// there is
//
//	exits CODE PROGRAM ARG...    runs a program, whose exit code must be CODE
//	eventually PROGRAM ARG...    runs a program until it succeeds, for 10 s at most
//
// and the conditions [fuse] and [root].
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob(scriptDir + "/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, scripts, "no script in %s", scriptDir)
	testscript.Run(t, testscript.Params{
		Dir:                 scriptDir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Condition:           scriptCondition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"eventually": eventually,
		},
	})
}

func setupScript(env *testscript.Env) error {
	store := filepath.Join(env.WorkDir, "store")
	config := filepath.Join(env.WorkDir, ".config.toml")
	env.Setenv("KMSFS_STORE", store)
	env.Setenv("KMSFS_CONFIG", config)
	env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
	env.Defer(func() { endDaemons(env.WorkDir) })
	repo, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env GOCACHE: %w", err)
	}
	env.Setenv("REPO", repo)
	env.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
	return errors.Join(os.WriteFile(config, nil, 0o600), os.MkdirAll(filepath.Join(env.WorkDir, "mnt"), 0o755))
}

// endDaemons ends the daemon of the store in dir and those of all mounts below dir, so that nothing is left of a script
// that failed.
func endDaemons(dir string) {
	if client, err := dial(resolveExisting(filepath.Join(dir, "store"))); err == nil {
		if st, err := client.Status(context.Background(), service.StatusRequest{}); err == nil && len(st.Mounts) == 0 {
			endDaemon(st.PID)
		}
	}
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != fsType || !strings.HasPrefix(m.Mountpoint, dir+"/"), false
	})
	if err != nil {
		return
	}
	for _, m := range infos {
		if pid := ownerOf(context.Background(), m); pid != 0 {
			endDaemon(pid)
		}
		_ = unix.Unmount(m.Mountpoint, unix.MNT_DETACH)
	}
}

// endDaemon asks a daemon to end, and makes it.
func endDaemon(pid int) {
	_ = syscall.Kill(pid, syscall.SIGTERM)
	for range 100 {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func scriptCondition(cond string) (bool, error) {
	switch cond {
	case "fuse":
		err := checkFUSE()
		if err != nil && os.Getenv("KMSFS_TEST_NO_SKIP") != "" {
			return false, err
		}
		return err == nil, nil
	case "root":
		return os.Geteuid() == 0, nil
	}
	return false, errors.New("unknown condition " + cond)
}

// exits runs a program and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// eventually waits for something that happens in the background.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually PROGRAM ARG...")
	}
	var err error
	for range 100 {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s: %v after 10 s", strings.Join(args, " "), err)
}

func TestStatusHasWhatScriptsNeed(t *testing.T) {
	b, err := json.Marshal(service.Status{Mounts: []service.Mount{}})
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(b, &fields))
	for _, name := range []string{"pid", "store", "mounts", "kms_calls", "objects", "bytes"} {
		require.Contains(t, fields, name)
	}
}
