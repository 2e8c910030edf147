package badgerstore

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// expireBatch is how many records one transaction of the expiry looks at.
const expireBatch = 500

// expire removes noncurrent versions that are older than their bucket keeps them, and delete markers that have
// nothing under them any more.
func (s *Store) expire(ctx context.Context, now time.Time) (removed int64, err error) {
	from := []byte{kNoncurrent}
	for from != nil && ctx.Err() == nil {
		var n int64
		if from, n, err = s.expireSome(from, now); err != nil {
			return removed, err
		}
		removed += n
	}
	return removed, ctx.Err()
}

func (s *Store) expireSome(from []byte, now time.Time) (next []byte, removed int64, err error) {
	due, next, err := s.dueVersions(from, now)
	if err != nil || len(due) == 0 {
		return next, 0, err
	}
	err = s.update("Expire", func(t *txn) error {
		removed = 0
		for _, k := range due {
			in, err := getInode(t, k)
			if objstore.CodeOf(err) == objstore.IntegrityError {
				continue
			}
			if err != nil {
				return err
			}
			if err := t.dropNoncurrent(k, in); err != nil {
				return err
			}
			removed++
		}
		return nil
	})
	return next, removed, err
}

// dueVersions looks at some records from a key on. A delete marker is due with the last version under it.
func (s *Store) dueVersions(from []byte, now time.Time) (due [][]byte, next []byte, err error) {
	err = s.db.View(func(r kv.Reader) error {
		seen := 0
		return r.Ascend(from, []byte{kNoncurrent + 1}, func(k, rec []byte) (bool, error) {
			if seen++; seen > expireBatch {
				next = append([]byte{}, k...)
				return false, nil
			}
			in, err := unmarshalInode(rec)
			if err != nil {
				s.log.Warn("a damaged record of an old version is left to check --repair", "err", err)
				return true, nil
			}
			keep := s.bucketByID(in.bucket).ExpireNoncurrent
			if keep > 0 && now.Sub(in.since.Time()) >= keep {
				due = append(due, append([]byte{}, k...))
			}
			return true, nil
		})
	})
	return due, next, err
}

// GC removes expired versions and unreferenced content and gives the space back.
func (s *Store) GC(ctx context.Context, now time.Time) (rep objstore.GCReport, err error) {
	if rep.Versions, err = s.expire(ctx, now); err != nil {
		return rep, wrap("GC", err)
	}
	if err := s.forgetGhosts(); err != nil {
		return rep, wrap("GC", err)
	}
	if err := s.freeAll(); err != nil {
		return rep, wrap("GC", err)
	}
	s.forgetRemoved()
	var ids []seal.ContentID
	err = s.data.List(func(id [16]byte, _ int64) error {
		ids = append(ids, id)
		return ctx.Err()
	})
	if err != nil {
		return rep, wrap("GC", err)
	}
	for _, id := range append(ids, s.littered()...) {
		freed, serr := s.sweep(id)
		if serr != nil { // one damaged content must not keep the rest of the disk from being given back
			s.log.Error("a content was not swept", "content", id, "err", serr)
			err = errors.Join(err, serr)
		}
		if freed > 0 {
			rep.Contents++
			rep.Bytes += freed
		}
	}
	err = errors.Join(err, s.freeAll())
	s.forgetRemoved()
	return rep, wrap("GC", errors.Join(err, s.db.Compact(ctx)))
}

// forgetGhosts removes the names of directories that are gone and have no old versions any more.
func (s *Store) forgetGhosts() error {
	var keys [][]byte
	err := s.db.View(func(r kv.Reader) error {
		return r.Ascend([]byte{kGhost}, []byte{kGhost + 1}, func(k, _ []byte) (bool, error) {
			keys = append(keys, append([]byte{}, k...))
			return true, nil
		})
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	return s.update("Expire", func(t *txn) error {
		for _, k := range keys {
			old, ok, err := readGhost(t, histID(binary.BigEndian.Uint64(k[1:])), string(k[9:]))
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if none, err := t.pruneGhosts(old); err != nil {
				return err
			} else if none {
				t.Delete(k)
			}
		}
		return nil
	})
}

// littered are contents with dead records but perhaps no file.
func (s *Store) littered() []seal.ContentID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []seal.ContentID
	for id := range s.garbage {
		ids = append(ids, id)
	}
	return ids
}
