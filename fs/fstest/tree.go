package fstest

import (
	"context"
	"io"
	"maps"
	"slices"

	"kmsfs/objstore"
)

// Node implements objstore.Tree.
func (s *Store) Node(_ context.Context, ino objstore.Ino) (*objstore.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "node")
	if err != nil {
		return nil, err
	}
	return n.snapshot(), nil
}

// Lookup implements objstore.Tree.
func (s *Store) Lookup(_ context.Context, parent objstore.Ino, name string) (*objstore.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, n, err := s.child(parent, name, "lookup")
	if err != nil {
		return nil, err
	}
	return n.snapshot(), nil
}

// ReadDir implements objstore.Tree.
func (s *Store) ReadDir(_ context.Context, dir objstore.Ino, after string, limit int, plus bool) ([]objstore.DirEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.dir(dir, "readdir")
	if err != nil {
		return nil, err
	}
	var out []objstore.DirEntry
	for _, name := range slices.Sorted(maps.Keys(d.children)) {
		if name <= after || len(out) == limit {
			continue
		}
		n := s.nodes[d.children[name]]
		e := objstore.DirEntry{Name: name, Ino: n.Ino, Type: n.Mode & 0o170000}
		if plus {
			e.Node = n.snapshot()
		}
		out = append(out, e)
	}
	return out, nil
}

// Create implements objstore.Tree.
func (s *Store) Create(_ context.Context, parent objstore.Ino, name string, init objstore.NodeInit) (*objstore.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, old, err := s.child(parent, name, "create")
	if old != nil {
		return nil, fail(objstore.NodeExists, "create")
	}
	if d == nil {
		return nil, err
	}
	n := s.make(init)
	n.Bucket = d.Bucket
	s.link(d, name, n)
	return n.snapshot(), nil
}

func (s *Store) link(d *node, name string, n *node) {
	d.children[name] = n.Ino
	d.touch(true)
	n.links = append(n.links, place{d.Ino, name})
	n.Parent, n.Name = n.links[0].parent, n.links[0].name
	if isDir(n) {
		d.Nlink++
	} else {
		n.Nlink = uint32(len(n.links))
	}
}

func (s *Store) unlink(d *node, name string, n *node) {
	delete(d.children, name)
	d.touch(true)
	n.touch(false)
	n.links = slices.DeleteFunc(n.links, func(p place) bool { return p == place{d.Ino, name} })
	if isDir(n) {
		d.Nlink--
		n.Nlink = 0
	} else {
		n.Nlink = uint32(len(n.links))
	}
	if len(n.links) > 0 {
		n.Parent, n.Name = n.links[0].parent, n.links[0].name
	}
}

// forgetIfUnused removes a node without names that is not open.
func (s *Store) forgetIfUnused(n *node) {
	if len(n.links) == 0 && s.open[n.Ino] == 0 {
		delete(s.nodes, n.Ino)
	}
}

// Link implements objstore.Tree.
func (s *Store) Link(_ context.Context, ino, parent objstore.Ino, name string) (*objstore.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "link")
	if err != nil {
		return nil, err
	}
	d, old, err := s.child(parent, name, "link")
	if old != nil {
		return nil, fail(objstore.NodeExists, "link")
	}
	if d == nil {
		return nil, err
	}
	s.link(d, name, n)
	n.touch(false)
	return n.snapshot(), nil
}

// Unlink implements objstore.Tree.
func (s *Store) Unlink(_ context.Context, parent objstore.Ino, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, n, err := s.child(parent, name, "unlink")
	if err != nil {
		return err
	}
	if isDir(n) {
		return fail(objstore.IsDirectory, "unlink")
	}
	s.remove(d, name, n)
	return nil
}

func (s *Store) remove(d *node, name string, n *node) {
	for _, v := range n.versions {
		v.IsLatest = false
	}
	p := place{d.Ino, name}
	s.deleted[p] = append(s.deleted[p], n.versions...)
	s.unlink(d, name, n)
	s.forgetIfUnused(n)
}

