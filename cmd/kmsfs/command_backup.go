package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/objstore/badgerstore/backup"
)

// backupSuffix ends the names that are one file by themselves.
const backupSuffix = ".kmsfs"

func (a *app) backupCommand() *cobra.Command {
	cmd := command("backup DIR|FILE|-", "Back up the store, also while it is mounted and written to", cobra.ExactArgs(1), a.backup)
	cmd.Long = "backup writes one moment of the store: all buckets, objects and versions, KMS keys, aliases, policies, grants and users.\n" +
		"Files that are open are in it as they were at their last close or fsync. The root key is not: to restore, you need the\n" +
		"backup and the root key (or its recovery kit). Without the root key a backup says no more than the store does.\n\n" +
		"DIR keeps many backups; each costs what changed since the one before. A name that ends in .kmsfs, or any with --file, is\n" +
		"one file with one backup; - is standard output."
	a.flag(cmd, "backup.keep", "", "of DIR: keep only so many of the newest backups; 0: all")
	a.flag(cmd, "backup.file", "", "one file, whatever its name")
	cmd.AddCommand(command("ls DIR", "List the backups in a directory; no key is needed", cobra.ExactArgs(1), a.listBackups))
	return cmd
}

func (a *app) backup(ctx context.Context, args []string) error {
	if args[0] == "-" {
		return a.backupToOutput(ctx)
	}
	r, err := a.backupRequest(args[0])
	if err != nil {
		return err
	}
	return a.runBackup(ctx, r, a.stdout)
}

// backupRequest decides whether a name is a directory or a file.
func (a *app) backupRequest(name string) (r service.BackupRequest, err error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return r, err
	}
	st, err := os.Stat(path)
	switch {
	case err == nil && !st.IsDir():
		return r, &service.Error{Code: service.BadRequest, Message: path + " exists already; choose another name, or remove it"}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return r, err
	case err != nil && (a.cfg.Backup.File || strings.HasSuffix(name, backupSuffix)):
		return service.BackupRequest{File: path}, nil
	case a.cfg.Backup.File:
		return r, &service.Error{Code: service.BadRequest, Message: path + " is a directory, and --file asks for a file"}
	}
	return service.BackupRequest{Dir: path, Keep: a.cfg.Backup.Keep}, nil
}

// runBackup makes a backup and tells about it on out.
func (a *app) runBackup(ctx context.Context, r service.BackupRequest, out io.Writer) error {
	var answer service.BackupAnswer
	start := time.Now()
	err := a.withProgress(ctx, "bytes", func(ctx context.Context, s service.API, p service.Progress) (err error) {
		answer, err = s.Backup(ctx, r, p)
		return err
	})
	if err != nil {
		return err
	}
	told := *a
	if told.stdout = out; out == a.stderr {
		answer.Path = "standard output"
	}
	if err := told.print(answer, func(w io.Writer) { fmt.Fprintln(w, backupText(answer, time.Since(start))) }); err != nil {
		return err
	}
	if answer.Lost > 0 {
		return &partialError{fmt.Sprintf("%d records or chunks of the store could not be read and are not in the backup; kmsfs check names the files", answer.Lost)}
	}
	return nil
}

func backupText(b service.BackupAnswer, took time.Duration) string {
	name := b.Path
	if b.Point != "" {
		name = filepath.Join(b.Path, b.Point)
	}
	return fmt.Sprintf("%s: %d records, %s, of which %s were new, in %s\nto restore it, the root key or its recovery kit is needed: it is not in the backup",
		name, b.Records, bytesText(b.Size), bytesText(b.Added), took.Round(time.Millisecond))
}

// backupToOutput takes a stream from the store's owner through a named pipe, and passes it on to standard output. What is said
// goes to standard error.
func (a *app) backupToOutput(ctx context.Context) (err error) {
	if f, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return usagef("a backup is no text for a terminal; write it to a file or a program")
	}
	pipe, remove, err := a.makePipe()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	copied := make(chan error, 1)
	go func() { copied <- copyPipe(a.stdout, pipe) }()
	err = a.runBackup(ctx, service.BackupRequest{File: pipe}, a.stderr)
	if f, werr := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); werr == nil { // nobody may have written to it
		_ = f.Close()
	}
	return errors.Join(err, <-copied)
}

// copyPipe ends when out fails; the other side then cannot write any more.
func copyPipe(out io.Writer, pipe string) error {
	f, err := os.Open(pipe)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(out, f); err != nil {
		return fmt.Errorf("write the backup to standard output: %w", err)
	}
	return nil
}

// makePipe makes a named pipe that only this user and the store's owner can open.
func (a *app) makePipe() (path string, remove func() error, err error) {
	store, err := a.cfg.StorePath()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "kmsfs-backup-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "pipe")
	err = syscall.Mkfifo(path, 0o600)
	if st, serr := os.Stat(store); err == nil && serr == nil && os.Geteuid() == 0 {
		owner := st.Sys().(*syscall.Stat_t)
		err = errors.Join(os.Chown(dir, int(owner.Uid), int(owner.Gid)), os.Chown(path, int(owner.Uid), int(owner.Gid)))
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return path, func() error { return os.RemoveAll(dir) }, nil
}

// listedBackup is one line of `backup ls`.
type listedBackup struct {
	Point   string    `json:"point"`
	Created time.Time `json:"created"`
	Size    int64     `json:"size"`
	Added   int64     `json:"added"`
	Lost    int64     `json:"lost,omitempty"`
}

func (a *app) listBackups(_ context.Context, args []string) error {
	points, bad, err := backup.Points(args[0])
	if err != nil {
		return service.BackupError(err)
	}
	list := []listedBackup{}
	for _, p := range points {
		list = append(list, listedBackup{p.Name, p.Created, p.Size, p.Added, p.Lost})
	}
	err = a.print(list, func(w io.Writer) {
		table(w, "POINT\tCREATED\tSIZE\tNEW", func(line func(...any)) {
			for _, p := range list {
				line(p.Point, timeText(p.Created), bytesText(p.Size), bytesText(p.Added))
			}
		})
	})
	if err == nil && len(bad) > 0 {
		err = service.BackupError(errors.Join(bad...))
	}
	return err
}
