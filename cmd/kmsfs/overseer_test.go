package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// overseer decides about the system calls of a program and of all that it starts: the seam below every line of ours and
// of the libraries.
type overseer struct {
	t        testing.TB
	listener int
	root     string // calls that concern no file below it are let through

	mu     sync.Mutex
	decide func(syscallOf) verdict // GUARDED_BY(mu): nil lets everything through
}

// syscallOf is a call on a file. op is its name in the manual.
type syscallOf struct {
	op   string
	path string // relative to the overseer's root
}

// verdict is what becomes of a call. The zero verdict lets it through.
type verdict struct {
	err   unix.Errno
	short bool          // pwrite(2) writes half of its bytes
	delay time.Duration // before anything else
}

// What is overseen. Of openat(2) only what makes a file counts.
func overseen() map[uint32]string {
	return map[uint32]string{
		unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite", unix.SYS_PREAD64: "pread", unix.SYS_FSYNC: "fsync",
		unix.SYS_PREADV2: "pread", unix.SYS_PWRITEV2: "pwritev2",
		unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_FALLOCATE: "fallocate", unix.SYS_OPENAT: "open",
		unix.SYS_MKDIRAT: "mkdir", unix.SYS_RENAMEAT: "rename",
	}
}

// overseenProgram is the program "overseen SOCKET PROGRAM ARG...": it hands the listener of its filter to who listens at
// SOCKET and becomes PROGRAM.
func overseenProgram() {
	err := func() error {
		runtime.LockOSThread() // the filter is the thread's
		conn, err := net.Dial("unix", os.Args[1])
		if err != nil {
			return err
		}
		raw, err := conn.(*net.UnixConn).File()
		if err != nil {
			return err
		}
		path, err := exec.LookPath(os.Args[2])
		if err != nil {
			return err
		}
		var numbers []uint32
		for nr := range overseen() {
			numbers = append(numbers, nr)
		}
		listener, err := filterCalls(numbers, unix.SECCOMP_RET_USER_NOTIF,
			unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		if err != nil {
			return err
		}
		if err := unix.Sendmsg(int(raw.Fd()), []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
			return err
		}
		return unix.Exec(path, os.Args[2:], os.Environ())
	}()
	fmt.Fprintf(os.Stderr, "overseen: %v\n", err)
	os.Exit(1)
}

// oversee lets the bench run its next commands, and the daemons they start, under an overseer of the files below the store.
func oversee(b *bench) *overseer {
	b.t.Helper()
	o := &overseer{t: b.t, root: b.store}
	socket := filepath.Join(b.dir, "overseer")
	l, err := net.Listen("unix", socket)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = l.Close() })
	b.under = []string{"overseen", socket}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			listener, err := receiveDescriptor(conn.(*net.UnixConn))
			if err == nil {
				go o.serve(listener)
			}
			_ = conn.Close()
		}
	}()
	return o
}

func receiveDescriptor(conn *net.UnixConn) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.Join(errors.New("no descriptor came"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.Join(errors.New("no descriptor came"), err)
	}
	return fds[0], nil
}

// set makes decide the judge of all further calls.
func (o *overseer) set(decide func(syscallOf) verdict) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.decide = decide
}

// Of struct seccomp_notif and struct seccomp_notif_resp.
type (
	notification struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

// serve answers until the last process of the filter is gone.
func (o *overseer) serve(listener int) {
	defer unix.Close(listener)
	for {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			if poll[0].Revents != 0 {
				return
			}
			continue
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the caller is gone, or a signal came
		}
		if v, call := o.judge(&n); v.delay > 0 {
			go func() {
				time.Sleep(v.delay)
				o.answer(listener, &n, v, call)
			}()
		} else {
			o.answer(listener, &n, v, call)
		}
	}
}

func (o *overseer) judge(n *notification) (verdict, syscallOf) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.decide == nil {
		return verdict{}, syscallOf{}
	}
	path, ok := o.file(n)
	if !ok {
		return verdict{}, syscallOf{}
	}
	call := syscallOf{overseen()[uint32(n.nr)], path}
	return o.decide(call), call
}

func (o *overseer) answer(listener int, n *notification, v verdict, call syscallOf) {
	r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	switch {
	case v.err != 0:
		r.err, r.flags = -int32(v.err), 0
	case v.short && call.op == "pwrite":
		if half, err := writeHalf(n); err == nil && half > 0 {
			r.val, r.flags = half, 0
		}
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
}

// writeHalf does the first half of a pwrite(2) in the caller's place.
func writeHalf(n *notification) (int64, error) {
	half := n.args[2] / 2
	buf := make([]byte, half)
	if half == 0 {
		return 0, nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: half}}
	if _, err := unix.ProcessVMReadv(int(n.pid), local, []unix.RemoteIovec{{Base: uintptr(n.args[1]), Len: int(half)}}, 0); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", n.pid, n.args[0]), os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = f.WriteAt(buf, int64(n.args[3]))
	return int64(half), err
}

// file is the path that a call concerns.
func (o *overseer) file(n *notification) (path string, ok bool) {
	switch uint32(n.nr) {
	case unix.SYS_OPENAT:
		if n.args[2]&unix.O_CREAT == 0 {
			return "", false
		}
		path, ok = remoteString(n.pid, n.args[1])
	case unix.SYS_MKDIRAT, unix.SYS_RENAMEAT:
		path, ok = remoteString(n.pid, n.args[1])
	default:
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", n.pid, int32(n.args[0])))
		path, ok = link, err == nil
	}
	rest, below := strings.CutPrefix(path, o.root+"/")
	return rest, ok && below
}

// remoteString reads a path in another process.
func remoteString(pid uint32, addr uint64) (string, bool) {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return "", false
	}
	defer mem.Close()
	buf := make([]byte, unix.PathMax)
	n, _ := mem.ReadAt(buf, int64(addr)) // it may be short: a page is missing behind the text
	s, _, ok := strings.Cut(string(buf[:n]), "\x00")
	return s, ok
}
