package badgerstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// placeholders stand for files whose records are lost, so that their names can be listed, deleted and restored.
func (v *survey) placeholders() error {
	for _, ino := range inos(v.lost) {
		names := v.lost[ino]
		if len(names) == 0 {
			continue
		}
		if err := v.placeholder(ino, names); err != nil {
			return err
		}
	}
	return nil
}

func (v *survey) placeholder(ino objstore.Ino, names []place) error {
	p, err := v.t.inode(names[0].dir)
	if err != nil {
		return err
	}
	in := &inode{bucket: p.bucket, Node: objstore.Node{Ino: ino, Bucket: v.m.s.bucketName(p.bucket), Parent: p.Ino, Name: names[0].name,
		Mode: sIFREG | 0o600, UID: p.UID, GID: p.GID, Nlink: uint32(len(names)), Atime: v.t.now, Mtime: v.t.now, Ctime: v.t.now,
		Btime: v.t.now}}
	err = v.t.eachNoncurrent(p.hist, in.Name, func(_ []byte, old *inode) (bool, error) {
		if !old.marker {
			in.Mode, in.UID, in.GID, in.Xattrs = old.Mode, old.UID, old.GID, old.Xattrs
		}
		return old.marker, nil
	})
	if err != nil {
		return err
	}
	if in.ver, err = v.t.lostVersion(v.m.s.bucketByID(p.bucket)); err != nil {
		return err
	}
	v.t.use(in.ver.content, inodeKey(ino))
	v.t.edited[ino] = in
	v.nodes[ino] = &surveyed{place: names[0], bucket: p.bucket, nlink: in.Nlink, uses: in.ver.content, names: names}
	for _, at := range names {
		v.m.lost(in.Bucket, at.name, "its record is lost: reading it is an error; delete it, or restore an older version")
	}
	return nil
}

// lostVersion makes a version for which [version.lost] holds.
func (t *txn) lostVersion(b *bucket) (*version, error) {
	v := &version{content: seal.NewContentID()}
	v.env.Algorithm = string(objstore.AES256)
	if err := t.newVersion(b, v); err != nil {
		return nil, err
	}
	if b.Versioning == objstore.VersioningSuspended { // an old version may have the null id
		v.id = newVersionID(v.seq)
	}
	return v, nil
}

// uses writes and removes use records.
func (v *survey) uses() error {
	for _, k := range v.missing {
		v.t.use(seal.ContentID(k[1:17]), k[17:])
		v.m.mended("", "", "content %x was not known to be used by one of its records", k[1:17])
	}
	for _, k := range v.unused {
		v.t.Delete(k)
		v.m.mended("", "", "content %x was said to be used by a record that does not use it", k[1:17])
	}
	for _, k := range v.unused {
		if err := v.giveUp(seal.ContentID(k[1:17])); err != nil {
			return err
		}
	}
	return nil
}

// giveUp leaves a content to the sweep, which looks what of it is in use.
func (v *survey) giveUp(id seal.ContentID) error {
	_, err := v.t.Get(garbageKey(id))
	if errors.Is(err, kv.ErrNotFound) {
		v.t.Put(garbageKey(id), []byte{0})
		err = nil
	}
	v.t.after(func() { v.m.s.noteGarbage(id, 1) })
	return err
}

// histories makes old versions reachable whose history no directory and no ghost has.
func (v *survey) histories() error {
	below := map[histID][]histID{}
	keys := map[histID][][]byte{}
	err := v.each(kGhost, func(k, rec []byte) error {
		rd := reader{b: rec}
		h, old := histID(binary.BigEndian.Uint64(k[1:])), histID(rd.uint())
		below[h] = append(below[h], old)
		keys[h] = append(keys[h], append([]byte{}, k...))
		return rd.end()
	})
	if err != nil {
		return err
	}
	reached := map[histID]bool{}
	var reach func(h histID)
	reach = func(h histID) {
		if !reached[h] {
			reached[h] = true
			for _, old := range below[h] {
				reach(old)
			}
		}
	}
	for _, n := range v.nodes {
		if n.dir {
			reach(n.hist)
		}
	}
	for _, h := range slices.Sorted(maps.Keys(v.olds)) {
		if !reached[h] {
			if err := v.adopt(h); err != nil {
				return err
			}
			reach(h)
		}
	}
	for h, ghosts := range keys {
		if !reached[h] { // nothing with old versions hangs on these
			for _, k := range ghosts {
				v.t.Delete(k)
				v.m.mended("", string(k[9:]), "the way to old versions that do not exist is removed")
			}
		}
	}
	return nil
}

// adopt makes a history that of a removed directory in its bucket.
func (v *survey) adopt(h histID) error {
	b := v.m.s.byID[v.olds[h]]
	if b == nil {
		return nil // of a bucket that is gone: expiry takes them
	}
	root, err := v.t.inode(b.Root)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("lost+found-%d", h)
	v.t.putGhost(root.hist, name, h)
	v.m.mended(b.Name, name+"/", "old versions that could not be reached are under this key")
	return nil
}

// recount counts the usage of each bucket anew.
func (m *mender) recount() error {
	return m.change(func(t *txn) error {
		want, err := t.recount(m.step)
		if err != nil {
			return err
		}
		return m.setUsage(t, want)
	})
}

// recount counts what the buckets hold. It calls step for each record.
func (t *txn) recount(step func() error) (map[bucketID]usage, error) {
	all := map[bucketID]usage{}
	for _, kind := range []byte{kInode, kNoncurrent} {
		err := t.Ascend([]byte{kind}, []byte{kind + 1}, func(_, rec []byte) (bool, error) {
			in, err := t.s.parse(t, rec)
			if err != nil {
				return false, err
			}
			u := all[in.bucket]
			u.add(kind, in)
			all[in.bucket] = u
			return true, step()
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// add counts an I or N record.
func (u *usage) add(kind byte, in *inode) {
	if kind == kNoncurrent {
		u.Noncurrent++
		u.NoncurrBytes += in.ver.size
		return
	}
	if in.isObject() {
		u.Objects += int64(in.Nlink)
		u.Bytes += int64(in.Nlink) * in.ver.size
	}
	if in.bound() {
		u.bound++
	}
}

func (m *mender) setUsage(t *txn, want map[bucketID]usage) error {
	for id, b := range m.s.byID {
		rec, err := readUsage(t, id)
		if err == nil && rec == want[id] && m.s.usage[id] == rec {
			continue
		}
		t.usage[id] = want[id]
		m.mended(b.Name, "", "its usage is counted again: %d objects", want[id].Objects)
	}
	return nil
}
