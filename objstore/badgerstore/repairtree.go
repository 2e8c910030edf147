package badgerstore

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"kmsfs/objstore"
)

func inos[V any](m map[objstore.Ino]V) []objstore.Ino { return slices.Sorted(maps.Keys(m)) }

// roots gives back the bucket of a root that none has.
func (v *survey) roots() error {
	known := map[objstore.Ino]bool{}
	for _, b := range v.m.s.byID {
		known[b.Root] = true
	}
	for _, ino := range inos(v.nodes) {
		n := v.nodes[ino]
		if !n.dir || n.place.dir != 0 || known[ino] || v.m.s.byID[n.bucket] != nil {
			continue
		}
		b := &bucket{id: n.bucket, Bucket: objstore.Bucket{Name: fmt.Sprintf("recovered-%d", n.bucket), Root: ino,
			Created: v.t.now.Time(), Versioning: objstore.VersioningEnabled, Default: objstore.Encryption{Algorithm: objstore.AES256}}}
		v.t.putBucket(b)
		v.m.lost(b.Name, "", "the record of a bucket was lost: its objects are in this one, and its settings have to be set again")
	}
	return nil
}

// directories makes the records of directories anew that names or nodes need.
func (v *survey) directories() error {
	need := map[objstore.Ino]bool{}
	for _, b := range v.m.s.byID {
		need[b.Root] = true
		v.bucketOf[b.Root] = b.id
	}
	for ino, at := range v.lostDirs {
		need[ino], need[at.dir] = true, true
	}
	for _, names := range v.lost {
		for _, at := range names {
			need[at.dir] = true
		}
	}
	for _, n := range v.nodes {
		for _, at := range append(n.names, n.place) {
			need[at.dir] = true
		}
	}
	delete(need, 0)
	for _, ino := range inos(need) {
		if n := v.nodes[ino]; n == nil {
			if err := v.makeDir(ino); err != nil {
				return err
			}
		} else if !n.dir {
			return fail(objstore.IntegrityError, "inode %d has names below it and is no directory", ino)
		}
	}
	return nil
}

// makeDir makes a directory's record anew, under the name that leads to it, or under one of its own. Its attributes are
// lost: what cannot be told is as closed as it can be.
func (v *survey) makeDir(ino objstore.Ino) error {
	b := v.bucketFor(ino)
	if b == nil {
		return fail(objstore.IntegrityError, "there are objects, and no bucket that they could be in")
	}
	n := &surveyed{place: v.lostDirs[ino], bucket: b.id, hist: histID(ino), dir: true}
	if h, ok := v.histOf[ino]; ok && !v.taken(h) {
		n.hist = h
	}
	in := &inode{bucket: b.id, hist: n.hist, Node: objstore.Node{Ino: ino, Bucket: b.Name, Mode: sIFDIR | 0o700,
		Atime: v.t.now, Mtime: v.t.now, Ctime: v.t.now, Btime: v.t.now}}
	switch {
	case ino == b.Root:
		in.Mode = sIFDIR | 0o755
	case n.place == place{}: // namesOfNodes gives it this name
		n.place = place{b.Root, fmt.Sprintf("lost+found-%d", ino)}
	default:
		n.names = []place{n.place}
	}
	in.Parent, in.Name = n.place.dir, n.place.name
	v.nodes[ino], v.t.edited[ino] = n, in
	v.m.lost(b.Name, n.place.name, "the record of the directory was lost and is made anew: owner, mode, times and attributes are lost, what lies in it is there")
	return nil
}

// taken reports that a directory has a history.
func (v *survey) taken(h histID) bool {
	for _, n := range v.nodes {
		if n.dir && n.hist == h {
			return true
		}
	}
	return false
}

