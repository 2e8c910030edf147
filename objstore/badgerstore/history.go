package badgerstore

import (
	"encoding/binary"
	"errors"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// A ghost is the name of a directory that is gone while old versions of names in it are left.

func readGhost(r kv.Reader, h histID, name string) (old histID, ok bool, err error) {
	rec, err := r.Get(ghostKey(h, name))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	rd := reader{b: rec}
	old = histID(rd.uint())
	return old, true, rd.end()
}

func (t *txn) putGhost(h histID, name string, old histID) {
	w := writer{}
	w.uint(uint64(old))
	t.Put(ghostKey(h, name), w.b)
}

type ghost struct {
	name string
	hist histID
}

// ghosts lists the ghosts of one history.
func ghosts(r kv.Reader, h histID) (out []ghost, err error) {
	prefix := ghostKey(h, "")
	err = r.Ascend(prefix, after(prefix), func(k, rec []byte) (bool, error) {
		rd := reader{b: rec}
		out = append(out, ghost{string(k[len(prefix):]), histID(rd.uint())})
		return true, rd.end()
	})
	return out, err
}

// meetHistory is for a directory that comes to a name where an earlier one left old versions: both have one history
// from now on. It costs as much as the earlier directory has old versions.
func (t *txn) meetHistory(h histID, name string, dir *inode) error {
	old, ok, err := readGhost(t, h, name)
	if err != nil || !ok {
		return err
	}
	t.Delete(ghostKey(h, name))
	return t.moveHistory(old, spot{dir: dir, hist: dir.hist})
}

// moveHistory moves the old versions of one history into another, which a directory may have.
func (t *txn) moveHistory(from histID, into spot) error {
	if from == into.hist {
		return nil
	}
	if err := t.moveNoncurrent(from, into.hist); err != nil {
		return err
	}
	gone, err := ghosts(t, from)
	if err != nil {
		return err
	}
	for _, g := range gone {
		t.Delete(ghostKey(from, g.name))
		if err := t.moveGhost(g, into); err != nil {
			return err
		}
	}
	return nil
}

// moveGhost puts a ghost into another history, where a directory or a ghost may have its name.
func (t *txn) moveGhost(g ghost, into spot) error {
	next, ok, err := t.s.step(t, into, g.name)
	if err != nil {
		return err
	}
	if ok {
		return t.moveHistory(g.hist, next)
	}
	t.putGhost(into.hist, g.name, g.hist)
	return nil
}

// pruneGhosts removes ghosts below a history that have no old versions any more. It reports that nothing is left.
func (t *txn) pruneGhosts(h histID) (empty bool, err error) {
	gone, err := ghosts(t, h)
	if err != nil {
		return false, err
	}
	left := 0
	for _, g := range gone {
		none, err := t.pruneGhosts(g.hist)
		if err != nil {
			return false, err
		}
		if none {
			t.Delete(ghostKey(h, g.name))
		} else {
			left++
		}
	}
	if left > 0 {
		return false, nil
	}
	return t.empty(key8(kNoncurrent, uint64(h)))
}

// moveNoncurrent moves the records of the old versions of names.
func (t *txn) moveNoncurrent(from, into histID) error {
	prefix := key8(kNoncurrent, uint64(from))
	var keys [][]byte
	var recs []*inode
	err := t.s.eachNoncurrent(t, prefix, func(k []byte, in *inode) (bool, error) {
		keys, recs = append(keys, k), append(recs, in)
		return true, nil
	})
	if err != nil {
		return err
	}
	for i, k := range keys {
		if recs[i].ver.id == objstore.NullVersion {
			if err := t.dropNullOf(into, string(k[9:len(k)-9])); err != nil {
				return err
			}
		}
		to := append([]byte{}, k...)
		binary.BigEndian.PutUint64(to[1:], uint64(into))
		t.Delete(k)
		if err := t.putInode(to, recs[i]); err != nil {
			return err
		}
		if id := recs[i].ver.content; id != noContent {
			t.use(id, to)
			t.Delete(refKey(id, k))
		}
	}
	return nil
}
