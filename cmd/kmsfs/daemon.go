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

// starter gives a daemon the first thing to serve.
type starter func(context.Context, *service.Service) error

// runDaemon owns the store until nothing keeps it any more or ctx ends. It calls ready when start's mount or door serves.
func (a *app) runDaemon(ctx context.Context, store string, start starter, log *slog.Logger, ready func(*service.Service)) (err error) {
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
	doors := newDoors(o, f, &a.cfg, log)
	defer closeDoors(doors)
	svc := service.New(service.Options{Path: store, Version: programVersion(), Store: o.store, KMS: o.kms, Provider: o.provider, Certify: o.certifier(), Files: f,
		Mounter: mounter(store, f.FS, log), Doors: doors, Users: o.users, Logger: log})
	socket, err := service.SocketPath(store)
	if err != nil {
		return err
	}
	server, err := service.Listen(socket, svc, log)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := start(ctx, svc); err != nil {
		return err
	}
	go server.Serve()
	ready(svc)
	select {
	case <-ctx.Done():
		log.Info("asked to end")
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
		svc.Shutdown(end)
		cancel()
	case <-svc.Ended():
	}
	server.Drain(drainPatience)
	log.Info("nothing is served any more: the daemon ends")
	return nil
}

// closeDoors is for a daemon that ends.
func closeDoors(d *doors) {
	ctx, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	d.Close(ctx)
}

// inside reports whether path is dir or lies under it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
