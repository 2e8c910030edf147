package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"kmsfs/kms"
)

// askedVariable names the descriptor of a file in memory that has the passphrase as it was typed: so that it is asked for
// once, and a daemon in the background gets it from the command that starts it. It is no setting.
const askedVariable = "KMSFS_INTERNAL_PASSPHRASE_FD"

// firstAskedFD is above the descriptors that a daemon is started with.
const firstAskedFD = 20

// maxPassphrase is in bytes.
const maxPassphrase = 1 << 10

// passphrase gets the passphrase from where the configuration says, else from the terminal.
func (c *Config) passphrase(prompt string) ([]byte, error) {
	switch {
	case c.Root.PassphraseFile != "":
		return readPassphrase(c.Root.PassphraseFile)
	case c.Root.PassphraseCommand != "":
		return commandPassphrase(c.Root.PassphraseCommand)
	}
	if p := asked(); p != nil {
		return p, nil
	}
	p, err := promptPassphrase(prompt)
	if err != nil {
		return nil, err
	}
	return p, remember(p)
}

// newPassphrase is passphrase for a file that is made: what is typed, is typed twice.
func (c *Config) newPassphrase(path string) ([]byte, error) {
	p, err := c.passphrase("new passphrase of " + path)
	if err != nil || c.Root.PassphraseFile != "" || c.Root.PassphraseCommand != "" {
		return p, err
	}
	return confirmed(p)
}

func confirmed(p []byte) ([]byte, error) {
	again, err := promptPassphrase("the same again")
	defer kms.Wipe(again)
	if err == nil && !bytes.Equal(p, again) {
		err = errors.New("the two passphrases differ; nothing was changed")
	}
	if err != nil {
		kms.Wipe(p)
		return nil, err
	}
	return p, nil
}

// firstLine is the passphrase in what a file or a program has.
func firstLine(b []byte, source string) ([]byte, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, &configError{fmt.Errorf("%s has no passphrase in its first line", source)}
	}
	return line, nil
}

func readPassphrase(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &configError{fmt.Errorf("root.passphrase-file: %w", err)}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase))
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	return firstLine(b, path)
}

func commandPassphrase(command string) ([]byte, error) {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		kms.Wipe(out)
		return nil, &configError{fmt.Errorf("root.passphrase-command: %w", err)}
	}
	return firstLine(out, "the output of root.passphrase-command")
}

func promptPassphrase(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, &configError{errors.New("the root key needs its passphrase and there is no terminal to ask on; " +
			"set root.passphrase-file ($KMSFS_ROOT_PASSPHRASE_FILE) or root.passphrase-command")}
	}
	defer tty.Close()
	fmt.Fprintf(tty, "%s: ", prompt)
	p, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return p, err
}

// asked answers what was typed before, in this process or in the one that started it; nil when nothing was.
func asked() []byte {
	fd, err := strconv.Atoi(os.Getenv(askedVariable))
	if err != nil {
		return nil
	}
	unix.CloseOnExec(fd)
	p := make([]byte, maxPassphrase)
	n, err := unix.Pread(fd, p, 0)
	if err != nil || n == 0 {
		return nil
	}
	return p[:n]
}

// remember keeps a copy of p for asked. [handOver] lets the next program have it.
func remember(p []byte) error {
	fd, err := unix.MemfdCreate("passphrase", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, p, 0); err != nil {
		return err
	}
	kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstAskedFD)
	if err != nil {
		return err
	}
	return os.Setenv(askedVariable, strconv.Itoa(kept))
}

// handOver asks for the passphrase, where it has to be typed, before a daemon without a terminal needs it, and lets that inherit it.
func (c *Config) handOver(store string) error {
	path, err := c.rootPath(store)
	if err != nil || c.Root.PassphraseFile != "" || c.Root.PassphraseCommand != "" {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		if c.Root.Protection != protectPassphrase {
			return nil
		}
		return &configError{errors.New("a new root key with a typed passphrase is made by `kmsfs init` only; run that first")}
	}
	f, err := c.readRoot(path)
	if err != nil || !f.Protected() {
		return err
	}
	p, err := c.passphrase("passphrase of " + path)
	if err != nil {
		return err
	}
	kms.Wipe(p)
	fd, err := strconv.Atoi(os.Getenv(askedVariable))
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}
