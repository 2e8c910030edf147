package service

import (
	"context"
	"fmt"
	"os"
	"strings"

	"kmsfs/objstore"
)

// BucketCreate makes a bucket; what the settings leave open is as S3 has it.
func (s *Service) BucketCreate(ctx context.Context, r BucketSettings) (Bucket, error) {
	b := objstore.Bucket{Name: r.Name, Default: objstore.Encryption{Algorithm: objstore.AES256}}
	if err := s.apply(ctx, r, &b); err != nil {
		return Bucket{}, err
	}
	b, err := s.Store.CreateBucket(ctx, b)
	if err != nil {
		return Bucket{}, err
	}
	err = s.ownRoot(ctx, b)
	s.Files.BucketChanged(r.Name)
	return bucketOf(b), err
}

// ownRoot gives a new bucket's directory to the user who has the store, so that he can write into it.
func (s *Service) ownRoot(ctx context.Context, b objstore.Bucket) error {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if uid == 0 {
		return nil
	}
	_, err := s.Store.SetAttr(ctx, b.Root, objstore.AttrChange{UID: &uid, GID: &gid})
	return err
}

// BucketSet changes the settings that are given.
func (s *Service) BucketSet(ctx context.Context, r BucketSettings) (Bucket, error) {
	b, err := s.Store.UpdateBucket(ctx, r.Name, func(b *objstore.Bucket) error { return s.apply(ctx, r, b) })
	if err == nil {
		s.Files.BucketChanged(r.Name)
	}
	return bucketOf(b), err
}

// apply changes b as r says and checks the default encryption that results.
func (s *Service) apply(ctx context.Context, r BucketSettings, b *objstore.Bucket) error {
	if r.Versioning != "" {
		b.Versioning = r.Versioning
	}
	if r.ExpireNoncurrent != nil {
		b.ExpireNoncurrent = *r.ExpireNoncurrent
	}
	if r.SSE == "" && r.KeyID == "" && r.BucketKey == nil {
		return nil
	}
	enc, err := r.Encryption(b.Default)
	if err != nil {
		return err
	}
	if _, err := s.Store.ResolveEncryption(ctx, enc); err != nil {
		return err
	}
	b.Default = enc // as it was named: an alias can be pointed to another key
	return nil
}

// Encryption is the default encryption enc, changed by the settings: naming a key selects aws:kms, as on a file.
func (r BucketSettings) Encryption(enc objstore.Encryption) (objstore.Encryption, error) {
	switch {
	case r.SSE != "":
		enc.Algorithm = objstore.Algorithm(r.SSE)
	case r.KeyID != "" && enc.Algorithm == objstore.AES256:
		enc.Algorithm = objstore.KMS
	}
	if r.KeyID != "" {
		enc.KeyID = r.KeyID
	}
	if r.BucketKey != nil {
		enc.BucketKey = *r.BucketKey
	}
	if enc.Algorithm != objstore.AES256 {
		return enc, nil
	}
	if r.KeyID != "" || (r.BucketKey != nil && *r.BucketKey) {
		return enc, &Error{Code: BadRequest, Message: fmt.Sprintf("bucket %s: %s uses no KMS key", r.Name, enc.Algorithm)}
	}
	return objstore.Encryption{Algorithm: objstore.AES256}, nil
}

// BucketList lists all buckets by name.
func (s *Service) BucketList(ctx context.Context, _ Nothing) ([]Bucket, error) {
	all, err := s.Store.ListBuckets(ctx)
	out := make([]Bucket, len(all))
	for i, b := range all {
		out[i] = bucketOf(b)
	}
	return out, err
}

// BucketShow adds what the bucket holds.
func (s *Service) BucketShow(ctx context.Context, r BucketName) (Bucket, error) {
	b, err := s.Store.HeadBucket(ctx, r.Name)
	if err != nil {
		return Bucket{}, err
	}
	u, err := s.Store.Usage(ctx, r.Name)
	out := bucketOf(b)
	out.Usage = &Usage{u.Objects, u.Bytes, u.Noncurrent, u.NoncurrBytes}
	return out, err
}

func bucketOf(b objstore.Bucket) Bucket {
	v := "off"
	if b.Versioning != objstore.VersioningOff {
		v = strings.ToLower(string(b.Versioning))
	}
	return Bucket{Name: b.Name, Created: b.Created, Versioning: v, Expire: b.ExpireNoncurrent, Default: settingsOf(b.Default)}
}

func settingsOf(e objstore.Encryption) Settings {
	return Settings{SSE: string(e.Algorithm), KeyID: e.KeyID, Context: e.Context, BucketKey: e.BucketKey}
}

// BucketRemove removes an empty bucket that is not mounted.
func (s *Service) BucketRemove(ctx context.Context, r BucketName) (Nothing, error) {
	for _, m := range s.mountList() {
		if m.Bucket == r.Name {
			return Nothing{}, &Error{Code: Busy, Message: fmt.Sprintf("bucket %s is mounted at %s", r.Name, m.Dir)}
		}
	}
	err := s.Store.DeleteBucket(ctx, r.Name)
	if err == nil {
		s.Files.BucketChanged(r.Name)
	}
	return Nothing{}, err
}
