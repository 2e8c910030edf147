package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
)

func (a *app) umountCommand() *cobra.Command {
	cmd := command("umount DIR", "Unmount, and return when everything is durable", cobra.ExactArgs(1), a.umount)
	cmd.Aliases = []string{"unmount"}
	cmd.Long = "umount returns when everything written is durable. After the last mount of a store its daemon has ended, too.\n" +
		"A mount in use stays, and the processes that use it are named. The mount of a dead daemon is cleared away."
	return cmd
}

func (a *app) umount(ctx context.Context, args []string) error {
	dir, err := realMountPoint(args[0])
	if errors.Is(err, os.ErrNotExist) {
		return &mountPointError{os.ErrNotExist, args[0] + " does not exist", "`kmsfs status` lists the mounts"}
	}
	if err != nil {
		return err
	}
	m, err := mountAt(dir)
	switch {
	case err != nil:
		return err
	case m == nil || m.FSType != fsType:
		return &mountPointError{service.NotMounted, args[0] + " is no mount of kmsfs", "`kmsfs status` lists the mounts"}
	}
	client, err := dial(storeOfSource(m.Source))
	if errors.Is(err, service.NoDaemon) {
		return a.umountDead(ctx, dir)
	}
	if err != nil {
		return err
	}
	process, err := client.Process()
	if err != nil {
		return err
	}
	answer, err := client.Umount(ctx, service.UmountRequest{Dir: dir})
	if err != nil {
		return err
	}
	if answer.Last {
		return process.Wait(ctx)
	}
	return nil
}

// umountDead clears the mount of a daemon that is gone.
func (a *app) umountDead(ctx context.Context, dir string) error {
	if err := clearStale(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "kmsfs: %s was the mount of a dead daemon; it is cleared\n", dir)
	return nil
}

// realMountPoint resolves symbolic links above a mount point, without asking the mount itself, which may be dead.
func realMountPoint(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err == nil {
		return real, nil
	}
	if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.EACCES) { // EACCES: another user's mount, asked by root
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(parent, "/") + "/" + filepath.Base(abs), nil
}
