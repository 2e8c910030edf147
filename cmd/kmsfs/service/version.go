package service

import (
	"context"
	"fmt"

	"kmsfs/objstore"
)

// Versions lists versions and delete markers of one object, newest first.
func (s *Service) Versions(ctx context.Context, o Object) ([]Version, error) {
	p, err := s.file(ctx, o)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Versions(ctx, p.parent(), p.name)
	if err != nil {
		return nil, named(err, o)
	}
	if len(all) == 0 {
		return nil, &objstore.Error{Code: objstore.NoSuchKey, Bucket: o.Bucket, Key: o.Key, Message: "no version of it is stored"}
	}
	out := make([]Version, len(all))
	for i, v := range all {
		out[i] = versionOf(v)
	}
	return out, nil
}

// Restore copies a version onto its key, also after the key was deleted.
func (s *Service) Restore(ctx context.Context, r RestoreRequest) (Version, error) {
	p, err := s.file(ctx, r.Object)
	if err != nil {
		return Version{}, err
	}
	n, err := s.Store.Restore(ctx, p.parent(), p.name, r.Version)
	if err != nil {
		return Version{}, named(err, r.Object)
	}
	s.Files.EntryChanged(p.parent(), p.name)
	s.Files.InodeChanged(n.Ino, true)
	all, err := s.Versions(ctx, r.Object)
	if err != nil {
		return Version{}, err
	}
	return all[0], nil
}

// file is the place of something that can have versions.
func (s *Service) file(ctx context.Context, o Object) (place, error) {
	p, err := s.locate(ctx, o)
	if err == nil && p.name == "" {
		err = &Error{Code: BadRequest, Message: fmt.Sprintf("%s is a bucket: name a file", o.Bucket)}
	}
	return p, err
}

func versionOf(o objstore.Object) Version {
	return Version{ID: o.VersionID, Current: o.IsLatest, DeleteMarker: o.DeleteMarker, Size: o.Size,
		Modified: o.LastModified, ETag: o.ETag, Stored: settingsOf(o.Encryption)}
}
