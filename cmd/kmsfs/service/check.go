package service

import (
	"context"
	"sync"
	"time"

	"kmsfs/objstore"
)

// eventEvery is how often a long call reports at most.
const eventEvery = 200 * time.Millisecond

// throttle passes on at most one progress event per eventEvery, and the last one.
func throttle(p Progress) func(done, total int64) {
	var last time.Time
	return func(done, total int64) {
		if p == nil || (time.Since(last) < eventEvery && done != total) {
			return
		}
		last = time.Now()
		p(Event{Done: done, Total: total})
	}
}

// Mending is one thing that a repair did.
type Mending struct {
	Damage
	Lost bool `json:"lost,omitempty"` // something is gone for good
}

// Check reports each damage as an event too, as soon as it is found. With Repair what can be mended is mended first, so
// that what is found is what stays.
func (s *Service) Check(ctx context.Context, r CheckRequest, p Progress) (CheckAnswer, error) {
	a := CheckAnswer{Damage: []Damage{}}
	if r.Repair {
		if err := s.repair(ctx, &a); err != nil {
			return a, err
		}
	}
	err := s.check(ctx, &a, p)
	if err == nil && r.Repair {
		s.findWhole(ctx, a.Damage)
	}
	return a, err
}

func (s *Service) repair(ctx context.Context, a *CheckAnswer) error {
	repairer, ok := s.Store.(objstore.Repairer)
	if !ok {
		return &Error{Code: Unsupported, Message: "this store cannot repair damage"}
	}
	rep, err := repairer.Repair(ctx, nil, func(m objstore.Mending) {
		a.Repairs = append(a.Repairs, Mending{Damage{Bucket: m.Bucket, Key: m.Key, Version: m.VersionID, What: m.What}, m.Lost})
	})
	a.Lost = rep.Lost
	return err
}

// findWhole notes for each object whose current version is damaged the newest one that is not.
func (s *Service) findWhole(ctx context.Context, damage []Damage) {
	bad := map[Damage]bool{}
	for _, d := range damage {
		bad[Damage{Bucket: d.Bucket, Key: d.Key, Version: d.Version}] = true
	}
	for i, d := range damage {
		if d.Bucket == "" || d.Key == "" {
			continue
		}
		all, err := s.versionsOfKey(ctx, Object{d.Bucket, d.Key})
		if err != nil || len(all) == 0 || d.Version != "" && d.Version != all[0].VersionID {
			continue // what cannot be listed can wait, as can old versions: the report of the damage matters
		}
		for _, v := range all[1:] {
			if !v.DeleteMarker && !bad[Damage{Bucket: d.Bucket, Key: d.Key, Version: v.VersionID}] {
				damage[i].Restore = v.VersionID
				break
			}
		}
	}
}

func (s *Service) check(ctx context.Context, a *CheckAnswer, p Progress) error {
	var mu sync.Mutex // the engine may check on several threads
	report := throttle(p)
	n, err := s.Store.Check(ctx, func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		report(done, total)
	}, func(d objstore.Damage) {
		mu.Lock()
		defer mu.Unlock()
		a.Damage = append(a.Damage, Damage{Bucket: d.Bucket, Key: d.Key, Version: d.VersionID, What: d.What})
		if p != nil {
			p(Event{Path: Object{d.Bucket, d.Key}.String(), Error: d.What})
		}
	})
	a.Records, a.Objects, a.Versions, a.Chunks, a.Bytes = n.Records, n.Objects, n.Versions, n.Chunks, n.Bytes
	a.Unread, a.Healed, a.Damaged = n.Unread, n.Healed, n.Damaged
	return err
}

// GC reclaims what can be reclaimed.
func (s *Service) GC(ctx context.Context, _ Nothing) (GCAnswer, error) {
	n, err := s.Store.GC(ctx, time.Now())
	return GCAnswer{n.Versions, n.Contents, n.Bytes}, err
}