// Rmdir implements objstore.Tree.
func (s *Store) Rmdir(_ context.Context, parent objstore.Ino, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, n, err := s.child(parent, name, "rmdir")
	if err != nil {
		return err
	}
	if !isDir(n) {
		return fail(objstore.NotDirectory, "rmdir")
	}
	if len(n.children) > 0 {
		return fail(objstore.NotEmpty, "rmdir")
	}
	s.unlink(d, name, n)
	s.forgetIfUnused(n)
	return nil
}

// Rename implements objstore.Tree.
func (s *Store) Rename(_ context.Context, parent objstore.Ino, name string, newParent objstore.Ino, newName string, mode objstore.RenameMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, n, err := s.child(parent, name, "rename")
	if err != nil {
		return err
	}
	nd, target, err := s.child(newParent, newName, "rename")
	if nd == nil {
		return err
	}
	if err := s.renamable(d, n, nd, target, mode); err != nil {
		return err
	}
	if target == n {
		return nil
	}
	s.unlink(d, name, n)
	if target != nil {
		if mode == objstore.RenameExchange {
			s.unlink(nd, newName, target)
			s.link(d, name, target)
		} else {
			s.remove(nd, newName, target)
		}
	}
	s.link(nd, newName, n)
	for _, moved := range []*node{n, target} {
		if moved != nil && isDir(moved) && len(moved.links) > 0 {
			moved.Nlink = 2 + s.subdirs(moved)
		}
	}
	return nil
}

func (s *Store) subdirs(n *node) (count uint32) {
	for _, ino := range n.children {
		if isDir(s.nodes[ino]) {
			count++
		}
	}
	return count
}

func (s *Store) renamable(d, n, nd, target *node, mode objstore.RenameMode) error {
	switch {
	case d.Bucket != nd.Bucket:
		return fail(objstore.CrossBucket, "rename")
	case target == nil && mode == objstore.RenameExchange:
		return fail(objstore.NoSuchNode, "rename")
	case target == nil || mode == objstore.RenameExchange:
		return nil
	case mode == objstore.RenameNoReplace:
		return fail(objstore.NodeExists, "rename")
	case isDir(target) && !isDir(n):
		return fail(objstore.IsDirectory, "rename")
	case isDir(n) && !isDir(target):
		return fail(objstore.NotDirectory, "rename")
	case len(target.children) > 0:
		return fail(objstore.NotEmpty, "rename")
	}
	return nil
}

// SetAttr implements objstore.Tree.
func (s *Store) SetAttr(_ context.Context, ino objstore.Ino, c objstore.AttrChange) (*objstore.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "setattr")
	if err != nil {
		return nil, err
	}
	n.apply(c)
	return n.snapshot(), nil
}

func (n *node) apply(c objstore.AttrChange) {
	n.touch(false)
	if c.Mode != nil {
		n.Mode = n.Mode&0o170000 | *c.Mode
	}
	for _, p := range []struct{ to, from *uint32 }{{&n.UID, c.UID}, {&n.GID, c.GID}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	for _, p := range []struct{ to, from *objstore.Time }{{&n.Atime, c.Atime}, {&n.Mtime, c.Mtime}, {&n.Ctime, c.Ctime}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	if c.Xattr != nil {
		n.setXattr(*c.Xattr)
	}
}

func (n *node) setXattr(c objstore.XattrChange) {
	n.Xattrs = maps.Clone(n.Xattrs)
	if n.Xattrs == nil {
		n.Xattrs = map[string][]byte{}
	}
	if delete(n.Xattrs, c.Name); c.Value != nil {
		n.Xattrs[c.Name] = c.Value
	}
}

// SetXattr implements objstore.Tree.
func (s *Store) SetXattr(_ context.Context, ino objstore.Ino, name string, value []byte, mode objstore.XattrMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "setxattr")
	if err != nil {
		return err
	}
	_, has := n.Xattrs[name]
	if has && mode == objstore.XattrCreate {
		return fail(objstore.XattrExists, "setxattr")
	}
	if !has && mode == objstore.XattrReplace {
		return fail(objstore.NoSuchXattr, "setxattr")
	}
	n.setXattr(objstore.XattrChange{Name: name, Value: append([]byte{}, value...)})
	n.touch(false)
	return nil
}

// RemoveXattr implements objstore.Tree.
func (s *Store) RemoveXattr(_ context.Context, ino objstore.Ino, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "removexattr")
	if err != nil {
		return err
	}
	if _, has := n.Xattrs[name]; !has {
		return fail(objstore.NoSuchXattr, "removexattr")
	}
	n.setXattr(objstore.XattrChange{Name: name})
	n.touch(false)
	return nil
}

