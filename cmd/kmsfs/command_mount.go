package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
)

// mountPatience is how long a mount may take until it answers, or an ending daemon to be gone.
const mountPatience = 30 * time.Second

func (a *app) mountCommand() *cobra.Command {
	cmd := command("mount [BUCKET] DIR", "Mount a bucket, or all of them as directories", cobra.RangeArgs(1, 2), a.mount)
	cmd.Long = "mount answers when the mount can be used. It makes the store, its root key and the bucket on first use.\n" +
		"The daemon that serves the mount logs to STORE.log and ends with its last mount.\n\n" +
		"Options after -o, separated by commas:\n" +
		"  ro                    read-only\n" +
		"  allow_other           other users may enter; off unless asked for, also for root\n" +
		"  default_permissions   check permissions also on a mount that only root may enter: for root without its capabilities\n" +
		"  uid=N, gid=N          show this owner or group for everything\n" +
		"  umask=OCTAL           take these permission bits away\n" +
		"  nonempty              mount over a directory that is not empty\n" +
		"  reencrypt=on-set      setting an encryption attribute makes a new version a second later\n" +
		"  suid, dev, noexec     as mount(8) has them; set-user-ID programs and devices are off unless asked for\n" +
		"Further options of mount(8), such as noatime, nofail or _netdev, are accepted and change nothing."
	a.flag(cmd, "mount.foreground", "f", "stay in the foreground, log to standard error")
	a.flag(cmd, "mount.kms", "", "address of a KMS door, open as long as the daemon runs: see `kmsfs serve --help`")
	a.flag(cmd, "mount.s3", "", "address of an S3 door, likewise")
	a.flag(cmd, "mount.options", "o", "mount options, separated by commas")
	return cmd
}

func (a *app) mount(ctx context.Context, args []string) error {
	options, err := parseMountOptions(a.cfg.Mount.Options)
	if err != nil {
		return &usageError{err}
	}
	store, err := a.cfg.StorePath()
	if err != nil {
		return err
	}
	r := service.MountRequest{Dir: args[len(args)-1], Options: options, New: a.cfg.newBucket("")}
	if len(args) == 2 {
		r.Bucket = args[0]
	}
	if ready := readyPipe(); ready != nil {
		return a.mountChild(ctx, store, r, ready)
	}
	if r.Dir, err = mountPoint(ctx, r.Dir, options.NonEmpty); err != nil {
		return err
	}
	if inside(r.Dir, store) || inside(store, r.Dir) {
		return &mountPointError{service.BadMount, fmt.Sprintf("%s and the store %s lie in one another", r.Dir, store),
			"choose a directory outside the store"}
	}
	if err := errors.Join(checkFUSE(), checkAllowOther(options)); err != nil {
		return err
	}
	return a.mountAnyhow(ctx, store, r)
}

// mountAnyhow asks the store's daemon, or becomes it, or starts it.
func (a *app) mountAnyhow(ctx context.Context, store string, r service.MountRequest) error {
	ctx = kms.WithCaller(ctx, service.Caller(uint32(os.Getuid()), os.Getpid()))
	return patiently(ctx, func() error { return a.mountOnce(ctx, store, r) })
}

// mountChild is the daemon in the background, which does not stay in the working directory.
func (a *app) mountChild(ctx context.Context, store string, r service.MountRequest, ready *os.File) error {
	dir, err := filepath.EvalSymlinks(r.Dir)
	if err == nil {
		r.Dir, err = filepath.Abs(dir)
	}
	start := a.mountStarter(r)
	if err != nil {
		start = func(context.Context, *service.Service) error { return err }
	}
	return a.daemonChild(ctx, store, start, ready)
}

// mountStarter opens the doors before the mount: when that cannot be, nothing has happened.
func (a *app) mountStarter(r service.MountRequest) starter {
	return func(ctx context.Context, s *service.Service) error {
		if err := a.openDoors(ctx, s); err != nil {
			return err
		}
		_, err := s.Mount(ctx, r)
		return err
	}
}

// openDoors opens the doors that the mount was asked for. They last as long as the daemon.
func (a *app) openDoors(ctx context.Context, s service.API) error {
	r := service.ServeRequest{KMS: a.cfg.Mount.KMS, S3: a.cfg.Mount.S3}
	if !r.Any() {
		return nil
	}
	_, err := s.Serve(ctx, r)
	return err
}

// patiently goes on while a daemon starts or ends meanwhile.
func patiently(ctx context.Context, do func() error) error {
	for deadline := time.Now().Add(mountPatience); ; {
		err := do()
		again := errors.Is(err, service.Closing) || errors.Is(err, service.Busy) || errors.Is(err, service.NoDaemon)
		if err == nil || !again || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func (a *app) mountOnce(ctx context.Context, store string, r service.MountRequest) error {
	client, err := dial(store)
	switch {
	case err == nil:
		if err := a.openDoors(ctx, client); err != nil {
			return err
		}
		if _, err := client.Mount(ctx, r); err != nil {
			return err
		}
	case !errors.Is(err, service.NoDaemon):
		return err
	case a.cfg.Mount.Foreground:
		return a.runDaemon(ctx, store, a.mountStarter(r), a.daemonLog(), func(*service.Service) { a.announce(store, r, os.Getpid()) })
	default:
		if client, err = a.spawn(ctx, store); err != nil {
			return err
		}
	}
	if err := answers(ctx, r.Dir); err != nil {
		return err
	}
	st, err := client.Status(ctx, service.StatusRequest{})
	if err != nil {
		return err
	}
	a.announce(store, r, st.PID)
	if a.cfg.Mount.Foreground {
		return stayWhileMounted(ctx, client, r.Dir)
	}
	return nil
}

// announce prints the one line of a mount that worked.
func (a *app) announce(store string, r service.MountRequest, pid int) {
	what := "bucket " + r.Bucket
	if r.Bucket == "" {
		what = "all buckets"
	}
	_ = a.print(map[string]any{"dir": r.Dir, "bucket": r.Bucket, "store": store, "pid": pid},
		func(w io.Writer) { fmt.Fprintf(w, "%s of %s mounted on %s (pid %d)\n", what, store, r.Dir, pid) })
}

// answers returns when a file system of ours answers statfs(2) at dir.
func answers(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, mountPatience)
	defer cancel()
	const fuseMagic = 0x65735546
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil && st.Type == fuseMagic {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("the mount on %s does not answer: %w", dir, err)
		}
	}
}

// stayWhileMounted keeps `mount -f` in the foreground when another process is the daemon.
func stayWhileMounted(ctx context.Context, client *service.Client, dir string) error {
	for {
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			_, err := client.Umount(context.WithoutCancel(ctx), service.UmountRequest{Dir: dir})
			return err
		}
		st, err := client.Status(ctx, service.StatusRequest{})
		if err != nil || !hasMount(st, dir) {
			return nil
		}
	}
}

func hasMount(st service.Status, dir string) bool {
	for _, m := range st.Mounts {
		if m.Dir == dir {
			return true
		}
	}
	return false
}
