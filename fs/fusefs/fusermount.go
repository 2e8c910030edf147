package fusefs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// fusermountProgram finds the set-user-ID program that mounts for users.
func fusermountProgram() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount", "/bin/fusermount3", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("fusermount3 is not installed")
}

func hasFusermount() bool {
	_, err := fusermountProgram()
	return err == nil
}

// fusermount mounts as fusermount3(1) does: it passes the open device through the socket that _FUSE_COMMFD names.
func fusermount(p devicePlan) (fd int, err error) {
	program, err := fusermountProgram()
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount")
	defer theirs.Close()
	options := append([]string{"fsname=" + escapeOption(p.source), "subtype=kmsfs"}, p.options...)
	cmd := exec.Command(program, "-o", strings.Join(options, ","), "--", p.dir)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3") // the first of ExtraFiles
	cmd.ExtraFiles = []*os.File{theirs}
	if out, err := cmd.CombinedOutput(); err != nil {
		return -1, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return receiveDevice(pair[0])
}

// escapeOption keeps a comma from ending an option.
func escapeOption(s string) string { return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s) }

func receiveDevice(socket int) (int, error) {
	buf, control := make([]byte, 8), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, buf, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("fusermount3 did not pass the device")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("fusermount3 did not pass the device")
	}
	return fds[0], nil
}

func fusermountUnmount(dir string) error {
	program, err := fusermountProgram()
	if err != nil {
		return err
	}
	if out, err := exec.Command(program, "-u", "--", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
