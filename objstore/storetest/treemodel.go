package storetest

import (
	"maps"
	"slices"

	"kmsfs/objstore"
)

// treeModel is a file tree in memory: what POSIX says that the calls of an objstore.Tree do.
type treeModel struct {
	root *treeNode
}

type treeNode struct {
	ino    objstore.Ino // the store's, noted when the node was made
	dir    bool
	mode   uint32
	nlink  int
	names  map[string]*treeNode
	parent *treeNode
	xattrs map[string]string
	body   string
}

func newTreeModel(root objstore.Ino) *treeModel {
	return &treeModel{root: &treeNode{ino: root, dir: true, nlink: 2, names: map[string]*treeNode{}, xattrs: map[string]string{}}}
}

// dirs lists the directories that are in the tree, root first.
func (m *treeModel) dirs() (out []*treeNode) {
	var walk func(*treeNode)
	walk = func(d *treeNode) {
		out = append(out, d)
		for _, name := range slices.Sorted(maps.Keys(d.names)) {
			if c := d.names[name]; c.dir {
				walk(c)
			}
		}
	}
	walk(m.root)
	return out
}

func (m *treeModel) create(p *treeNode, name string, dir bool) objstore.Code {
	if p.names[name] != nil {
		return objstore.NodeExists
	}
	n := &treeNode{dir: dir, nlink: 1, xattrs: map[string]string{}}
	if dir {
		n.nlink, n.parent, n.names = 2, p, map[string]*treeNode{}
		p.nlink++
	}
	p.names[name] = n
	return ""
}

func (m *treeModel) link(n, p *treeNode, name string) objstore.Code {
	switch {
	case p.names[name] != nil:
		return objstore.NodeExists
	case n.dir:
		return objstore.NotPermitted
	}
	n.nlink++
	p.names[name] = n
	return ""
}

func (m *treeModel) unlink(p *treeNode, name string) objstore.Code {
	n := p.names[name]
	switch {
	case n == nil:
		return objstore.NoSuchNode
	case n.dir:
		return objstore.IsDirectory
	}
	n.nlink--
	delete(p.names, name)
	return ""
}

func (m *treeModel) rmdir(p *treeNode, name string) objstore.Code {
	n := p.names[name]
	switch {
	case n == nil:
		return objstore.NoSuchNode
	case !n.dir:
		return objstore.NotDirectory
	case len(n.names) > 0:
		return objstore.NotEmpty
	}
	n.nlink = 0
	p.nlink--
	delete(p.names, name)
	return ""
}

func (n *treeNode) below(dir *treeNode) bool {
	for d := n; d != nil; d = d.parent {
		if d == dir {
			return true
		}
	}
	return false
}

func (m *treeModel) rename(p *treeNode, name string, q *treeNode, newName string, mode objstore.RenameMode) objstore.Code {
	src, dst := p.names[name], q.names[newName]
	switch {
	case src == nil, mode == objstore.RenameExchange && dst == nil:
		return objstore.NoSuchNode
	case mode == objstore.RenameNoReplace && dst != nil:
		return objstore.NodeExists
	case src == dst:
		return ""
	case src.dir && q.below(src):
		return objstore.InvalidMove
	case mode == objstore.RenameExchange && dst.dir && p.below(dst):
		return objstore.InvalidMove
	}
	if mode == objstore.RenameExchange {
		p.names[name], q.names[newName] = dst, src
		src.moved(p, q)
		dst.moved(q, p)
		return ""
	}
	if code := m.makeWay(src, dst, q, newName); code != "" {
		return code
	}
	delete(p.names, name)
	q.names[newName] = src
	src.moved(p, q)
	return ""
}

func (n *treeNode) moved(from, to *treeNode) {
	if n.dir {
		n.parent = to
		from.nlink--
		to.nlink++
	}
}

func (m *treeModel) makeWay(src, dst, q *treeNode, name string) objstore.Code {
	switch {
	case dst == nil:
		return ""
	case src.dir && !dst.dir:
		return objstore.NotDirectory
	case !src.dir && dst.dir:
		return objstore.IsDirectory
	case src.dir:
		return m.rmdir(q, name)
	}
	return m.unlink(q, name)
}
