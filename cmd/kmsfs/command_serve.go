package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
)

func isTLS(url string) bool { return strings.HasPrefix(url, "https:") }

func (a *app) serveCommand() *cobra.Command {
	cmd := command("serve --kms ADDR", "Open the KMS door without a mount", cobra.NoArgs, func(ctx context.Context, _ []string) error { return a.serve(ctx) })
	cmd.Long = "serve answers AWS KMS's protocol at ADDR, for aws-cli and the AWS SDKs, until `kmsfs serve --stop` or a signal to\n" +
		"its daemon. It returns when the door is open. ADDR is HOST:PORT: a loopback address has plain HTTP, every other one\n" +
		"TLS, by a certificate that is made on first use (STORE.tls). https:// before ADDR takes TLS there too.\n" +
		"`kmsfs user create` makes an access key, `kmsfs env` prints what the AWS tools want to know."
	a.flag(cmd, "serve.kms", "", "address of the KMS door")
	a.flag(cmd, "serve.foreground", "f", "stay in the foreground, log to standard error")
	a.flag(cmd, "serve.stop", "", "close all doors of the store; without a mount its daemon ends")
	return cmd
}

func (a *app) serve(ctx context.Context) error {
	store, err := a.cfg.StorePath()
	switch {
	case err != nil:
		return err
	case a.cfg.Serve.Stop:
		return a.serveStop(ctx, store)
	case a.cfg.Serve.KMS == "":
		return usagef("serve needs a door: --kms ADDR")
	}
	r := service.ServeRequest{KMS: a.cfg.Serve.KMS, Stay: true}
	start := func(ctx context.Context, s *service.Service) error {
		_, err := s.Serve(ctx, r)
		return err
	}
	if ready := readyPipe(); ready != nil {
		return a.daemonChild(ctx, store, start, ready)
	}
	ctx = kms.WithCaller(ctx, service.Caller(uint32(os.Getuid()), os.Getpid()))
	return patiently(ctx, func() error { return a.serveOnce(ctx, store, r, start) })
}

// serveOnce asks the store's daemon, or becomes it, or starts it.
func (a *app) serveOnce(ctx context.Context, store string, r service.ServeRequest, start starter) error {
	client, err := dial(store)
	switch {
	case err == nil:
	case !errors.Is(err, service.NoDaemon):
		return err
	case a.cfg.Serve.Foreground:
		return a.runDaemon(ctx, store, start, a.daemonLog(), func(s *service.Service) {
			if door, err := s.Serve(ctx, r); err == nil { // it is open: this only asks
				a.announceDoor(door)
			}
		})
	default:
		if client, err = a.spawn(ctx, store); err != nil {
			return err
		}
	}
	door, err := client.Serve(ctx, r)
	if err != nil {
		return err
	}
	a.announceDoor(door)
	if a.cfg.Serve.Foreground {
		return stayWhileOpen(ctx, client)
	}
	return nil
}

func (a *app) announceDoor(d service.Door) {
	_ = a.print(d, func(w io.Writer) { fmt.Fprintf(w, "%s door open at %s\n", d.Protocol, d.URL) })
}

// stayWhileOpen keeps `serve -f` in the foreground when another process is the daemon.
func stayWhileOpen(ctx context.Context, client *service.Client) error {
	for {
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			_, err := client.ServeStop(context.WithoutCancel(ctx), service.Nothing{})
			return err
		}
		st, err := client.Status(ctx, service.StatusRequest{})
		if err != nil || len(st.Doors) == 0 {
			return nil
		}
	}
}

// serveStop returns when the doors are closed and, where nothing else keeps the daemon, it is gone.
func (a *app) serveStop(ctx context.Context, store string) error {
	client, err := dial(store)
	if errors.Is(err, service.NoDaemon) {
		return &service.Error{Code: service.NoDoor, Message: "no door is open"}
	}
	if err != nil {
		return err
	}
	process, err := client.Process()
	if err != nil {
		return err
	}
	answer, err := client.ServeStop(ctx, service.Nothing{})
	if err != nil || !answer.Last {
		return err
	}
	return process.Wait(ctx)
}
