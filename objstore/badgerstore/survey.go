package badgerstore

import (
	"errors"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// survey is what all records together say. Its steps are those of one change, so that nothing moves meanwhile.
type survey struct {
	m *mender
	t *txn

	nodes    map[objstore.Ino]*surveyed
	lost     map[objstore.Ino][]place // names that lead to a file without a record
	lostDirs map[objstore.Ino]place   // ... to a directory without a record
	links    map[objstore.Ino][]place // link records
	bucketOf map[objstore.Ino]bucketID
	histOf   map[objstore.Ino]histID // the history that names of a directory have old versions in
	olds     map[histID]bucketID     // histories with old versions
	unused   [][]byte                // use records to remove
	missing  [][]byte                // use records to write
}

// surveyed is what of an inode counts here.
type surveyed struct {
	place
	bucket bucketID
	hist   histID
	dir    bool
	nlink  uint32
	uses   seal.ContentID
	names  []place // that lead to it
}

// structure brings the records in line with each other.
func (m *mender) structure() error {
	return m.change(func(t *txn) error {
		v := &survey{m: m, t: t, nodes: map[objstore.Ino]*surveyed{}, lost: map[objstore.Ino][]place{},
			lostDirs: map[objstore.Ino]place{}, links: map[objstore.Ino][]place{}, bucketOf: map[objstore.Ino]bucketID{},
			histOf: map[objstore.Ino]histID{}, olds: map[histID]bucketID{}}
		for _, step := range []func() error{
			v.readInodes, v.readOld, v.readDrafts, v.readUses, v.readLinks, v.readNames, // what there is
			v.roots, v.directories, v.namesOfLinks, v.namesOfNodes, v.placeholders, v.linkRecords, v.dirLinks, // the tree
			v.uses, v.histories, // what hangs on it
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// each visits the records of a kind; it may change nothing.
func (v *survey) each(kind byte, fn func(k, rec []byte) error) error {
	return v.t.Ascend([]byte{kind}, []byte{kind + 1}, func(k, rec []byte) (bool, error) {
		if err := v.m.step(); err != nil {
			return false, err
		}
		return true, fn(k, rec)
	})
}

func (v *survey) readInodes() error {
	return v.each(kInode, func(k, rec []byte) error {
		in, err := unmarshalInode(rec)
		if err != nil {
			return err
		}
		n := &surveyed{place: place{in.Parent, in.Name}, bucket: in.bucket, hist: in.hist, dir: isDir(in.Mode), nlink: in.Nlink}
		if in.Parent != 0 {
			v.bucketOf[in.Parent] = in.bucket
		}
		v.nodes[in.Ino] = n
		if in.ver != nil {
			n.uses = in.ver.content
		}
		return v.use(n.uses, k)
	})
}

// use notes that the record under k uses a content, if that is not on record.
func (v *survey) use(id seal.ContentID, k []byte) error {
	if id == noContent {
		return nil
	}
	key := refKey(id, k)
	_, err := v.t.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		v.missing, err = append(v.missing, key), nil
	}
	return err
}

func (v *survey) readOld() error {
	return v.each(kNoncurrent, func(k, rec []byte) error {
		in, err := unmarshalInode(rec)
		if err != nil {
			return err
		}
		h, _, _, _ := splitNoncurrent(k)
		v.olds[h] = in.bucket
		v.histOf[in.Parent] = h
		v.bucketOf[in.Parent] = in.bucket
		return v.use(in.ver.content, k)
	})
}

func (v *survey) readDrafts() error {
	return v.each(kDraft, func(k, rec []byte) error {
		in, err := unmarshalInode(rec)
		if err != nil {
			return err
		}
		return v.use(in.ver.content, k)
	})
}

// readUses finds use records whose holder is gone or has another content.
func (v *survey) readUses() error {
	return v.each(kRef, func(k, _ []byte) error {
		id, holder := seal.ContentID(k[1:17]), k[17:]
		var has seal.ContentID
		if len(holder) == 9 && holder[0] == kInode {
			if n := v.nodes[inoOf(holder)]; n != nil {
				has = n.uses
			}
		} else if in, err := getInode(v.t, holder); err == nil && in.ver != nil {
			has = in.ver.content
		} else if err != nil && objstore.CodeOf(err) != objstore.IntegrityError {
			return err
		}
		if has != id {
			v.unused = append(v.unused, append([]byte{}, k...))
		}
		return nil
	})
}

func (v *survey) readLinks() error {
	return v.each(kLink, func(k, _ []byte) error {
		v.links[inoOf(k)] = append(v.links[inoOf(k)], place{inoOf(k[8:]), string(k[17:])})
		return nil
	})
}

// readNames notes which names lead where. A name that leads to the wrong kind of node is corrected.
func (v *survey) readNames() error {
	wrong := map[place]dirent{}
	err := v.each(kDirent, func(k, rec []byte) error {
		at := place{inoOf(k), string(k[9:])}
		d, err := unmarshalDirent(rec)
		if err != nil {
			return err
		}
		right := v.note(at, d)
		if right != d || right == (dirent{}) {
			wrong[at] = right
		}
		return nil
	})
	for at, d := range wrong {
		v.t.setDirent(at.dir, at.name, d)
		v.m.mended("", at.name, "the name led to a node of another kind")
	}
	return err
}

// note takes down what a name leads to. It answers the name's record without what cannot be right.
func (v *survey) note(at place, d dirent) dirent {
	if d.file != 0 {
		switch n := v.nodes[d.file]; {
		case n == nil:
			v.lost[d.file] = append(v.lost[d.file], at)
		case n.dir:
			d.file = 0
		default:
			n.names = append(n.names, n.shared(at))
		}
	}
	if d.dir != 0 {
		switch n := v.nodes[d.dir]; {
		case n == nil && v.lostDirs[d.dir] == (place{}):
			v.lostDirs[d.dir] = at
		case n == nil || !n.dir || n.place.dir == 0: // a second name, no directory, or a root
			d.dir = 0
		default:
			n.names = append(n.names, n.shared(at))
		}
	}
	return d
}

// shared gives at without a second copy of the name.
func (n *surveyed) shared(at place) place {
	if at == n.place {
		return n.place
	}
	return at
}
