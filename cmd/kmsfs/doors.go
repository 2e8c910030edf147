package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
)

// doors are the network doors of a daemon, each a server of its own.
type doors struct {
	handler http.Handler
	certs   *httpdoor.Certificates
	log     *slog.Logger

	mu   sync.Mutex // guards open
	open []*httpdoor.Server
}

// newDoors makes doors to o's keys. Certificates for TLS lie in STORE.tls and are made when they are first needed.
func newDoors(o *owned, c *Config, log *slog.Logger) *doors {
	return &doors{
		handler: kmsapi.NewHandler(kmsapi.Options{Service: o.kms, Keys: o.users, Region: c.KMS.Region, Account: c.KMS.Account, Logger: log}),
		certs:   httpdoor.OpenCertificates(beside(c.TLSDir, o.path, ".tls"), nil),
		log:     log,
	}
}

// OpenKMS is service.Doors'.
func (d *doors) OpenKMS(addr string) (service.Door, error) {
	server := httpdoor.New(httpdoor.Options{Handler: d.handler, Certificates: d.certs, Logger: d.log})
	url, err := server.Listen(addr)
	if err != nil {
		return service.Door{}, err
	}
	door := service.Door{Protocol: "kms", Address: addr, URL: url, Since: time.Now()}
	if isTLS(url) {
		door.CAFile = d.certs.CAFile()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = append(d.open, server)
	go func() {
		if err := server.Serve(); err != nil {
			d.log.Error("a door failed", "url", url, "err", err)
		}
	}()
	return door, nil
}

// Close is service.Doors'.
func (d *doors) Close(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var end sync.WaitGroup
	for _, s := range d.open {
		end.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				d.log.Warn("a door was closed while requests were answered", "err", err)
			}
		})
	}
	end.Wait()
	d.open = nil
}
