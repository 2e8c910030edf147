package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Process is the daemon's process, to be waited for.
type Process struct{ fd int }

// Process finds the daemon's process by asking the kernel who listens on the socket.
func (c *Client) Process() (*Process, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.path, Net: "unix"})
	if err != nil {
		return nil, &Error{Code: NoDaemon, Message: "no daemon answers", Err: err}
	}
	defer conn.Close()
	cred, err := credentials(conn)
	if err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(int(cred.Pid), 0)
	if err != nil {
		return nil, fmt.Errorf("follow the daemon (pid %d): %w", cred.Pid, os.NewSyscallError("pidfd_open", err))
	}
	return &Process{fd}, nil
}

// Wait returns when the process is gone, and gives the handle back.
func (p *Process) Wait(ctx context.Context) error {
	defer unix.Close(p.fd)
	for {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 100)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("poll", err)
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// credentials is the process on the other end of a connection, as the kernel knows it.
func credentials(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return nil, fmt.Errorf("ask the kernel who is on the other end: %w", err)
	}
	return cred, nil
}
