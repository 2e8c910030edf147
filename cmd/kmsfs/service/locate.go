package service

import (
	"context"
	"strings"

	"kmsfs/objstore"
)

// place is where an object's name is: the directories from the bucket's root down to the one that holds it.
type place struct {
	bucket objstore.Bucket
	dirs   []*objstore.Node
	name   string // empty: the bucket's root itself
}

func (p place) parent() objstore.Ino { return p.dirs[len(p.dirs)-1].Ino }

// locate finds the directories above an object. The object itself need not exist.
func (s *Service) locate(ctx context.Context, o Object) (place, error) {
	b, err := s.Store.HeadBucket(ctx, o.Bucket)
	if err != nil {
		return place{}, err
	}
	root, err := s.Store.Node(ctx, b.Root)
	if err != nil {
		return place{}, err
	}
	p := place{bucket: b, dirs: []*objstore.Node{root}}
	parts := strings.Split(strings.Trim(o.Key, "/"), "/")
	for _, dir := range parts[:len(parts)-1] {
		n, err := s.Store.Lookup(ctx, p.parent(), dir)
		if err != nil {
			return place{}, named(err, o)
		}
		p.dirs = append(p.dirs, n)
	}
	p.name = parts[len(parts)-1]
	return p, nil
}

// node is the object at a place; [place.name] "" is the root.
func (s *Service) node(ctx context.Context, p place, o Object) (*objstore.Node, error) {
	if p.name == "" {
		return p.dirs[0], nil
	}
	n, err := s.Store.Lookup(ctx, p.parent(), p.name)
	return n, named(err, o)
}

// named says which object an error is about, unless it says so itself.
func named(err error, o Object) error {
	if err == nil {
		return nil
	}
	return &objstore.Error{Code: objstore.CodeOf(err), Bucket: o.Bucket, Key: o.Key, Message: words(err), Err: err}
}

func words(err error) string {
	if objstore.CodeOf(err) == objstore.NoSuchNode {
		return "no such file or directory"
	}
	return err.Error()
}
