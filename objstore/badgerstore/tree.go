package badgerstore

import (
	"context"
	"fmt"
	"strings"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// maxLinks bounds the links of one file, as ext4 does.
const maxLinks = 65000

func checkName(name string) error {
	switch {
	case len(name) > objstore.MaxName:
		return objstore.NameTooLong
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return fail(objstore.InvalidArgument, "%q is no name of a file", name)
	}
	return nil
}

// Node gives a snapshot of an inode.
func (s *Store) Node(_ context.Context, ino objstore.Ino) (n *objstore.Node, err error) {
	in, err := s.cachedInode(ino)
	if err != nil {
		return nil, wrap("Node", err)
	}
	return &in.Node, nil
}

func (s *Store) cachedInode(ino objstore.Ino) (*inode, error) {
	if in, _ := s.nodes.get(ino); in != nil {
		return in, nil
	}
	return s.loadInode(ino)
}

// loadInode reads one record without a snapshot: a single key needs none.
func (s *Store) loadInode(ino objstore.Ino) (in *inode, err error) {
	epoch := s.nodes.now()
	err = s.db.View(func(r kv.Reader) error {
		in, err = s.readInode(r, ino, epoch)
		return err
	})
	return in, err
}

// Lookup gives what a name of a directory leads to.
func (s *Store) Lookup(_ context.Context, parent objstore.Ino, name string) (n *objstore.Node, err error) {
	if len(name) > objstore.MaxName {
		return nil, wrap("Lookup", objstore.NameTooLong)
	}
	err = s.view("Lookup", func(r kv.Reader) error {
		p, err := s.inode(r, parent)
		if err != nil {
			return err
		}
		if !isDir(p.Mode) {
			return objstore.NotDirectory
		}
		d, err := s.dirent(r, parent, name)
		if err != nil {
			return err
		}
		if d.node() == 0 {
			return objstore.NoSuchNode
		}
		in, err := s.inode(r, d.node())
		if err != nil {
			return missingInode(err, name, d.node())
		}
		n = &in.Node
		return nil
	})
	return n, err
}

// missingInode turns "no such inode" into damage: a name led to it.
func missingInode(err error, name string, ino objstore.Ino) error {
	if objstore.CodeOf(err) == objstore.NoSuchNode {
		return fail(objstore.IntegrityError, "the record of %q (inode %d) is missing", name, ino)
	}
	return err
}

// ReadDir lists a page of a directory. An entry whose record is damaged is listed without Node.
func (s *Store) ReadDir(_ context.Context, dir objstore.Ino, behind string, limit int, plus bool) (out []objstore.DirEntry, err error) {
	err = s.view("ReadDir", func(r kv.Reader) error {
		p, err := s.inode(r, dir)
		if err != nil {
			return err
		}
		if !isDir(p.Mode) {
			return objstore.NotDirectory
		}
		if out, err = direntPage(r, dir, behind, limit); err == nil {
			s.describe(r.(snapshot), out, plus)
		}
		return err
	})
	return out, err
}

// describe completes a page of a listing with what the records of the inodes say.
func (s *Store) describe(r snapshot, page []objstore.DirEntry, plus bool) {
	found := s.inodes(r, page)
	for i := range page {
		in := found[page[i].Ino]
		if in == nil {
			continue
		}
		page[i].Type = in.Mode & sIFMT
		if plus {
			page[i].Node = &in.Node
		}
	}
}

// Create makes a node.
func (s *Store) Create(_ context.Context, parent objstore.Ino, name string, init objstore.NodeInit) (*objstore.Node, error) {
	if err := checkName(name); err != nil {
		return nil, wrap("Create", err)
	}
	if err := s.admit(); err != nil {
		return nil, err
	}
	var in *inode
	err := s.update("Create", func(t *txn) error {
		p, err := t.directory(parent)
		if err != nil {
			return err
		}
		d, err := t.dirent(parent, name)
		if err != nil {
			return err
		}
		if d.node() != 0 {
			return objstore.NodeExists
		}
		in, err = t.newInode(p, name, init)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &in.Node, nil
}

// newInode makes a node under a name that is free for its kind.
func (t *txn) newInode(p *inode, name string, init objstore.NodeInit) (*inode, error) {
	ino, err := t.newIno()
	if err != nil {
		return nil, err
	}
	in := &inode{bucket: p.bucket, Node: objstore.Node{
		Ino: ino, Bucket: p.Bucket, Parent: p.Ino, Name: name, Mode: init.Mode, UID: init.UID, GID: init.GID, Nlink: 1,
		Rdev: init.Rdev, Target: init.Target, Xattrs: init.Xattrs, Atime: t.now, Mtime: t.now, Ctime: t.now, Btime: t.now,
	}}
	d, err := t.dirent(p.Ino, name)
	if err != nil {
		return nil, err
	}
	if isDir(in.Mode) {
		in.Nlink = 2
		p.Nlink++
		d.dir = ino
		if in.hist, err = t.adoptHistory(p.hist, name, ino); err != nil {
			return nil, err
		}
	} else {
		d.file = ino
	}
	t.edited[ino] = in
	t.setDirent(p.Ino, name, d)
	t.touch(p)
	return in, nil
}

// adoptHistory gives a new directory the old versions of an earlier one of the same name.
func (t *txn) adoptHistory(h histID, name string, ino objstore.Ino) (histID, error) {
	old, ok, err := readGhost(t, h, name)
	if err != nil {
		return 0, err
	}
	if !ok {
		t.newHistory(histID(ino))
		return histID(ino), nil
	}
	t.Delete(ghostKey(h, name))
	return old, nil
}

// Link makes a further name of a file.
func (s *Store) Link(_ context.Context, ino, parent objstore.Ino, name string) (*objstore.Node, error) {
	if err := checkName(name); err != nil {
		return nil, wrap("Link", err)
	}
	var in *inode
	err := s.update("Link", func(t *txn) error {
		p, err := t.directory(parent)
		if err != nil {
			return err
		}
		if in, err = t.edit(ino); err != nil {
			return err
		}
		d, err := t.dirent(parent, name)
		switch {
		case err != nil:
			return err
		case d.node() != 0:
			return objstore.NodeExists
		case isDir(in.Mode):
			return objstore.NotPermitted
		case in.bucket != p.bucket:
			return objstore.CrossBucket
		case in.Nlink == 0:
			return objstore.NoSuchNode
		case in.Nlink >= maxLinks:
			return objstore.TooManyLinks
		}
		in.Nlink++
		in.Ctime = t.now
		if err := t.arrive(p, name, in); err != nil {
			return err
		}
		t.Put(linkKey(ino, parent, name), nil)
		t.setDirent(parent, name, dirent{file: ino})
		t.touch(p)
		t.countCurrent(in, 1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &in.Node, nil
}

// countCurrent counts n more names of a file that has a version.
func (t *txn) countCurrent(in *inode, n int64) {
	if !in.isObject() {
		return
	}
	t.count(in.bucket, func(u *objstore.BucketUsage) {
		u.Objects += n
		u.Bytes += n * in.ver.size
	})
}

// Unlink removes a name of a file.
func (s *Store) Unlink(_ context.Context, parent objstore.Ino, name string) error {
	return s.update("Unlink", func(t *txn) error {
		p, err := t.directory(parent)
		if err != nil {
			return err
		}
		d, err := t.dirent(parent, name)
		switch {
		case err != nil:
			return err
		case d.dir != 0:
			return objstore.IsDirectory
		case d.file == 0:
			return objstore.NoSuchNode
		}
		in, err := t.edit(d.file)
		if err != nil {
			return t.unlinkDamaged(p, name, d, err)
		}
		kept, err := t.retire(p, name, in, true)
		if err != nil {
			return err
		}
		t.setDirent(parent, name, dirent{})
		t.touch(p)
		p.implicit = false // a mount shows the directory until it is removed
		return t.dropLink(in, parent, name, kept)
	})
}

// unlinkDamaged lets go of a name whose record cannot be read: a damaged object stays removable.
func (t *txn) unlinkDamaged(p *inode, name string, d dirent, cause error) error {
	code := objstore.CodeOf(wrap("", cause))
	if code != objstore.IntegrityError && code != objstore.NoSuchNode {
		return cause
	}
	t.s.log.Warn("removed a name whose record is damaged", "ino", d.file, "err", cause)
	t.setDirent(p.Ino, name, dirent{dir: d.dir})
	t.touch(p)
	t.Delete(inodeKey(d.file))
	return nil
}

// dropLink takes one name from an inode whose dirent is gone already; with the last name the inode goes, at once or when
// nobody has it open any more. kept says that its version lives on as noncurrent.
func (t *txn) dropLink(in *inode, parent objstore.Ino, name string, kept bool) error {
	t.countCurrent(in, -1)
	in.Nlink--
	in.Ctime = t.now
	if in.Nlink > 0 {
		return t.promoteLink(in, parent, name)
	}
	in.Parent, in.Name = 0, ""
	t.s.mu.Lock()
	open := t.s.open[in.Ino] > 0
	t.s.mu.Unlock()
	if open {
		t.Put(orphanKey(in.Ino), nil)
		t.later = append(t.later, func() { t.s.purgeIfClosed(in.Ino) })
		return nil
	}
	return t.purge(in, kept)
}

// promoteLink makes another link the primary one when that was the name that went.
func (t *txn) promoteLink(in *inode, parent objstore.Ino, name string) error {
	if in.Parent != parent || in.Name != name {
		t.Delete(linkKey(in.Ino, parent, name))
		return nil
	}
	prefix := key8(kLink, uint64(in.Ino))
	found := false
	err := t.Ascend(prefix, after(prefix), func(k, _ []byte) (bool, error) {
		found = true
		in.Parent = inoOf(k[8:])
		in.Name = string(k[17:])
		t.Delete(append([]byte{}, k...))
		return false, nil
	})
	if err == nil && !found {
		in.Nlink = 0
		return fmt.Errorf("inode %d: the record of its other link is missing: %w", in.Ino, objstore.IntegrityError)
	}
	return err
}

// purge removes an inode's record and what only it used.
func (t *txn) purge(in *inode, kept bool) error {
	t.edited[in.Ino] = nil
	t.Delete(orphanKey(in.Ino))
	if err := t.dropDraft(in.Ino, noContent); err != nil {
		return err
	}
	if in.ver == nil {
		return nil
	}
	return t.leaveContent(in.ver, inodeKey(in.Ino), kept)
}

// Rmdir removes an empty directory.
func (s *Store) Rmdir(_ context.Context, parent objstore.Ino, name string) error {
	return s.update("Rmdir", func(t *txn) error {
		p, err := t.directory(parent)
		if err != nil {
			return err
		}
		d, err := t.dirent(parent, name)
		switch {
		case err != nil:
			return err
		case d.node() == 0:
			return objstore.NoSuchNode
		case d.dir == 0:
			return objstore.NotDirectory
		}
		p.implicit = false
		return t.removeDir(p, name, d)
	})
}

func (t *txn) removeDir(p *inode, name string, d dirent) error {
	in, err := t.edit(d.dir)
	if err != nil {
		return err
	}
	if err := t.dropSelf(in); err != nil {
		return err
	}
	empty, err := t.empty(direntKey(in.Ino, ""))
	if err != nil {
		return err
	}
	if !empty {
		return objstore.NotEmpty
	}
	if err := t.leaveGhost(p.hist, name, in.hist); err != nil {
		return err
	}
	t.setDirent(p.Ino, name, dirent{file: d.file})
	t.edited[in.Ino] = nil
	p.Nlink--
	t.touch(p)
	return nil
}

// dropSelf removes the object whose key is the directory's, with a "/" at its end: no mount shows it, so it must not keep
// a directory from being removed.
func (t *txn) dropSelf(dir *inode) error {
	d, err := t.dirent(dir.Ino, "")
	if err != nil || d.file == 0 {
		return err
	}
	return t.unlinkFile(dir, "", d.file, true)
}

// leaveGhost keeps the way to the old versions of a directory that goes.
func (t *txn) leaveGhost(h histID, name string, dir histID) error {
	empty, err := t.pruneGhosts(dir)
	if err == nil && !empty {
		t.putGhost(h, name, dir)
	}
	return err
}

// empty reports that no key has the prefix.
func (t *txn) empty(prefix []byte) (bool, error) {
	none := true
	err := t.Ascend(prefix, after(prefix), func(_, _ []byte) (bool, error) {
		none = false
		return false, nil
	})
	return none, err
}

// PathOf gives a node's bucket and key.
func (s *Store) PathOf(_ context.Context, ino objstore.Ino) (bucket, key string, err error) {
	err = s.view("PathOf", func(r kv.Reader) error {
		in, err := s.inode(r, ino)
		if err != nil {
			return err
		}
		bucket, key, err = s.path(r, in)
		return err
	})
	return bucket, key, err
}

// path walks up to the bucket's root. A directory's key ends in "/".
func (s *Store) path(r getter, in *inode) (bucket, key string, err error) {
	if isDir(in.Mode) && in.Parent != 0 {
		key = "/"
	}
	key = in.Name + key
	name := in.Bucket
	for in.Parent != 0 {
		if in, err = s.inode(r, in.Parent); err != nil {
			return "", "", err
		}
		if in.Parent != 0 {
			key = in.Name + "/" + key
		}
	}
	return name, key, nil
}
