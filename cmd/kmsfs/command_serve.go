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
	cmd := command("serve --kms ADDR --s3 ADDR", "Open the KMS door, the S3 door or both, without a mount", cobra.NoArgs, func(ctx context.Context, _ []string) error { return a.serve(ctx) })
	cmd.Long = "serve answers AWS KMS's and S3's protocol at ADDR, for aws-cli and the AWS SDKs, until `kmsfs serve --stop` or a\n" +
		"signal to its daemon. It returns when the doors are open. ADDR is HOST:PORT: a loopback address has plain HTTP, every\n" +
		"other one TLS, by a certificate that is made on first use (STORE.tls). https:// before ADDR takes TLS there too.\n" +
		"`kmsfs user create` makes an access key, `kmsfs env` prints what the AWS tools want to know. The S3 door knows no\n" +
		"multipart uploads yet: aws configure set default.s3.multipart_threshold 5GB"
	a.flag(cmd, "serve.kms", "", "address of the KMS door")
	a.flag(cmd, "serve.s3", "", "address of the S3 door")
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
	}
	r := service.ServeRequest{KMS: a.cfg.Serve.KMS, S3: a.cfg.Serve.S3, Stay: true}
	if !r.Any() {
		return usagef("serve needs a door: --kms ADDR, --s3 ADDR or both")
	}
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
			if open, err := s.Serve(ctx, r); err == nil { // they are open: this only asks
				a.announceDoors(open)
			}
		})
	default:
		if client, err = a.spawn(ctx, store); err != nil {
			return err
		}
	}
	open, err := client.Serve(ctx, r)
	if err != nil {
		return err
	}
	a.announceDoors(open)
	if a.cfg.Serve.Foreground {
		return stayWhileOpen(ctx, client)
	}
	return nil
}

// announceDoors prints the one or two doors that were asked for.
func (a *app) announceDoors(open []service.Door) {
	for _, d := range open {
		_ = a.print(d, func(w io.Writer) { fmt.Fprintf(w, "%s door open at %s\n", d.Protocol, d.URL) })
	}
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
