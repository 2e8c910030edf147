package badgerstore

import (
	"strings"
	"unicode/utf8"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// maxKey is S3's limit of a key, in bytes of UTF-8.
const maxKey = 1024

// spot is where a key lies: the name of a directory, or of the history of a directory that is gone.
type spot struct {
	dir  *inode // nil when the directory is gone
	hist histID
	name string
}

func splitKey(key string) (dirs []string, name string) {
	parts := strings.Split(key, "/")
	return parts[:len(parts)-1], parts[len(parts)-1]
}

func checkKey(key string) error {
	switch {
	case key == "" || strings.Contains(key, "\x00") || !utf8.ValidString(key):
		return fail(objstore.InvalidArgument, "%q is no key: it has to be UTF-8 without NUL", key)
	case len(key) > maxKey:
		return fail(objstore.KeyTooLong, "Your key is too long: %d bytes, at most %d", len(key), maxKey)
	}
	return nil
}

// locate finds where a key lies. ok is false when there neither is nor was such a directory.
func (s *Store) locate(r kv.Reader, b *bucket, key string) (sp spot, ok bool, err error) {
	dirs, name := splitKey(key)
	dir, err := s.inode(r, b.Root)
	if err != nil {
		return sp, false, err
	}
	sp = spot{dir, dir.hist, name}
	for _, d := range dirs {
		if sp, ok, err = s.step(r, sp, d); !ok || err != nil {
			return sp, false, err
		}
	}
	sp.name = name
	return sp, true, nil
}

// step goes down one directory.
func (s *Store) step(r kv.Reader, sp spot, name string) (next spot, ok bool, err error) {
	if sp.dir != nil {
		d, err := s.dirent(r, sp.dir.Ino, name)
		if err != nil {
			return sp, false, err
		}
		if d.dir != 0 {
			in, err := s.inode(r, d.dir)
			if err != nil {
				return sp, false, missingInode(err, name, d.dir)
			}
			return spot{dir: in, hist: in.hist}, true, nil
		}
	}
	old, ok, err := readGhost(r, sp.hist, name)
	return spot{hist: old}, ok, err
}

// current gives the inode whose version is the current one of the spot; nil when there is none.
func (s *Store) current(r getter, sp spot) (*inode, error) {
	if sp.dir == nil {
		return nil, nil
	}
	d, err := s.dirent(r, sp.dir.Ino, sp.name)
	if err != nil || d.file == 0 {
		return nil, err
	}
	in, err := s.inode(r, d.file)
	if err != nil {
		return nil, missingInode(err, sp.name, d.file)
	}
	if !in.isObject() {
		return nil, nil
	}
	return in, nil
}

// marker gives the directory that a key with a "/" at its end stands for.
func (sp spot) marker() *inode {
	if sp.name == "" && sp.dir != nil && sp.dir.Parent != 0 && !sp.dir.implicit {
		return sp.dir
	}
	return nil
}

// find gives a version of a key: the current one for "".
func (s *Store) find(r kv.Reader, b *bucket, key string, id objstore.VersionID) (in *inode, latest bool, err error) {
	missing := objstore.NoSuchKey
	if id != "" {
		missing = objstore.NoSuchVersion
	}
	sp, ok, err := s.locate(r, b, key)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		return nil, false, missing
	}
	cur, err := s.current(r, sp)
	if err != nil {
		return nil, false, err
	}
	if cur != nil && (id == "" || cur.ver.id == id) {
		return cur, true, nil
	}
	if dir := sp.marker(); dir != nil && (id == "" || id == objstore.NullVersion) {
		return dir, true, nil
	}
	first := cur == nil
	err = s.eachNoncurrent(r, namesPrefix(sp.hist, sp.name), func(_ []byte, old *inode) (bool, error) {
		if id == "" || old.ver.id == id {
			in, latest = old, first
			in.Bucket = b.Name
			return false, nil
		}
		first = false
		return true, nil
	})
	if err != nil {
		return nil, false, err
	}
	if in == nil || id == "" {
		return in, latest, missing
	}
	return in, latest, nil
}

// makeDirs gives the directory that a key lies in, made where it is missing: as one that exists only because of
// the keys under it.
func (t *txn) makeDirs(b *bucket, key string) (*inode, string, error) {
	dirs, name := splitKey(key)
	p, err := t.directory(b.Root)
	if err != nil {
		return nil, "", err
	}
	for _, d := range dirs {
		e, err := t.dirent(p.Ino, d)
		if err != nil {
			return nil, "", err
		}
		if e.dir != 0 {
			if p, err = t.directory(e.dir); err != nil {
				return nil, "", err
			}
			continue
		}
		if p, err = t.newInode(p, d, objstore.NodeInit{Mode: sIFDIR | 0o755}); err != nil {
			return nil, "", err
		}
		p.implicit = true
	}
	return p, name, nil
}

// prune removes directories that existed only because of a key that is gone.
func (t *txn) prune(dir *inode) error {
	for dir.implicit && dir.Parent != 0 {
		empty, err := t.empty(direntKey(dir.Ino, ""))
		if err != nil || !empty {
			return err
		}
		p, err := t.directory(dir.Parent)
		if err != nil {
			return err
		}
		d, err := t.dirent(p.Ino, dir.Name)
		if err != nil {
			return err
		}
		if err := t.removeDir(p, dir.Name, d); err != nil {
			return err
		}
		dir = p
	}
	return nil
}
