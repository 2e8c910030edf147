package service

import (
	"context"
	"errors"
	"fmt"

	"kmsfs/objstore"
)

// Versions lists versions and delete markers of one object, newest first.
func (s *Service) Versions(ctx context.Context, o Object) ([]Version, error) {
	all, err := s.versions(ctx, o)
	if err != nil {
		return nil, err
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

func (s *Service) versions(ctx context.Context, o Object) ([]objstore.Object, error) {
	p, err := s.file(ctx, o)
	if errors.Is(err, objstore.NoSuchNode) {
		return s.versionsOfKey(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Versions(ctx, p.parent(), p.name)
	return all, named(err, o)
}

// versionsOfKey finds what was under a key whose directory is gone, too.
func (s *Service) versionsOfKey(ctx context.Context, o Object) (out []objstore.Object, err error) {
	in := objstore.ListInput{Prefix: o.Key}
	for {
		l, err := s.Store.ListVersions(ctx, o.Bucket, in)
		if err != nil {
			return nil, err
		}
		for _, v := range l.Objects {
			if v.Key != o.Key { // longer ones follow
				return out, nil
			}
			out = append(out, v)
		}
		if !l.Truncated {
			return out, nil
		}
		in.After, in.AfterVersion = l.Next, l.NextVersion
	}
}

// Restore copies a version onto its key, also after the key was deleted.
func (s *Service) Restore(ctx context.Context, r RestoreRequest) (Version, error) {
	changed := s.Files.Watch(ctx, r.Bucket, r.Key)
	if err := s.restore(ctx, r); err != nil {
		return Version{}, err
	}
	changed()
	all, err := s.Versions(ctx, r.Object)
	if err != nil {
		return Version{}, err
	}
	return all[0], nil
}

func (s *Service) restore(ctx context.Context, r RestoreRequest) error {
	p, err := s.file(ctx, r.Object)
	if errors.Is(err, objstore.NoSuchNode) { // the directories above are gone: the key brings them back
		_, err = s.Store.CopyObject(ctx, objstore.CopyInput{SrcBucket: r.Bucket, SrcKey: r.Key, SrcVersion: r.Version,
			Bucket: r.Bucket, Key: r.Key})
		return err
	}
	if err != nil {
		return err
	}
	_, err = s.Store.Restore(ctx, p.parent(), p.name, r.Version)
	return named(err, r.Object)
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
