package badgerstore

import (
	"context"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// keyUsePage is how many records are read under one lock.
const keyUsePage = 256

// KeyUse reads every inode and every old version. Changes that are made meanwhile may count or not. What fsync(2) left of a
// file that is still open for writing is no version yet.
func (s *Store) KeyUse(ctx context.Context, keyARN string) (u objstore.KeyUse, err error) {
	for _, kind := range []byte{kInode, kNoncurrent} {
		for from := []byte{kind}; from != nil; {
			if err := ctx.Err(); err != nil {
				return u, err
			}
			if from, err = s.countUse(&u, keyARN, kind, from); err != nil {
				return u, wrap("KeyUse", err)
			}
		}
	}
	return u, nil
}

// countUse counts one page and answers where the next begins, nil after the last.
func (s *Store) countUse(u *objstore.KeyUse, keyARN string, kind byte, from []byte) (next []byte, err error) {
	n := 0
	err = s.db.View(func(r kv.Reader) error {
		return r.Ascend(from, []byte{kind + 1}, func(k, rec []byte) (bool, error) {
			if n++; n > keyUsePage {
				next = append([]byte{}, k...)
				return false, nil
			}
			in, err := s.parse(r, rec)
			if err != nil || in.ver == nil || in.ver.env.KeyARN != keyARN {
				return true, err
			}
			u.Versions++
			u.Bytes += in.ver.size
			if kind == kInode {
				u.Files++
			}
			return true, nil
		})
	})
	return next, err
}
