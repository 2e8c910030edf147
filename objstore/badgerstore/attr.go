package badgerstore

import (
	"context"
	"maps"

	"kmsfs/objstore"
)

// maxXattrs bounds the extended attributes of one node: names and values together.
const maxXattrs = 128 << 10

// maxXattrNames bounds the names, each with a zero byte behind it: listxattr(2) lists 64 KiB. The difference is for
// those that the root of a bucket lists and does not have.
const maxXattrNames = 64<<10 - 256

// SetAttr changes attributes. No version is made.
func (s *Store) SetAttr(_ context.Context, ino objstore.Ino, c objstore.AttrChange) (*objstore.Node, error) {
	var in *inode
	err := s.update("SetAttr", func(t *txn) (err error) {
		if in, err = t.edit(ino); err != nil {
			return err
		}
		t.apply(in, c)
		if c.Xattr == nil {
			return nil
		}
		return in.changeXattr(*c.Xattr)
	})
	if err != nil {
		return nil, err
	}
	return &in.Node, nil
}

func (t *txn) apply(in *inode, c objstore.AttrChange) {
	if c.Mode != nil {
		in.Mode = in.Mode&sIFMT | *c.Mode&^sIFMT
	}
	set(&in.UID, c.UID)
	set(&in.GID, c.GID)
	set(&in.Atime, c.Atime)
	set(&in.Mtime, c.Mtime)
	set(&in.Btime, c.Btime)
	in.Ctime = t.now
	set(&in.Ctime, c.Ctime)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// SetXattr sets one extended attribute.
func (s *Store) SetXattr(_ context.Context, ino objstore.Ino, name string, value []byte, mode objstore.XattrMode) error {
	return s.update("SetXattr", func(t *txn) error {
		in, err := t.edit(ino)
		if err != nil {
			return err
		}
		_, exists := in.Xattrs[name]
		switch {
		case exists && mode == objstore.XattrCreate:
			return objstore.XattrExists
		case !exists && mode == objstore.XattrReplace:
			return objstore.NoSuchXattr
		}
		in.Ctime = t.now
		return in.changeXattr(objstore.XattrChange{Name: name, Value: append([]byte{}, value...)})
	})
}

// changeXattr keeps c.Value.
func (in *inode) changeXattr(c objstore.XattrChange) error {
	m := maps.Clone(in.Xattrs)
	if m == nil {
		m = map[string][]byte{}
	}
	if delete(m, c.Name); c.Value != nil {
		m[c.Name] = c.Value
	}
	names, all := xattrBytes(m)
	if all > maxXattrs {
		return fail(objstore.XattrTooLarge, "the attributes of one file may have %d bytes together", maxXattrs)
	}
	if names > maxXattrNames {
		return fail(objstore.XattrTooLarge, "the names of one file's attributes may have %d bytes together", maxXattrNames)
	}
	in.Xattrs = m
	return nil
}

// xattrBytes is the size of a list of the names, and of names and values.
func xattrBytes(m map[string][]byte) (names, all int) {
	for k, v := range m {
		names += len(k) + 1
		all += len(k) + len(v)
	}
	return names, all
}

// RemoveXattr removes one extended attribute.
func (s *Store) RemoveXattr(_ context.Context, ino objstore.Ino, name string) error {
	return s.update("RemoveXattr", func(t *txn) error {
		in, err := t.edit(ino)
		if err != nil {
			return err
		}
		if _, exists := in.Xattrs[name]; !exists {
			return objstore.NoSuchXattr
		}
		in.Ctime = t.now
		return in.changeXattr(objstore.XattrChange{Name: name})
	})
}
