package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
)

// lockPatience is how long a command waits for another command that has the store open.
const lockPatience = 20 * time.Second

// connection is a way to the verbs: of a daemon, or of this process.
type connection struct {
	service.API
	client *service.Client // nil: this process has the store open
	close  func() error
}

// connect finds the daemon of the configured store, or opens the store when none runs. The answer's ctx says
// who calls.
func (a *app) connect(ctx context.Context, create bool) (context.Context, *connection, error) {
	path, err := a.cfg.StorePath()
	if err != nil {
		return ctx, nil, err
	}
	return a.connectTo(ctx, path, create)
}

func (a *app) connectTo(ctx context.Context, path string, create bool) (context.Context, *connection, error) {
	ctx = kms.WithCaller(ctx, service.Caller(uint32(os.Getuid()), os.Getpid()))
	for deadline := time.Now().Add(lockPatience); ; {
		client, err := dial(path)
		if err == nil {
			return ctx, &connection{API: client, client: client, close: func() error { return nil }}, nil
		}
		if !errors.Is(err, service.NoDaemon) {
			return ctx, nil, err
		}
		o, err := openStore(path, &a.cfg, create, a.logger())
		if err == nil {
			return a.inProcess(ctx, o)
		}
		if !errors.Is(err, service.Busy) || time.Now().After(deadline) {
			return ctx, nil, err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return ctx, nil, err
		}
	}
}

// inProcess serves the calls of this command only.
func (a *app) inProcess(ctx context.Context, o *owned) (context.Context, *connection, error) {
	f, err := openFiles(ctx, o, &a.cfg, a.logger())
	if err != nil {
		return ctx, nil, errors.Join(err, o.Close())
	}
	svc := service.New(service.Options{Path: o.path, Version: programVersion(), Store: o.store, KMS: o.kms, Provider: o.provider, Certify: o.certifier(), Files: f, Users: o.users, Logger: a.logger()})
	return ctx, &connection{API: svc, close: func() error { return errors.Join(f.Close(), o.Close()) }}, nil
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// dial answers NoDaemon when none serves the store.
func dial(store string) (*service.Client, error) {
	socket, err := service.SocketPath(store)
	if err != nil {
		return nil, err
	}
	return service.Dial(socket)
}

// logger writes to standard error. Commands log warnings only, unless a level was asked for.
func (a *app) logger() *slog.Logger {
	level := a.logLevel()
	if a.origin["log-level"] == "" {
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

func (a *app) logLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(a.cfg.LogLevel)); err != nil {
		return slog.LevelInfo // Validate refuses what cannot be read
	}
	return l
}

// verb runs one call on a connection and prints the answer.
func verb[T any](a *app, ctx context.Context, create bool, do func(context.Context, service.API) (T, error), text func(T)) error {
	ctx, c, err := a.connect(ctx, create)
	if err != nil {
		return err
	}
	answer, err := do(ctx, c)
	if err := errors.Join(err, c.close()); err != nil {
		return err
	}
	if a.cfg.JSON {
		return a.print(answer, nil)
	}
	text(answer)
	return nil
}

// line prints a plain line.
func (a *app) line(format string, args ...any) { fmt.Fprintf(a.stdout, format+"\n", args...) }
