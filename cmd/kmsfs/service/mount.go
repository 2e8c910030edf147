package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kmsfs/objstore"
)

// mounted is a mount in the service's table.
type mounted struct {
	Mount
	Mounted
	gone chan struct{} // closed when it is out of the table
}

// Mount makes the bucket where it is missing, mounts, and watches the mount until it is gone.
func (s *Service) Mount(ctx context.Context, r MountRequest) (Mount, error) {
	if s.Mounter == nil {
		return Mount{}, &Error{Code: NotDaemon, Message: "this process does not stay to serve a mount"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return Mount{}, &Error{Code: Closing, Message: "the daemon is about to end"}
	}
	if m, ok := s.mounts[r.Dir]; ok {
		return Mount{}, &Error{Code: BadMount, Message: fmt.Sprintf("%s: bucket %q is mounted there already", r.Dir, m.Bucket)}
	}
	if err := s.ensureBucket(ctx, r); err != nil {
		return Mount{}, err
	}
	k, err := s.Mounter(ctx, r)
	if err != nil {
		return Mount{}, err
	}
	m := &mounted{Mount: Mount{r.Dir, r.Bucket, time.Now(), r.Options}, Mounted: k, gone: make(chan struct{})}
	s.mounts[r.Dir] = m
	go s.watch(m)
	s.Logger.Info("mounted", "dir", r.Dir, "bucket", r.Bucket, "pid", Peer(ctx).PID, "uid", Peer(ctx).UID)
	return m.Mount, nil
}

// ensureBucket makes a missing bucket, so that the first mount needs no preparation.
func (s *Service) ensureBucket(ctx context.Context, r MountRequest) error {
	if r.Bucket == "" {
		return nil
	}
	_, err := s.Store.HeadBucket(ctx, r.Bucket)
	if !errors.Is(err, objstore.NoSuchBucket) {
		return err
	}
	if r.Options.ReadOnly {
		return fmt.Errorf("a read-only mount makes no bucket: %w", err)
	}
	r.New.Name = r.Bucket
	_, err = s.BucketCreate(ctx, r.New)
	return err
}

// watch takes a mount out of the table when it serves no more, whoever unmounted it.
func (s *Service) watch(m *mounted) {
	m.Wait()
	if err := s.Store.Sync(context.Background()); err != nil {
		s.Logger.Error("the store could not be made durable after an unmount", "dir", m.Dir, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mounts, m.Dir)
	close(m.gone)
	s.Logger.Info("unmounted", "dir", m.Dir, "bucket", m.Bucket)
	s.endWhenIdle()
}

// Umount answers after everything is durable.
func (s *Service) Umount(ctx context.Context, r UmountRequest) (UmountAnswer, error) {
	s.mu.Lock()
	m, ok := s.mounts[r.Dir]
	s.mu.Unlock()
	if !ok {
		return UmountAnswer{}, &Error{Code: NotMounted, Message: fmt.Sprintf("%s is no mount of this store", r.Dir)}
	}
	if err := m.Unmount(); err != nil {
		return UmountAnswer{}, s.explainBusy(m.Dir, err)
	}
	select {
	case <-m.gone:
	case <-ctx.Done():
		return UmountAnswer{}, ctx.Err()
	}
	if err := s.Store.Sync(ctx); err != nil {
		return UmountAnswer{}, fmt.Errorf("%s is unmounted, but not all of it is durable: %w", r.Dir, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return UmountAnswer{Last: s.closing}, nil
}

// explainBusy names the processes that keep a mount in use.
func (s *Service) explainBusy(dir string, err error) error {
	if !errors.Is(err, Busy) {
		return err
	}
	users, scanErr := Users(dir)
	if scanErr != nil || len(users) == 0 {
		return &Error{Code: Busy, Message: fmt.Sprintf("%s is in use", dir), Err: scanErr}
	}
	lines := make([]string, len(users))
	for i, u := range users {
		lines[i] = u.String()
	}
	return &Error{Code: Busy, Message: fmt.Sprintf("%s is in use by %s", dir, strings.Join(lines, ", "))}
}

// detachPatience is how long users of a mount may go on after it was taken out of the tree of directories.
const detachPatience = 2 * time.Second

// Shutdown closes the doors and unmounts everything, in use or not. It returns when nothing serves any more, or ctx ends.
func (s *Service) Shutdown(ctx context.Context) {
	var end sync.WaitGroup
	for _, m := range s.allMounts() {
		end.Go(func() { s.end(ctx, m) })
	}
	end.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeDoors(ctx)
	if !s.closing {
		s.closing = true
		close(s.ended)
	}
}

func (s *Service) allMounts() []*mounted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.mounts))
}

// end unmounts m, by force when it is in use.
func (s *Service) end(ctx context.Context, m *mounted) {
	if err := m.Unmount(); err != nil {
		s.Logger.Warn("the mount is taken away from those who use it", "dir", m.Dir, "err", s.explainBusy(m.Dir, err))
		if err := m.Detach(); err != nil {
			s.Logger.Error("unmount failed", "dir", m.Dir, "err", err)
		}
		select {
		case <-m.gone:
		case <-time.After(detachPatience):
			if err := m.Abort(); err != nil {
				s.Logger.Error("the mount cannot be aborted", "dir", m.Dir, "err", err)
			}
		}
	}
	select {
	case <-m.gone:
	case <-ctx.Done():
	}
}

// mountList is sorted by mount point.
func (s *Service) mountList() []Mount {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Mount, 0, len(s.mounts))
	for _, m := range s.mounts {
		out = append(out, m.Mount)
	}
	slices.SortFunc(out, func(a, b Mount) int { return strings.Compare(a.Dir, b.Dir) })
	return out
}
