package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/awskms"
	"kmsfs/kms/guarded"
	"kmsfs/kms/local"
	"kmsfs/kms/resilient"
)

// Where the keys of a store are.
const (
	providerLocal = service.LocalProvider
	providerAWS   = "aws" // in AWS KMS, or a service that speaks its protocol
)

// keyProvider is where the keys of a store are.
type keyProvider interface {
	kms.Backend
	Close() error
}

// remoteKeys are the keys of a service somewhere else, which may be away.
type remoteKeys struct {
	*guarded.Backend // tells the users of this machine apart, whom that service does not know
	service          *resilient.Backend
	where            string
}

// Close is for keyProvider: there is nothing to close.
func (remoteKeys) Close() error { return nil }

// openProvider opens the keys that the configuration asks for. sealing are the keys of records in the store, newest first.
func (o *owned) openProvider(sealing [][]byte, c *Config, w local.Witness) (keyProvider, error) {
	where := providerLocal
	if c.KMS.Provider != providerAWS {
		if err := o.sameProvider(where, c); err != nil {
			return nil, err
		}
		return local.Open(o.store.Records(), sealing[0], local.Options{Former: sealing[1:], Witness: w, Now: c.now, Region: c.KMS.Region, Account: c.KMS.Account})
	}
	p, err := awskms.Open(context.Background(), awskms.Options{Endpoint: c.KMS.Endpoint, Region: c.KMS.Region, Profile: c.KMS.Profile})
	if err != nil {
		return nil, &configError{err}
	}
	if err := o.sameProvider(providerAWS+" "+p.Where(), c); err != nil {
		return nil, err
	}
	service := resilient.New(p, resilient.Options{Name: p.Where()})
	guard, err := guarded.Open(service, o.store.ExternalRecords())
	if err != nil {
		return nil, err
	}
	return remoteKeys{guard, service, p.Where()}, nil
}

// providerRecord is what the store was used with last: "local", or "aws" and the endpoint.
const providerRecord = "provider"

// sameProvider refuses a provider that is another than the store's, for files whose keys it does not have could not be opened,
// and new ones would be under keys that nobody meant. A store without a record takes the present one.
func (o *owned) sameProvider(now string, c *Config) error {
	records := o.store.ExternalRecords()
	all, err := records.Load()
	if err != nil {
		return err
	}
	was := string(all[providerRecord])
	if was == now {
		return nil
	}
	if was != "" && !c.KMS.ProviderMoved {
		return &service.Error{Code: service.OtherKMS, Message: fmt.Sprintf("the keys of the store %s are in another KMS: %s, not %s", o.path, was, now)}
	}
	return records.Save(map[string][]byte{providerRecord: []byte(now)}, nil)
}

// problems are about the provider's settings.
func (c *KMSConfig) problems() (bad []problem) {
	if !slices.Contains([]string{providerLocal, providerAWS}, c.Provider) {
		bad = append(bad, problem{"kms.provider", fmt.Errorf("%q is none of %s, %s", c.Provider, providerLocal, providerAWS)})
	}
	for key, value := range map[string]string{"kms.endpoint": c.Endpoint, "kms.profile": c.Profile} {
		if value != "" && c.Provider == providerLocal {
			bad = append(bad, problem{key, fmt.Errorf("is for kms.provider = %q", providerAWS)})
		}
	}
	if _, err := kms.ParseQuotas(c.Quotas); err != nil {
		bad = append(bad, problem{"kms.quotas", err})
	}
	return bad
}

// provider says where the keys are, and how that is.
func (o *owned) provider() service.KeyProvider {
	r, ok := o.keys.(remoteKeys)
	if !ok {
		return service.KeyProvider{Name: providerLocal}
	}
	s := r.service.State()
	return service.KeyProvider{Name: providerAWS, Where: r.where, Breaker: s.Breaker, Failures: s.Failures, Retries: s.Retries, Since: s.Since, Reason: s.Reason}
}

// printProvider is for `kmsfs status`. Keys in the store are not worth a line.
func (a *app) printProvider(p service.KeyProvider) {
	if p.Where == "" {
		return
	}
	fields(a.stdout, "kms provider:", fmt.Sprintf("%s, %s", p.Name, p.Where), "kms state:", stateText(p))
}

func stateText(p service.KeyProvider) string {
	switch {
	case p.Breaker != resilient.Closed:
		return fmt.Sprintf("away since %s (%s); it is tried again by itself", p.Since.Local().Format(time.DateTime), p.Reason)
	case p.Failures > 0:
		return fmt.Sprintf("in trouble since %s (%s)", p.Since.Local().Format(time.DateTime), p.Reason)
	}
	return fmt.Sprintf("ok, %d retries", p.Retries)
}
