package fusefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// device is an open /dev/fuse: the connection to the kernel of one mount. What is read from it is whole requests, what is
// written to it whole answers and messages. See fuse(4).
type device struct {
	fd  int
	dir string // absolute
}

// devicePlan is how to mount.
type devicePlan struct {
	dir, source string
	options     []string // as in /etc/fstab
	maxRead     int
}

// mountDevice mounts a file system at dir that answers once requests are read from the device. Root mounts by itself,
// others by fusermount3.
func mountDevice(p devicePlan) (*device, error) {
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, err
	}
	p.dir = dir
	p.options = append(p.options, fmt.Sprintf("max_read=%d", p.maxRead))
	if os.Geteuid() == 0 {
		fd, err := mountAsRoot(p)
		if err == nil || !hasFusermount() {
			return newDevice(fd, dir, err)
		}
	}
	fd, err := fusermount(p)
	return newDevice(fd, dir, err)
}

func newDevice(fd int, dir string, err error) (*device, error) {
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &device{fd: fd, dir: dir}, nil
}

// mountAsRoot is mount(2). Options that are flags there are not for the file system to see.
func mountAsRoot(p devicePlan) (fd int, err error) {
	var st unix.Stat_t
	if err := unix.Stat(p.dir, &st); err != nil {
		return -1, err
	}
	fd, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /dev/fuse: %w", err)
	}
	flags, data := mountFlags(p.options)
	data = append(data, fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d", fd, st.Mode&unix.S_IFMT, os.Geteuid(), os.Getegid()))
	if err := unix.Mount(p.source, p.dir, "fuse.kmsfs", flags, strings.Join(data, ",")); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("mount", err)
	}
	return fd, nil
}

// mountFlags splits options into mount(2)'s flags and the rest. As with fusermount, neither devices nor set-user-ID
// programs count unless asked for.
func mountFlags(options []string) (flags uintptr, rest []string) {
	flags = unix.MS_NOSUID | unix.MS_NODEV
	for _, o := range options {
		switch o {
		case "suid":
			flags &^= unix.MS_NOSUID
		case "dev":
			flags &^= unix.MS_NODEV
		case "noexec":
			flags |= unix.MS_NOEXEC
		default:
			rest = append(rest, o)
		}
	}
	return flags, rest
}

// errGone says that the file system is not mounted any more.
var errGone = errors.New("unmounted")

// read takes one request without waiting: ok is false when there is none. errGone at the end.
//
// It blocks nothing, so it goes without the scheduler's knowledge: telling it would cost more than the call.
func (d *device) read(buf []byte) (n int, ok bool, err error) {
	n, errno := rawRead(d.fd, buf)
	switch errno {
	case 0:
		return n, true, nil
	case unix.EAGAIN, unix.EINTR, unix.ENOENT: // ENOENT: the request was interrupted while it was being read
		return 0, false, nil
	case unix.ENODEV, unix.ECONNABORTED: // the latter after umount -f
		return 0, false, errGone
	}
	return 0, false, os.NewSyscallError("read /dev/fuse", errno)
}

// wait returns when there may be something to read.
func (d *device) wait() {
	p := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}
	_, _ = unix.Poll(p, -1)
}

// pending reports whether a request waits to be read.
func (d *device) pending() bool { return rawPending(d.fd) }

// answer sends an answer. That nobody waits for it any more is no error.
func (d *device) answer(buf []byte) error {
	switch errno := rawWrite(d.fd, buf); errno {
	case 0, unix.ENOENT, unix.ENODEV:
		return nil
	default:
		return os.NewSyscallError("write /dev/fuse", errno)
	}
}

// tell sends a message that the kernel has not asked for. It may wait for answers to other requests.
func (d *device) tell(buf []byte) error {
	for {
		_, err := unix.Write(d.fd, buf)
		if err != unix.EINTR {
			return err
		}
	}
}

func (d *device) close() error { return unix.Close(d.fd) }

// Busy mounts are tried again for a moment: the kernel tells of closed files a little later than close(2) returns.
const (
	unmountTries = 5
	unmountPause = 5 * time.Millisecond
)

func (d *device) unmount() (err error) {
	pause := unmountPause
	for range unmountTries {
		if err = unmountDir(d.dir); err == nil {
			return nil
		}
		time.Sleep(pause)
		pause = 2*pause + unmountPause
	}
	return err
}

func unmountDir(dir string) error {
	if os.Geteuid() == 0 {
		err := unix.Unmount(dir, 0)
		if err == nil || !hasFusermount() {
			return err
		}
	}
	return fusermountUnmount(dir)
}