// Rewrap implements objstore.Tree.
func (s *Store) Rewrap(ctx context.Context, ino objstore.Ino, enc objstore.Encryption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "rewrap")
	if err != nil {
		return err
	}
	if enc, err = resolve(enc); err != nil {
		return err
	}
	n.Stored = enc
	return nil
}

func (s *Store) versions(parent objstore.Ino, name string) []*version {
	out := slices.Clone(s.deleted[place{parent, name}])
	if d := s.nodes[parent]; d != nil {
		if ino, ok := d.children[name]; ok {
			out = append(out, s.nodes[ino].versions...)
		}
	}
	slices.Reverse(out)
	return out
}

// Versions implements objstore.Tree.
func (s *Store) Versions(_ context.Context, parent objstore.Ino, name string) ([]objstore.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []objstore.Object
	for _, v := range s.versions(parent, name) {
		out = append(out, v.Object)
	}
	return out, nil
}

// VersionNames implements objstore.Tree.
func (s *Store) VersionNames(_ context.Context, dir objstore.Ino, after string, limit int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for p, list := range s.deleted {
		if p.parent == dir && len(list) > 0 {
			names[p.name] = true
		}
	}
	for name, ino := range s.nodes[dir].children {
		if len(s.nodes[ino].versions) > 1 {
			names[name] = true
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name > after && len(out) < limit {
			out = append(out, name)
		}
	}
	return out, nil
}

type reader struct{ *io.SectionReader }

func (reader) Close() error { return nil }

// OpenVersion implements objstore.Tree.
func (s *Store) OpenVersion(_ context.Context, parent objstore.Ino, name string, id objstore.VersionID) (*objstore.Node, objstore.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.versions(parent, name) {
		if v.VersionID == id {
			n := v.node
			return &n, reader{io.NewSectionReader(v.content, 0, v.content.size)}, nil
		}
	}
	return nil, nil, fail(objstore.NoSuchVersion, "open")
}

// VersionNode implements objstore.Tree.
func (s *Store) VersionNode(ctx context.Context, parent objstore.Ino, name string, v objstore.VersionID) (*objstore.Node, error) {
	n, _, err := s.OpenVersion(ctx, parent, name, v)
	return n, err
}

// Restore implements objstore.Tree: it does nothing, package fs does not call it.
func (s *Store) Restore(context.Context, objstore.Ino, string, objstore.VersionID) (*objstore.Node, error) {
	return nil, fail(objstore.InvalidRequest, "restore")
}

// PathOf implements objstore.Tree.
func (s *Store) PathOf(_ context.Context, ino objstore.Ino) (bucket, key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "path")
	if err != nil {
		return "", "", err
	}
	bucket = n.Bucket
	if isDir(n) && n.Parent != 0 {
		key = "/"
	}
	for n.Parent != 0 {
		key = n.Name + key
		if n = s.nodes[n.Parent]; n.Parent != 0 {
			key = "/" + key
		}
	}
	return bucket, key, nil
}
