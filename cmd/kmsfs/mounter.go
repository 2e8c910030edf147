package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/fs"
	"kmsfs/fs/fusefs"
	"kmsfs/kms"
	"kmsfs/objstore"
)

// mounter makes mounts of the store's files.
func mounter(store string, files *fs.FS, log *slog.Logger) service.Mounter {
	return func(ctx context.Context, r service.MountRequest) (service.Mounted, error) {
		o := r.Options
		m, err := fusefs.New(context.WithoutCancel(ctx), files, fusefs.Options{
			Dir: r.Dir, Bucket: r.Bucket, FSName: mountSource(store, r.Bucket), Logger: log, Caller: mountCaller,
			ReadOnly: o.ReadOnly, AllowOther: o.AllowOther, Suid: o.Suid, Dev: o.Dev, NoExec: o.NoExec,
			NoPermissions: os.Geteuid() == 0 && !o.AllowOther && !o.Permissions,
			UID:           o.UID, GID: o.GID, Umask: o.Umask, ReencryptOnSet: o.ReencryptOnSet,
		})
		if err != nil {
			return nil, mountFailure(err)
		}
		return &fuseMount{m, connectionOf(r.Dir), log}, nil
	}
}

// mountFailure keeps the store's codes; fusermount's words come with line breaks.
func mountFailure(err error) error {
	var code objstore.Code
	if errors.As(err, &code) {
		return err
	}
	return &service.Error{Code: service.BadMount, Message: strings.ReplaceAll(err.Error(), "\n", "")}
}

// mountCaller is a process that uses a mount, as the key service sees it.
func mountCaller(uid, pid uint32) context.Context {
	c := service.Caller(uid, int(pid))
	c.Via = "mount"
	return kms.WithCaller(context.Background(), c)
}

// fuseMount is a mount as the service wants it.
type fuseMount struct {
	mount      *fusefs.Mount
	connection uint32 // its number in /sys/fs/fuse/connections
	log        *slog.Logger
}

// busyPatience is how long a mount may be busy until it counts: the kernel gives files back a moment after close(2).
const busyPatience = 500 * time.Millisecond

// Unmount answers Busy while someone uses the mount.
func (m *fuseMount) Unmount() error {
	for deadline := time.Now().Add(busyPatience); ; {
		err := m.mount.Unmount()
		switch {
		case err == nil || m.gone():
			return nil
		case !isBusy(err):
			return fmt.Errorf("unmount %s: %w", m.mount.Dir(), err)
		case time.Now().After(deadline):
			return &service.Error{Code: service.Busy, Message: m.mount.Dir() + " is in use", Err: err}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// gone reports whether someone else unmounted meanwhile.
func (m *fuseMount) gone() bool {
	select {
	case <-m.mount.Done():
		return true
	default:
		return false
	}
}

// isBusy knows EBUSY, and what fusermount says when it met that.
func isBusy(err error) bool {
	return errors.Is(err, unix.EBUSY) || strings.Contains(err.Error(), "resource busy")
}

// Detach takes the mount out of the tree of directories at once.
func (m *fuseMount) Detach() error { return detach(m.mount.Dir()) }

// Abort uses the control file system of FUSE. Where systemd has not mounted it, as in a container, root does.
func (m *fuseMount) Abort() error {
	err := m.abortAt("/sys/fs/fuse/connections")
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir, err := os.MkdirTemp("", "kmsfs-fusectl-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("fusectl", dir, "fusectl", 0, ""); err != nil {
		return fmt.Errorf("mount the control file system of FUSE: %w", err)
	}
	return errors.Join(m.abortAt(dir), unix.Unmount(dir, unix.MNT_DETACH))
}

func (m *fuseMount) abortAt(control string) error {
	return os.WriteFile(fmt.Sprintf("%s/%d/abort", control, m.connection), []byte("1"), 0)
}

// connectionOf is the minor number of the device that a mount is: the kernel names connections by it.
func connectionOf(dir string) uint32 {
	m, err := mountAt(dir)
	if err != nil || m == nil {
		return 0
	}
	return uint32(m.Minor)
}

// Wait returns when nothing is served any more.
func (m *fuseMount) Wait() {
	if err := m.mount.Wait(); err != nil {
		m.log.Error("the mount ended with an error", "dir", m.mount.Dir(), "err", err)
	}
}
