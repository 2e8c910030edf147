package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"kmsfs/cmd/kmsfs/service"
)

// readyVariable tells the background process on which descriptor its parent waits. It is no setting.
const readyVariable = "KMSFS_INTERNAL_READY_FD"

// readyReport is what the daemon says to its parent: a line of JSON, when it is ready or cannot be.
type readyReport struct{ Error *service.WireError }

// readyPipe is the parent's pipe; nil in a process that was not started by [spawnDaemon].
func readyPipe() *os.File {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil
	}
	_ = os.Unsetenv(readyVariable)
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready")
}

// spawn makes this command line the store's daemon, in the background, and connects to it when it is ready.
func (a *app) spawn(ctx context.Context, store string) (*service.Client, error) {
	if err := a.cfg.handOver(store); err != nil {
		return nil, err
	}
	if err := spawnDaemon(ctx, beside(a.cfg.LogFile, store, ".log")); err != nil {
		return nil, err
	}
	return dial(store)
}

// spawnDaemon starts this command line again, in the background and in its own session, and waits until it is
// ready. Its error is the daemon's.
func spawnDaemon(ctx context.Context, logPath string) error {
	if err := os.MkdirAll(filepath.Dir(logPath), 0o700); err != nil {
		return fmt.Errorf("make the directory of the daemon's log: %w", err)
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the daemon's log: %w", err)
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program itself: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Cmd{Path: self, Args: os.Args, Stdout: log, Stderr: log, ExtraFiles: []*os.File{w},
		Env:         append(os.Environ(), readyVariable+"=3"),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	return awaitReady(r, logPath, cmd.Process)
}

func awaitReady(r io.Reader, logPath string, p *os.Process) error {
	var report readyReport
	err := json.NewDecoder(r).Decode(&report)
	switch {
	case err != nil:
		state, _ := p.Wait()
		return fmt.Errorf("the daemon ended before it was ready (%v); its log is %s", state, logPath)
	case report.Error != nil:
		_, _ = p.Wait()
		return report.Error
	}
	return p.Release()
}

// daemonChild is the background process. It tells its parent how the start went, and lets go of the parent's
// directory.
func (a *app) daemonChild(ctx context.Context, store string, start starter, ready *os.File) error {
	told := false
	tell := func(err error) {
		if !told {
			_ = json.NewEncoder(ready).Encode(readyReport{service.ToWire(err)})
			_ = ready.Close()
		}
		told = true
	}
	a.absolutePaths(store)
	err := os.Chdir("/")
	if err == nil {
		err = a.runDaemon(ctx, store, start, a.daemonLog(), func(*service.Service) { tell(nil) })
	}
	if !told && err == nil {
		err = errors.New("what was to be served was gone before it was ready")
	}
	tell(err)
	return err
}

// absolutePaths makes the paths of the configuration independent of the working directory.
func (a *app) absolutePaths(store string) {
	a.cfg.Store = store
	for _, p := range []*string{&a.cfg.Root.PassphraseFile, &a.cfg.RootKey, &a.cfg.AuditDir, &a.cfg.TLSDir, &a.cfg.LogFile} {
		if *p == "" || isCredential(*p) {
			continue
		}
		if abs, err := filepath.Abs(*p); err == nil {
			*p = abs
		}
	}
}
