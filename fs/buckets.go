package fs

import (
	"context"
	"errors"
	"slices"
	"strings"

	"kmsfs/objstore"
)

// bucketsNode is the root of a view of every bucket.
func (v *View) bucketsNode() *objstore.Node {
	return &objstore.Node{Ino: BucketsRoot, Mode: sIFDIR | 0o755, Nlink: 2}
}

func (v *View) lookupBucket(ctx context.Context, name string) (*objstore.Node, error) {
	b, err := v.fs.store.HeadBucket(ctx, name)
	if err != nil {
		if errors.Is(err, objstore.NoSuchBucket) || errors.Is(err, objstore.InvalidBucketName) {
			return nil, deny(objstore.NoSuchNode, "lookup", "there is no bucket %q", name)
		}
		return nil, err
	}
	return v.fs.tree.Node(ctx, b.Root)
}

// listBuckets is readDir of the root of a view of every bucket.
func (v *View) listBuckets(ctx context.Context, after string, limit int) ([]objstore.DirEntry, error) {
	all, err := v.fs.store.ListBuckets(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b objstore.Bucket) int { return strings.Compare(a.Name, b.Name) })
	var out []objstore.DirEntry
	for _, b := range all {
		if b.Name > after && len(out) < limit {
			out = append(out, objstore.DirEntry{Name: b.Name, Ino: b.Root, Type: sIFDIR})
		}
	}
	return out, nil
}

// makeBucket is mkdir(2) in the list of buckets. The directory belongs to who made it.
func (v *View) makeBucket(ctx context.Context, name string, init NodeInit) (*objstore.Node, error) {
	if err := v.writable("mkdir"); err != nil {
		return nil, err
	}
	if name == VersionsName {
		return nil, deny(objstore.InvalidBucketName, "mkdir", "%q is not a bucket's name", name)
	}
	ctx = uncancelled(ctx)
	b, err := v.fs.store.CreateBucket(ctx, v.fs.opt.NewBucket(name))
	if err != nil {
		return nil, err
	}
	mode := init.Mode &^ (sIFMT | init.Umask&0o777)
	v.fs.tellOthers(v, change{ino: BucketsRoot, name: name})
	return v.fs.tree.SetAttr(ctx, b.Root, objstore.AttrChange{Mode: &mode, UID: &init.UID, GID: &init.GID})
}

func (v *View) removeBucket(ctx context.Context, name string) error {
	if err := v.writable("rmdir"); err != nil {
		return err
	}
	if err := v.fs.store.DeleteBucket(uncancelled(ctx), name); err != nil {
		return err
	}
	v.fs.sel.invalidate()
	v.fs.tellOthers(v, change{ino: BucketsRoot, name: name})
	return nil
}

// Space is what statfs(2) tells.
type Space struct {
	Total, Free int64 // bytes of the disk that the store lies on
	Files       int64 // objects of the bucket, or of all buckets
}

// Space answers for the bucket of the view, or for all.
func (v *View) Space(ctx context.Context) (Space, error) {
	var s Space
	if m, ok := v.fs.store.(objstore.Maintainer); ok {
		var err error
		if s.Total, s.Free, err = m.Space(); err != nil {
			return s, err
		}
	}
	names := []string{v.opt.Bucket}
	if v.opt.Bucket == "" {
		all, err := v.fs.store.ListBuckets(ctx)
		if err != nil {
			return s, err
		}
		names = names[:0]
		for _, b := range all {
			names = append(names, b.Name)
		}
	}
	for _, name := range names {
		u, err := v.fs.store.Usage(ctx, name)
		if err != nil {
			return s, err
		}
		s.Files += u.Objects
	}
	return s, nil
}
