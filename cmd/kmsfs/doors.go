package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
	"kmsfs/objstore/s3api"
)

// doors are the network doors of a daemon, each a server of its own.
type doors struct {
	handlers map[string]http.Handler // by protocol
	certs    *httpdoor.Certificates
	log      *slog.Logger

	mu   sync.Mutex                  // guards open
	open map[string]*httpdoor.Server // by URL
}

// newDoors makes doors to o's keys and objects. Certificates for TLS lie in STORE.tls and are made when they are first needed.
func newDoors(o *owned, f *files, c *Config, log *slog.Logger) *doors {
	s3 := s3api.Options{Store: o.store, Keys: o.users, Region: c.KMS.Region, Account: c.KMS.Account, Watch: f.Watch,
		BucketChanged: f.BucketChanged, Logger: log}
	s3.Reads, s3.Writes = c.recorders(o.kms)
	return &doors{
		handlers: map[string]http.Handler{
			service.ProtocolKMS: kmsapi.NewHandler(kmsapi.Options{Service: o.kms, Keys: o.users, Region: c.KMS.Region, Account: c.KMS.Account, Logger: log}),
			service.ProtocolS3:  s3api.NewHandler(s3),
		},
		certs: httpdoor.OpenCertificates(beside(c.TLSDir, o.path, ".tls"), nil),
		log:   log,
		open:  map[string]*httpdoor.Server{},
	}
}

// Open is service.Doors'.
func (d *doors) Open(protocol, addr string) (service.Door, error) {
	server := httpdoor.New(httpdoor.Options{Handler: d.handlers[protocol], Certificates: d.certs, Logger: d.log})
	url, err := server.Listen(addr)
	if err != nil {
		return service.Door{}, err
	}
	door := service.Door{Protocol: protocol, Address: addr, URL: url, Since: time.Now()}
	if isTLS(url) {
		door.CAFile = d.certs.CAFile()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[url] = server
	go func() {
		if err := server.Serve(); err != nil {
			d.log.Error("a door failed", "url", url, "err", err)
		}
	}()
	return door, nil
}

// Close is service.Doors'.
func (d *doors) Close(ctx context.Context, urls ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var end sync.WaitGroup
	for url, s := range d.open {
		if len(urls) > 0 && !slices.Contains(urls, url) {
			continue
		}
		delete(d.open, url)
		end.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				d.log.Warn("a door was closed while requests were answered", "err", err)
			}
		})
	}
	end.Wait()
}
