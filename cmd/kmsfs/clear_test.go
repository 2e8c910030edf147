package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The markers that a search looks for. Each begins with letters that random bytes do not show: six of them at one place
// are found by chance once in 2^48 bytes.
const (
	markContent = "QXJVZKcontent"
	markName    = "WPYZQHname"
	markTarget  = "KVQXJWtarget"
	markValue   = "ZHQXWKvalue"
	markContext = "JQZXVYcontext"
)

func markers() []string { return []string{markContent, markName, markTarget, markValue, markContext} }

// disguises are the forms in which text might lie on a disk by accident.
func disguises(marker string) map[string][]byte {
	m := map[string][]byte{
		"plain": []byte(marker),
		"hex":   []byte(hex.EncodeToString([]byte(marker))),
		"HEX":   []byte(strings.ToUpper(hex.EncodeToString([]byte(marker)))),
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune(marker)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	m["UTF-16"] = wide[:len(wide)-1] // meets both byte orders
	for shift := range 3 {
		padded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + marker))
		padded = strings.TrimRight(padded, "=")
		from, to := (shift*8+5)/6, len(padded)-1 // the characters that do not depend on the neighbours
		m[fmt.Sprintf("base64+%d", shift)] = []byte(padded[from:to])
	}
	return m
}

// search answers what is found of the markers in all files below dir, by name and by content.
func search(t *testing.T, dir string, skip ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		for _, s := range skip {
			if path == s {
				return filepath.SkipDir
			}
		}
		raw := []byte(path)
		if d.Type().IsRegular() {
			files++
			if raw, err = os.ReadFile(path); err != nil {
				return err
			}
			raw = append(append(raw, 0), path...)
		}
		for _, marker := range markers() {
			for form, b := range disguises(marker) {
				if bytes.Contains(raw, b) {
					rel, _ := filepath.Rel(dir, path)
					found[fmt.Sprintf("%s as %s in %s", marker, form, rel)] = true
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.NotZero(t, files, "nothing was searched")
	return found
}

// The search itself must find what it is meant to find.
func TestSearchFindsMarkers(t *testing.T) {
	for _, marker := range markers() {
		for form, b := range disguises(marker) {
			require.GreaterOrEqual(t, len(b), 6, form)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), append([]byte("...."), b...), 0o600))
			require.Contains(t, search(t, dir), marker+" as "+form+" in f")
		}
	}
	for shift := range 3 {
		dir := t.TempDir()
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("-", shift) + markName + "-----"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte(text), 0o600))
		require.NotEmpty(t, search(t, dir), text)
	}
}

// fillWithMarkers leaves nothing out that a program can hand to a file system.
func fillWithMarkers(t *testing.T, b *bench) {
	t.Helper()
	b.run("key", "create", "--alias", "alias/marked")
	dir := markName + "-dir"
	require.NoError(t, os.Mkdir(b.path(dir), 0o755))
	b.setxattr(dir, "user.sse-kms-key-id", "alias/marked")
	b.setxattr(dir, "user.encryption-context", `{"`+markContext+`":"`+markContext+`"}`)
	b.setxattr(dir, "user.note", markValue)
	for i, n := range []int{1, 10, 300, 5000, 200_000} { // 13 bytes to 2.6 MB
		for _, where := range []string{"", dir + "/"} {
			name := fmt.Sprintf("%s%s-%d", where, markName, i)
			b.write(name, bytes.Repeat([]byte(markContent), n))
			b.write(name, bytes.Repeat([]byte(markContent), n+1)) // an old version
			b.setxattr(name, "user.note", strings.Repeat(markValue, 20))
		}
	}
	require.NoError(t, os.Symlink("/"+markTarget, b.path(markName+"-link")))
	require.NoError(t, os.Symlink(markTarget, b.path(dir, "link")))
	require.NoError(t, os.Link(b.path(markName+"-2"), b.path(markName+"-hard")))
	require.NoError(t, unix.Mkfifo(b.path(markName+"-fifo"), 0o600))
	require.NoError(t, os.Rename(b.path(markName+"-3"), b.path(markName+"-renamed")))
	require.NoError(t, os.Rename(b.path(dir), b.path(markName+"-moved")))
	require.NoError(t, os.Remove(b.path(markName+"-1")))
	b.run("reencrypt", "-r", b.path(markName+"-moved"))
	b.run("rewrap", b.path(markName+"-2"))
}

// unclosed writes and fsyncs a file and leaves it open.
func unclosed(t *testing.T, b *bench) *os.File {
	t.Helper()
	f, err := os.Create(b.path(markName + "-open"))
	require.NoError(t, err)
	_, err = f.Write(bytes.Repeat([]byte(markContent), 20_000))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	_, err = f.Write(bytes.Repeat([]byte(markContent), 20_000))
	require.NoError(t, err)
	return f
}

