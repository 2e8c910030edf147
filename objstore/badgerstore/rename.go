package badgerstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// place is one side of a rename.
type place struct {
	dir  objstore.Ino
	name string
}

// Rename moves a name. Data keys that are bound to the object's ARN are wrapped for the new one first: if that is refused
// nothing changes.
func (s *Store) Rename(ctx context.Context, parent objstore.Ino, name string, newParent objstore.Ino, newName string, mode objstore.RenameMode) error {
	from, to := place{parent, name}, place{newParent, newName}
	if err := checkName(name); err != nil {
		return wrap("Rename", err)
	}
	if err := checkName(newName); err != nil {
		return wrap("Rename", err)
	}
	bound, err := s.rebind(ctx, from, to)
	if err == nil && mode == objstore.RenameExchange {
		var back map[objstore.Ino]rebound
		back, err = s.rebind(ctx, to, from)
		for ino, r := range back {
			bound[ino] = r
		}
	}
	if err != nil {
		return wrap("Rename", err)
	}
	return s.update("Rename", func(t *txn) error { return t.rename(from, to, mode, bound) })
}

// rebound is a data key wrapped for a new name.
type rebound struct {
	from *version
	env  kms.Envelope
}

// rebind wraps the data keys of a file, or of all files under a directory, for their names after the move.
func (s *Store) rebind(ctx context.Context, from, to place) (map[objstore.Ino]rebound, error) {
	out := map[objstore.Ino]rebound{}
	n, err := s.Lookup(ctx, from.dir, from.name)
	if err != nil {
		return out, err
	}
	bucket, key, err := s.PathOf(ctx, to.dir)
	if err != nil {
		return out, err
	}
	in, err := s.cachedInode(n.Ino)
	if err != nil || isDir(in.Mode) && s.noneBound(in.bucket) {
		return out, err
	}
	return out, s.rebindTree(ctx, in, bucket, key+to.name, out)
}

func (s *Store) rebindTree(ctx context.Context, in *inode, bucket, key string, out map[objstore.Ino]rebound) error {
	if isDir(in.Mode) {
		return s.rebindDir(ctx, in.Ino, bucket, key, out)
	}
	return s.rebindFile(ctx, in, bucket, key, out)
}

// Rename looks at the files of a directory in the order of their records, not of their names: see runs.go.
const (
	rebindNames = 1 << 16 // names that are read at once
	rebindNodes = 1 << 10 // records
)

// rebindDir is rebindTree for what is in a directory. Most files need nothing, and in most buckets none does: see bound.go.
func (s *Store) rebindDir(ctx context.Context, dir objstore.Ino, bucket, key string, out map[objstore.Ino]rebound) error {
	for behind := ""; ; {
		names, err := s.direntsBehind(dir, behind, rebindNames)
		if err != nil || len(names) == 0 {
			return err
		}
		behind = names[len(names)-1].Name
		slices.SortFunc(names, func(a, b objstore.DirEntry) int { return cmp.Compare(a.Ino, b.Ino) })
		for part := range slices.Chunk(names, rebindNodes) {
			if err := s.rebindSome(ctx, part, bucket, key, out); err != nil {
				return err
			}
		}
	}
}

func (s *Store) direntsBehind(dir objstore.Ino, behind string, limit int) (names []objstore.DirEntry, err error) {
	err = s.view("Rename", func(r kv.Reader) error {
		names, err = direntPage(r, dir, behind, limit)
		return err
	})
	return names, err
}

