package service

import (
	"context"
	"os"

	"kmsfs/kms"
)

// Peer is who makes the call.
func Peer(ctx context.Context) kms.Caller { return kms.CallerFrom(ctx) }

// Status counts the store's objects when Usage asks for it.
func (s *Service) Status(ctx context.Context, r StatusRequest) (Status, error) {
	st := Status{Store: s.Path, Version: s.Version, Mounts: s.mountList(), Doors: s.doorList(), KMSCalls: s.KMS.Calls(),
		Throttled: s.KMS.Throttled()}
	if s.Mounter != nil {
		st.PID, st.Started = os.Getpid(), s.started
	}
	if s.Provider != nil {
		st.Provider = s.Provider()
	}
	if !r.Usage {
		return st, nil
	}
	buckets, err := s.Store.ListBuckets(ctx)
	if err != nil {
		return st, err
	}
	st.Buckets = len(buckets)
	for _, b := range buckets {
		u, err := s.Store.Usage(ctx, b.Name)
		if err != nil {
			return st, err
		}
		st.Objects += u.Objects
		st.Bytes += u.Bytes
		st.Noncurrent += u.Noncurrent
		st.OldBytes += u.NoncurrBytes
	}
	st.DiskTotal, st.DiskFree, err = s.Store.Space()
	return st, err
}
