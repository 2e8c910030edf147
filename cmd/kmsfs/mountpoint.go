package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
)

// fsType is what the kernel calls our mounts.
const fsType = "fuse.kmsfs"

// mountPointError is a directory that cannot be a mount point, with what to do about it.
type mountPointError struct {
	code    error // a code of package service, or os.ErrNotExist
	message string
	advice  string
}

func (e *mountPointError) Error() string { return e.message }
func (e *mountPointError) Unwrap() error { return e.code }

// mountPoint checks a directory and answers its real path. The mount of a dead daemon is cleared away.
func mountPoint(ctx context.Context, dir string, nonEmpty bool) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if isDead(abs) {
		if err := clearStale(ctx, abs); err != nil {
			return "", err
		}
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", statError(dir, err)
	}
	if st, err := os.Stat(real); err != nil {
		return "", statError(dir, err)
	} else if !st.IsDir() {
		return "", &mountPointError{service.BadMount, dir + " is a file", "name a directory"}
	}
	if m, err := mountAt(real); err != nil {
		return "", err
	} else if m != nil && strings.HasPrefix(m.FSType, "fuse") {
		return "", &mountPointError{service.Busy, fmt.Sprintf("%s has a mount already (%s of %s)", dir, m.FSType, m.Source),
			"unmount it first (kmsfs umount " + dir + "), or choose another directory"}
	}
	return real, emptyEnough(dir, real, nonEmpty)
}

// isDead reports whether dir is a mount whose daemon is gone, or dies while it is asked. stat(2) would answer from the
// kernel's cache.
func isDead(dir string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
}

func statError(dir string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &mountPointError{os.ErrNotExist, dir + " does not exist", "make it: mkdir -p " + dir}
	case errors.Is(err, os.ErrPermission):
		return &mountPointError{service.NotPermitted, dir + " cannot be reached: permission denied", "choose a directory of your own"}
	}
	return err
}

func emptyEnough(dir, real string, nonEmpty bool) error {
	if nonEmpty {
		return nil
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return statError(dir, err)
	}
	if len(entries) > 0 {
		return &mountPointError{service.BadMount, fmt.Sprintf("%s is not empty (it has %s)", dir, entries[0].Name()),
			"choose an empty directory, or hide what is there with -o nonempty"}
	}
	return nil
}

// mountAt is the topmost mount at a directory; nil when there is none.
func mountAt(dir string) (*mountinfo.Info, error) {
	infos, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil || len(infos) == 0 {
		return nil, err
	}
	return infos[len(infos)-1], nil
}

// clearStale takes away the mount that a dead daemon of this program left.
func clearStale(ctx context.Context, dir string) error {
	m, err := mountAt(dir)
	if err != nil {
		return err
	}
	if m == nil || m.FSType != fsType {
		return &mountPointError{service.Stale, dir + " is the mount of a dead program that is not kmsfs",
			"clear it: umount -l " + dir + " (or fusermount3 -uz " + dir + ")"}
	}
	if pid := ownerOf(ctx, m); pid != 0 {
		return &mountPointError{service.Stale, fmt.Sprintf("%s does not answer, but the daemon (pid %d) still has it", dir, pid),
			fmt.Sprintf("end the daemon (kill %d) and run the command again", pid)}
	}
	if err := detach(dir); err != nil {
		return &mountPointError{service.Stale, fmt.Sprintf("%s is the mount of a dead daemon and cannot be cleared: %v", dir, err),
			"clear it as root: umount -l " + dir}
	}
	return nil
}

// ownerOf is the pid of the living daemon that serves a mount; 0 when there is none.
func ownerOf(ctx context.Context, m *mountinfo.Info) int {
	client, err := dial(storeOfSource(m.Source))
	if err != nil {
		return 0
	}
	st, err := client.Status(ctx, service.StatusRequest{})
	if err != nil {
		return 0
	}
	for _, s := range st.Mounts {
		if s.Dir == m.Mountpoint {
			return st.PID
		}
	}
	return 0
}

// detach takes a mount away at once, also one that is in use or that nobody serves.
func detach(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); !errors.Is(err, unix.EPERM) {
		return err
	}
	helper, err := fusermount()
	if err != nil {
		return err
	}
	if out, err := exec.Command(helper, "-u", "-z", "--", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// fusermount is the program through which users who are not root mount.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &service.Error{Code: service.NoFUSE, Message: "neither fusermount3 nor fusermount is installed, and only root mounts without"}
}

// checkFUSE says before anything is made why a mount is impossible.
func checkFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &service.Error{Code: service.NoFUSE, Message: "FUSE is not available", Err: err}
	}
	defer f.Close()
	if os.Geteuid() != 0 {
		_, err = fusermount()
	}
	return err
}

// checkAllowOther knows that fusermount asks the administrator first.
func checkAllowOther(o service.MountOptions) error {
	if !o.AllowOther || os.Geteuid() == 0 {
		return nil
	}
	const file = "/etc/fuse.conf"
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil // fusermount may read more than this user
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return nil
		}
	}
	return &mountPointError{service.NotPermitted, "allow_other is for root only, unless " + file + " says user_allow_other",
		"mount without allow_other, or as root: echo user_allow_other >> " + file}
}

// The source of a mount, as df shows it, is STORE for all buckets and STORE:BUCKET for one.

func mountSource(store, bucket string) string {
	if bucket == "" {
		return store
	}
	return store + ":" + bucket
}

// storeOfSource inverts mountSource: a bucket's name has no colon.
func storeOfSource(source string) string {
	if _, err := os.Stat(source); err == nil {
		return source
	}
	if i := strings.LastIndexByte(source, ':'); i > 0 {
		return source[:i]
	}
	return source
}