// bucketFor tells which bucket a lost directory was in: that of what lies in it, or else of what it lies in.
func (v *survey) bucketFor(ino objstore.Ino) *bucket {
	for range 1024 {
		if b := v.m.s.byID[v.bucketOf[ino]]; b != nil {
			return b
		}
		if n := v.nodes[ino]; n != nil {
			if b := v.m.s.byID[n.bucket]; b != nil {
				return b
			}
			break
		}
		if ino = v.lostDirs[ino].dir; ino == 0 {
			break
		}
	}
	all := slices.SortedFunc(maps.Values(v.m.s.byID), func(a, b *bucket) int { return cmp.Compare(a.id, b.id) })
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// namesOfLinks writes a name anew that only the record of a further link still has.
func (v *survey) namesOfLinks() error {
	for _, ino := range inos(v.links) {
		n := v.nodes[ino]
		if n == nil || n.nlink == 0 {
			continue
		}
		for _, at := range v.links[ino] {
			if p := v.nodes[at.dir]; slices.Contains(n.names, at) || p == nil || !p.dir {
				continue
			}
			if _, err := v.claim(ino, n, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesOfNodes gives a node without a name the one that its record has, or one like it.
func (v *survey) namesOfNodes() error {
	for _, ino := range inos(v.nodes) {
		n := v.nodes[ino]
		var err error
		switch {
		case n.place.dir == 0 && len(n.names) == 0: // a root, or unlinked
			err = v.unlinked(ino, n)
		case slices.Contains(n.names, n.place):
		case n.place.dir != 0:
			err = v.rename(ino, n)
		}
		if err == nil && n.dir && len(n.names) > 1 {
			err = v.oneName(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unlinked sees to it that a file without a name goes with whoever has it open.
func (v *survey) unlinked(ino objstore.Ino, n *surveyed) error {
	if n.dir {
		return nil
	}
	if ok, err := v.t.empty(orphanKey(ino)); err != nil || !ok {
		return err
	}
	v.t.Put(orphanKey(ino), nil)
	v.m.mended("", "", "inode %d was unlinked and left behind", ino)
	return nil
}

// rename gives a node back its first name.
func (v *survey) rename(ino objstore.Ino, n *surveyed) error {
	ok, err := v.claim(ino, n, n.place)
	if err != nil || ok || len(n.names) > 0 {
		return err
	}
	name, err := v.t.freeName(n.place.dir, n.place.name, ino)
	if err != nil {
		return err
	}
	_, err = v.claim(ino, n, place{n.place.dir, name})
	return err
}

// claim lets a name lead to a node, where it leads nowhere or to what is lost.
func (v *survey) claim(ino objstore.Ino, n *surveyed, at place) (ok bool, err error) {
	d, err := v.t.dirent(at.dir, at.name)
	if err != nil {
		return false, err
	}
	lost := d.file != 0 && v.nodes[d.file] == nil
	switch {
	case n.dir && d.dir != 0, !n.dir && d.file != 0 && !lost:
		return false, nil
	case lost:
		v.forget(d.file, at)
		d.file = 0
	}
	if n.dir {
		d.dir = ino
	} else {
		d.file = ino
	}
	v.t.setDirent(at.dir, at.name, d)
	n.names = append(n.names, at)
	v.m.mended(v.m.s.bucketName(n.bucket), at.name, "the name is there again: inode %d could not be reached", ino)
	if !n.dir {
		return true, nil
	}
	in, err := v.t.edit(ino)
	if err != nil {
		return false, err
	}
	return true, v.t.meetHistory(v.nodes[at.dir].hist, at.name, in)
}

// forget takes a name from a lost file.
func (v *survey) forget(ino objstore.Ino, at place) {
	v.lost[ino] = slices.DeleteFunc(v.lost[ino], func(p place) bool { return p == at })
}

// oneName leaves a directory one name.
func (v *survey) oneName(n *surveyed) error {
	keep := n.names[0]
	if slices.Contains(n.names, n.place) {
		keep = n.place
	}
	for _, at := range n.names {
		if at == keep {
			continue
		}
		d, err := v.t.dirent(at.dir, at.name)
		if err != nil {
			return err
		}
		d.dir = 0
		v.t.setDirent(at.dir, at.name, d)
		v.m.mended("", at.name, "a second name of a directory is removed")
	}
	n.names = []place{keep}
	return nil
}

// linkRecords brings the first name, the records of further names, and the number of names in line with the names.
func (v *survey) linkRecords() error {
	for _, ino := range inos(v.links) {
		if v.nodes[ino] == nil {
			v.setLinks(ino, nil)
		}
	}
	for _, ino := range inos(v.nodes) {
		n := v.nodes[ino]
		if len(n.names) == 0 {
			continue
		}
		if !slices.Contains(n.names, n.place) || !n.dir && n.nlink != uint32(len(n.names)) {
			if err := v.rewrite(ino, n); err != nil {
				return err
			}
		}
		v.setLinks(ino, slices.DeleteFunc(slices.Clone(n.names), func(at place) bool { return at == n.place }))
	}
	return nil
}

func (v *survey) rewrite(ino objstore.Ino, n *surveyed) error {
	in, err := v.t.edit(ino)
	if err != nil {
		return err
	}
	if !slices.Contains(n.names, n.place) {
		n.place = n.names[0]
		in.Parent, in.Name = n.place.dir, n.place.name
		v.m.mended(in.Bucket, in.Name, "the record of inode %d had another name", ino)
	}
	if !n.dir && in.Nlink != uint32(len(n.names)) {
		v.m.mended(in.Bucket, in.Name, "it has %d names, not %d", len(n.names), in.Nlink)
		in.Nlink = uint32(len(n.names))
		v.t.Delete(orphanKey(ino))
	}
	return nil
}

// setLinks makes the records of a file's further names what they have to be.
func (v *survey) setLinks(ino objstore.Ino, want []place) {
	for _, at := range v.links[ino] {
		if !slices.Contains(want, at) {
			v.t.Delete(linkKey(ino, at.dir, at.name))
			v.m.mended("", at.name, "the record of a link that does not exist is removed")
		}
	}
	for _, at := range want {
		if !slices.Contains(v.links[ino], at) {
			v.t.Put(linkKey(ino, at.dir, at.name), nil)
			v.m.mended("", at.name, "the record of a link was missing")
		}
	}
}

// dirLinks counts the links of directories.
func (v *survey) dirLinks() error {
	subdirs := map[objstore.Ino]uint32{}
	for _, n := range v.nodes {
		if n.dir && n.place.dir != 0 {
			subdirs[n.place.dir]++
		}
	}
	for _, ino := range inos(v.nodes) {
		n := v.nodes[ino]
		want := 2 + subdirs[ino]
		if !n.dir || n.nlink == want {
			continue
		}
		in, err := v.t.edit(ino)
		if err != nil {
			return err
		}
		if in.Nlink != 0 {
			v.m.mended(in.Bucket, in.Name, "the directory has %d links, not %d", want, in.Nlink)
		}
		in.Nlink = want
	}
	return nil
}