// requireNothingInClear searches everything: only the audit records may name objects, and the context under which a key
// was used.
func requireNothingInClear(t *testing.T, b *bench) {
	t.Helper()
	audit := b.store + ".audit"
	require.Empty(t, search(t, b.dir, audit, b.mnt))
	var named bool
	for what := range search(t, audit) {
		require.True(t, strings.HasPrefix(what, markName+" as ") || strings.HasPrefix(what, markContext+" as "), "%s", what)
		named = named || strings.HasPrefix(what, markName+" as plain")
	}
	require.True(t, named, "the audit records do not name objects")
}

func TestNothingInClear(t *testing.T) {
	b := newBench(t)
	b.mount()
	fillWithMarkers(t, b)
	b.umount()
	requireNothingInClear(t, b)

	b.mount()
	pid := b.pid()
	f := unclosed(t, b)
	b.write(markName+"-last", bytes.Repeat([]byte(markContent), 3))
	b.kill(pid)
	_ = f.Close()
	requireNothingInClear(t, b)

	b.mount() // what was recovered and moved about meanwhile
	got, err := os.ReadFile(b.path(markName + "-open"))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(got, bytes.Repeat([]byte(markContent), 20_000)))
	b.run("gc")
	b.check()
	b.umount()
	requireNothingInClear(t, b)
}

// The root key lies beside the store, for its owner only; no file of the store holds it.
func TestRootKeyIsNotInTheStore(t *testing.T) {
	b := newBench(t)
	b.mount()
	fillWithMarkers(t, b)
	b.umount()
	st, err := os.Stat(b.store + ".key")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	key, err := os.ReadFile(b.store + ".key")
	require.NoError(t, err)
	require.NotEmpty(t, key)
	files := 0
	require.NoError(t, filepath.WalkDir(b.store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		require.False(t, bytes.Contains(raw, key[:16]), path)
		return err
	}))
	require.NotZero(t, files)
	for _, other := range []string{b.store, b.store + ".audit", b.store + ".log"} {
		st, err := os.Stat(other)
		require.NoError(t, err)
		require.Zero(t, st.Mode().Perm()&0o077, "%s is open to others: %v", other, st.Mode())
	}
}

// otherGroup is a group that owns no file here: what /proc shows under it belongs to a process that may dump.
const otherGroup = 54321

// A process whose memory others may look into owns its files in /proc; the daemon does not.
func TestDaemonMemoryIsNotReadable(t *testing.T) {
	needRoot(t)
	owner := func(pid int) uint32 {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(fmt.Sprintf("/proc/%d/mem", pid), &st))
		return st.Gid
	}
	b := newBench(t)
	cmd := b.command("mount", "demo", b.mnt)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Gid: otherGroup}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	pid := b.pid()
	require.Zero(t, owner(pid), "the daemon can be dumped")
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^Max core file size +0 +0 `, string(limits))
	b.umount()

	control := b.command()
	control.Path, control.Args = "/bin/sleep", []string{"sleep", "60"}
	control.SysProcAttr = cmd.SysProcAttr
	require.NoError(t, control.Start())
	defer func() { _, _ = control.Process.Kill(), control.Wait() }()
	require.EqualValues(t, otherGroup, owner(control.Process.Pid), "this kernel does not show it")
}

// A signal that makes other programs dump core, also with the limits and the environment that ask for it, makes none here.
func TestNoCoreDump(t *testing.T) {
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	require.NotZero(t, limit.Max, "core dumps are forbidden here, so that this test shows nothing: ulimit -Hc unlimited")
	b := newBench(t)
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGSEGV} {
		cmd := b.command("mount", "-f", "demo", b.mnt)
		cmd.Dir = b.dir
		cmd.Env = append(cmd.Env, "GOTRACEBACK=crash")
		start := withCores(t, cmd.Start)
		require.NoError(t, start)
		require.Eventually(t, func() bool { code, _, _ := b.try("status", "--brief"); return code == 0 && mounted(t, b.mnt) }, testPatience, pollEvery)
		b.write("f", bytes.Repeat([]byte(markContent), 1000))
		require.NoError(t, cmd.Process.Signal(sig))
		require.Error(t, cmd.Wait())
		require.False(t, cmd.ProcessState.Sys().(syscall.WaitStatus).CoreDump(), "%v left a core", sig)
		_ = unix.Unmount(b.mnt, unix.MNT_DETACH)
	}
	requireNoCoreFiles(t, b.dir)

	control := b.command()
	control.Path, control.Args, control.Dir = "/bin/sleep", []string{"sleep", "60"}, t.TempDir()
	require.NoError(t, withCores(t, control.Start))
	require.NoError(t, control.Process.Signal(syscall.SIGQUIT))
	require.Error(t, control.Wait())
	require.True(t, control.ProcessState.Sys().(syscall.WaitStatus).CoreDump(), "this machine dumps no cores, so that this test shows nothing")
}

// withCores runs start with the limit on core files lifted as far as it goes.
func withCores(t *testing.T, start func() error) error {
	t.Helper()
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: old.Max, Max: old.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_CORE, &old)) }()
	return start()
}

func requireNoCoreFiles(t *testing.T, dir string) {
	t.Helper()
	cores, err := filepath.Glob(filepath.Join(dir, "core*"))
	require.NoError(t, err)
	require.Empty(t, cores)
}
