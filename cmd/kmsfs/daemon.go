package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
)

// drainPatience is how long calls that still run may take when the daemon ends.
const drainPatience = 2 * time.Second

// shutdownPatience is how long the mounts may take to end when the daemon is told to. What is in the store is safe
// either way.
const shutdownPatience = 20 * time.Second

// daemonLog writes to standard error: in the background that is STORE.log.
func (a *app) daemonLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: a.logLevel()}))
}

// runDaemon owns the store until its last mount is gone or ctx ends. It calls ready when the first mount, r, serves.
func (a *app) runDaemon(ctx context.Context, store string, r service.MountRequest, log *slog.Logger, ready func()) (err error) {
	ctx = kms.WithCaller(ctx, service.Caller(uint32(os.Getuid()), os.Getpid()))
	o, err := openStore(store, &a.cfg, true, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	f, err := openFiles(ctx, o, &a.cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	svc := service.New(service.Options{Path: store, Version: programVersion(), Store: o.store, KMS: o.kms, Files: f,
		Mounter: mounter(store, f.FS, log), Logger: log})
	socket, err := service.SocketPath(store)
	if err != nil {
		return err
	}
	server, err := service.Listen(socket, svc, log)
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := svc.Mount(ctx, r); err != nil {
		return err
	}
	go server.Serve()
	ready()
	select {
	case <-ctx.Done():
		log.Info("asked to end")
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
		svc.Shutdown(end)
		cancel()
	case <-svc.Ended():
	}
	server.Drain(drainPatience)
	log.Info("the last mount is gone: the daemon ends")
	return nil
}

// inside reports whether path is dir or lies under it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
