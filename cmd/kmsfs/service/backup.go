package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/backup"
)

// BackupRequest asks for a backup into a repository, or into one file. Paths are absolute.
type BackupRequest struct {
	Dir  string // of the repository
	Keep int    // with Dir: how many of the newest backups stay; 0: all
	File string // a new file, or a named pipe that somebody is about to read
}

// BackupAnswer describes a backup that was made.
type BackupAnswer struct {
	Path    string    `json:"path"`
	Point   string    `json:"point,omitempty"` // of a repository
	Created time.Time `json:"created"`
	Records int64     `json:"records"`
	Size    int64     `json:"size"`  // bytes that a restore reads
	Added   int64     `json:"added"` // bytes that were written
	Lost    int64     `json:"lost"`  // records and chunks of the store that could not be read
	Damaged []string  `json:"damaged,omitempty"`
}

// Backup writes a backup of the present moment.
func (s *Service) Backup(ctx context.Context, r BackupRequest, p Progress) (a BackupAnswer, err error) {
	store, ok := s.Store.(objstore.Snapshotter)
	if !ok {
		return a, &Error{Code: Unsupported, Message: "this store makes no backups"}
	}
	path := r.Dir + r.File
	if err := s.outside(path); err != nil {
		return a, err
	}
	var rep objstore.BackupReport
	if r.Dir != "" {
		rep, err = store.BackupTo(ctx, r.Dir, r.Keep, throttle(p))
	} else {
		rep, err = backupFile(ctx, store, r.File, throttle(p))
	}
	if err != nil {
		return a, BackupError(err)
	}
	if p != nil {
		for _, d := range rep.Damaged {
			p(Event{Path: r.Dir, Error: d + "; what it held was stored anew"})
		}
	}
	if r.Dir == "" {
		rep.Point = ""
	}
	s.Logger.Info("backup made", "path", path, "point", rep.Point, "added", rep.Added, "lost", rep.Lost)
	return BackupAnswer{path, rep.Point, rep.Created, rep.Records, rep.Size, rep.Added, rep.Lost, rep.Damaged}, nil
}

// outside refuses to back a store up into itself: into its directory, or through a mount of it, which would wait for itself.
func (s *Service) outside(path string) error {
	real, err := realPath(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	within := []string{s.Path}
	for dir := range s.mounts {
		within = append(within, dir)
	}
	for _, dir := range within {
		if rel, err := filepath.Rel(dir, real); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return &Error{Code: BadRequest, Message: fmt.Sprintf("%s lies within the store or a mount of it (%s)", path, dir)}
		}
	}
	return nil
}

// realPath is path without symbolic links, as far as it exists.
func realPath(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", &Error{Code: BadRequest, Message: fmt.Sprintf("%q is no absolute path", path)}
	}
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return "", err
		}
		path, rest = filepath.Dir(path), filepath.Join(filepath.Base(path), rest)
	}
}

// backupFile writes a stream: into a pipe, or into a file that gets its name when it is whole and durable.
func backupFile(ctx context.Context, store objstore.Snapshotter, path string, progress func(done, total int64)) (rep objstore.BackupReport, err error) {
	st, err := os.Stat(path)
	switch {
	case err == nil && st.Mode()&fs.ModeNamedPipe != 0:
		return backupPipe(ctx, store, path, progress)
	case err == nil:
		return rep, &Error{Code: BadRequest, Message: path + " exists already"}
	case !errors.Is(err, fs.ErrNotExist):
		return rep, err
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return rep, err
	}
	rep, err = store.BackupStream(ctx, f, progress)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return rep, errors.Join(err, os.Remove(tmp))
	}
	return rep, syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pipeEvery is how often the writing end of a pipe is tried until somebody reads.
const pipeEvery = 10 * time.Millisecond

func backupPipe(ctx context.Context, store objstore.Snapshotter, path string, progress func(done, total int64)) (rep objstore.BackupReport, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	for errors.Is(err, unix.ENXIO) {
		select {
		case <-ctx.Done():
			return rep, ctx.Err()
		case <-time.After(pipeEvery):
			f, err = os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		}
	}
	if err != nil {
		return rep, err
	}
	defer context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Now()) })() // whoever reads may have stopped
	rep, err = store.BackupStream(ctx, f, progress)
	return rep, errors.Join(ctx.Err(), err, f.Close())
}

// BackupError gives the errors of a backup a code.
func BackupError(err error) error {
	var damage *backup.DamageError
	code := Code("")
	switch {
	case errors.Is(err, backup.ErrBusy):
		code = Busy
	case errors.Is(err, backup.ErrWrongKey):
		code = WrongRootKey
	case errors.Is(err, backup.ErrNewer):
		code = NewerFormat
	case errors.Is(err, backup.ErrOlder):
		code = OlderFormat
	case errors.Is(err, backup.ErrOtherStore), errors.Is(err, backup.ErrNotBackup):
		code = BadRequest
	case errors.Is(err, backup.ErrNoPoint):
		code = NoBackup
	case errors.As(err, &damage):
		code = DamagedBackup
	default:
		return err
	}
	return &Error{Code: code, Message: "backup", Err: err}
}