func (s *Store) rebindSome(ctx context.Context, names []objstore.DirEntry, bucket, key string, out map[objstore.Ino]rebound) error {
	var found map[objstore.Ino]*inode
	err := s.view("Rename", func(r kv.Reader) error {
		found = s.inodes(r.(snapshot), names)
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range names {
		in := found[e.Ino]
		if in == nil { // damaged or missing: this says which
			if in, err = s.cachedInode(e.Ino); err != nil {
				return err
			}
		}
		if err := s.rebindTree(ctx, in, bucket, key+"/"+e.Name, out); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rebindFile(ctx context.Context, in *inode, bucket, key string, out map[objstore.Ino]rebound) error {
	if !in.bound() {
		return nil
	}
	if in.ver.env.ResourceARN == kms.ObjectARN(bucket, key) {
		return nil
	}
	env, err := s.kms.RewrapDataKey(ctx, in.ver.env, envelopeRequest(bucket, key, storedSettings(in.ver.env)))
	if err != nil {
		return err
	}
	out[in.Ino] = rebound{in.ver, env}
	return nil
}

func (t *txn) rename(from, to place, mode objstore.RenameMode, bound map[objstore.Ino]rebound) error {
	p, err := t.directory(from.dir)
	if err != nil {
		return err
	}
	q, err := t.directory(to.dir)
	if err != nil {
		return err
	}
	src, err := t.dirent(from.dir, from.name)
	if err != nil {
		return err
	}
	dst, err := t.dirent(to.dir, to.name)
	if err != nil {
		return err
	}
	switch {
	case src.node() == 0, mode == objstore.RenameExchange && dst.node() == 0:
		return objstore.NoSuchNode
	case p.bucket != q.bucket:
		return objstore.CrossBucket
	case mode == objstore.RenameNoReplace && dst.node() != 0:
		return objstore.NodeExists
	case src.node() == dst.node(): // two names of one file, or the same name: POSIX wants nothing done
		return nil
	}
	if err := t.notBelow(src.node(), q); err != nil {
		return err
	}
	if mode == objstore.RenameExchange {
		if err := t.notBelow(dst.node(), p); err != nil {
			return err
		}
		err = t.exchange(p, from, src, q, to, dst)
	} else {
		err = t.replace(p, from, src, q, to, dst)
	}
	if err != nil {
		return err
	}
	t.touch(p)
	t.touch(q)
	p.implicit = false
	return t.rebind(bound)
}

// notBelow refuses to move a directory into itself.
func (t *txn) notBelow(ino objstore.Ino, dir *inode) error {
	for {
		if dir.Ino == ino {
			return objstore.InvalidMove
		}
		if dir.Parent == 0 {
			return nil
		}
		var err error
		if dir, err = t.inode(dir.Parent); err != nil {
			return err
		}
	}
}

// replace moves src over what the name leads to now.
func (t *txn) replace(p *inode, from place, src dirent, q *inode, to place, dst dirent) error {
	in, err := t.edit(src.node())
	if err != nil {
		return err
	}
	if dst.node() != 0 {
		if err := t.makeWay(in, q, to.name, dst); err != nil {
			return err
		}
	}
	left, err := t.dirent(from.dir, from.name)
	if err != nil {
		return err
	}
	taken, err := t.dirent(to.dir, to.name)
	if err != nil {
		return err
	}
	if isDir(in.Mode) {
		left.dir, taken.dir = 0, in.Ino
		p.Nlink--
		q.Nlink++
		if err := t.meetHistory(q.hist, to.name, in); err != nil {
			return err
		}
	} else {
		left.file, taken.file = 0, in.Ino
		if err := t.markLeft(p, from.name, in); err != nil {
			return err
		}
		if err := t.arrive(q, to.name, in); err != nil {
			return err
		}
	}
	t.setDirent(from.dir, from.name, left)
	t.setDirent(to.dir, to.name, taken)
	t.moveLink(in, from, to)
	return nil
}

// markLeft puts a delete marker over old versions that stay under the name which a file leaves, to nobody or to a node
// that is no object.
func (t *txn) markLeft(p *inode, name string, in *inode) error {
	b := t.s.bucketByID(p.bucket)
	if in.ver == nil || b.Versioning == objstore.VersioningOff {
		return nil
	}
	some, err := t.hasPast(p.hist, name)
	if err != nil || !some {
		return err
	}
	_, err = t.mark(b, p, name)
	return err
}

// arrive makes room for the null version among the old versions of a name that in comes to: a key has one at most.
func (t *txn) arrive(p *inode, name string, in *inode) error {
	if in.ver == nil || in.ver.id != objstore.NullVersion {
		return nil
	}
	return t.dropNull(p, name)
}

func (t *txn) arriveAny(p *inode, name string, in *inode) error {
	if isDir(in.Mode) {
		return t.meetHistory(p.hist, name, in)
	}
	return t.arrive(p, name, in)
}

// makeWay removes what a rename replaces.
func (t *txn) makeWay(in, q *inode, name string, dst dirent) error {
	switch {
	case isDir(in.Mode) && dst.dir == 0:
		return objstore.NotDirectory
	case !isDir(in.Mode) && dst.dir != 0:
		return objstore.IsDirectory
	case isDir(in.Mode):
		return t.removeDir(q, name, dst)
	}
	old, err := t.edit(dst.file)
	if err != nil {
		return t.unlinkDamaged(q, name, dst, err)
	}
	kept, err := t.retire(q, name, old, !in.isObject())
	if err != nil {
		return err
	}
	t.setDirent(q.Ino, name, dirent{})
	return t.dropLink(old, q.Ino, name, kept)
}

func (t *txn) exchange(p *inode, from place, src dirent, q *inode, to place, dst dirent) error {
	a, err := t.edit(src.node())
	if err != nil {
		return err
	}
	b, err := t.edit(dst.node())
	if err != nil {
		return err
	}
	if (src.dir != 0 && src.file != 0) || (dst.dir != 0 && dst.file != 0) {
		return fail(objstore.NodeExists, "the name of the directory is also the key of an object")
	}
	if err := errors.Join(t.arriveAny(q, to.name, a), t.arriveAny(p, from.name, b)); err != nil {
		return err
	}
	if !b.isObject() {
		err = t.markLeft(p, from.name, a)
	}
	if err == nil && !a.isObject() {
		err = t.markLeft(q, to.name, b)
	}
	if err != nil {
		return err
	}
	if isDir(a.Mode) != isDir(b.Mode) {
		dirs := map[bool]uint32{true: 1}
		p.Nlink += dirs[isDir(b.Mode)] - dirs[isDir(a.Mode)]
		q.Nlink += dirs[isDir(a.Mode)] - dirs[isDir(b.Mode)]
	}
	t.setDirent(from.dir, from.name, swap(src, b))
	t.setDirent(to.dir, to.name, swap(dst, a))
	t.moveLink(a, from, to)
	t.moveLink(b, to, from)
	return nil
}

// swap puts in where the node of d was.
func swap(d dirent, in *inode) dirent {
	if d.dir != 0 {
		d.dir = 0
	} else {
		d.file = 0
	}
	if isDir(in.Mode) {
		d.dir = in.Ino
	} else {
		d.file = in.Ino
	}
	return d
}

// moveLink tells an inode that one of its names has moved.
func (t *txn) moveLink(in *inode, from, to place) {
	in.Ctime = t.now
	if in.Parent == from.dir && in.Name == from.name {
		in.Parent, in.Name = to.dir, to.name
		return
	}
	t.Delete(linkKey(in.Ino, from.dir, from.name))
	t.Put(linkKey(in.Ino, to.dir, to.name), nil)
}

// rebind stores the data keys that were wrapped for the new names. A file that was rewritten meanwhile is left: its
// data key was bound when it was committed, and says to which name.
func (t *txn) rebind(bound map[objstore.Ino]rebound) error {
	for ino, r := range bound {
		in, err := t.edit(ino)
		if err != nil {
			if objstore.CodeOf(err) == objstore.NoSuchNode {
				continue
			}
			return err
		}
		if in.ver != nil && in.ver.content == r.from.content && bytes.Equal(in.ver.env.Blob, r.from.env.Blob) {
			v := *in.ver
			v.env = r.env
			in.ver = &v
		}
	}
	return nil
}
