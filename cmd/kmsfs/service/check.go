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

// Check reports each damage as an event too, as soon as it is found.
func (s *Service) Check(ctx context.Context, r CheckRequest, p Progress) (CheckAnswer, error) {
	if r.Repair {
		return CheckAnswer{}, &Error{Code: Unsupported, Message: "this store cannot repair damage yet"}
	}
	var mu sync.Mutex // the engine may check on several threads
	report := throttle(p)
	a := CheckAnswer{Damage: []Damage{}}
	n, err := s.Store.Check(ctx, func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		report(done, total)
	}, func(d objstore.Damage) {
		mu.Lock()
		defer mu.Unlock()
		a.Damage = append(a.Damage, Damage{d.Bucket, d.Key, d.VersionID, d.What})
		if p != nil {
			p(Event{Path: Object{d.Bucket, d.Key}.String(), Error: d.What})
		}
	})
	a.Records, a.Objects, a.Versions, a.Chunks, a.Bytes = n.Records, n.Objects, n.Versions, n.Chunks, n.Bytes
	a.Unread, a.Healed, a.Damaged = n.Unread, n.Healed, n.Damaged
	return a, err
}

// GC reclaims what can be reclaimed.
func (s *Service) GC(ctx context.Context, _ Nothing) (GCAnswer, error) {
	n, err := s.Store.GC(ctx, time.Now())
	return GCAnswer{n.Versions, n.Contents, n.Bytes}, err
}
