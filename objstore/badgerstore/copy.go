package badgerstore

import (
	"bytes"
	"context"
	"errors"
	"io"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// errRewritten: the version that is to be copied was replaced while its data key was wrapped.
var errRewritten = &objstore.Error{Code: objstore.SlowDown, Message: "the source is being rewritten all the time: try again later"}

// copyTries is how often a copy begins anew when its source is replaced meanwhile.
const copyTries = 8

// CopyObject writes a version of one key as the current version of another.
func (s *Store) CopyObject(ctx context.Context, in objstore.CopyInput) (o objstore.Object, err error) {
	for range copyTries {
		if o, err = s.copyObject(ctx, in); !errors.Is(err, errRewritten) {
			break
		}
	}
	return o, err
}

func (s *Store) copyObject(ctx context.Context, in objstore.CopyInput) (o objstore.Object, err error) {
	from, head, err := s.version("CopyObject", in.SrcBucket, in.SrcKey, in.SrcVersion)
	if err != nil {
		return o, err
	}
	meta, ctype := in.Metadata, in.ContentType
	if meta == nil {
		meta, ctype = head.Metadata, head.ContentType
	}
	b, enc, err := s.checkPut(ctx, in.Bucket, in.Key, in.Encryption, meta)
	if err != nil {
		return o, s.failed("CopyObject", in.Bucket, in.Key, err)
	}
	if from.ver != nil && storedSettings(from.ver.env).Equal(enc) {
		env, err := s.shareKey(ctx, from.ver, in.Bucket, in.Key)
		if err != nil {
			return o, s.failed("CopyObject", in.Bucket, in.Key, err)
		}
		src := copySource{in.SrcBucket, in.SrcKey, from.ver.id, from.ver.content}
		return s.copyShared(b, src, in, env, meta, ctype)
	}
	first := true
	r, _, err := s.openReader(ctx, func() (*inode, error) {
		if first {
			first = false
			return from, nil
		}
		now, _, err := s.version("CopyObject", in.SrcBucket, in.SrcKey, in.SrcVersion)
		return now, err
	})
	if err != nil {
		return o, s.failed("CopyObject", in.SrcBucket, in.SrcKey, err)
	}
	defer r.Close()
	return s.PutObject(ctx, objstore.PutInput{
		Bucket: in.Bucket, Key: in.Key, Body: io.NewSectionReader(r, 0, r.Size()), Encryption: &enc,
		ContentType: ctype, Metadata: meta, Condition: in.Condition,
	})
}

// shareKey wraps a version's data key for another name, for a caller who may open it.
func (s *Store) shareKey(ctx context.Context, v *version, bucket, key string) (kms.Envelope, error) {
	if v.keyless() {
		return v.env, errKeyless
	}
	dataKey, err := s.kms.OpenDataKey(ctx, v.env)
	if err != nil {
		return v.env, err
	}
	kms.Wipe(dataKey)
	req := envelopeRequest(bucket, key, storedSettings(v.env))
	if v.env.Algorithm == kms.SSES3 || v.env.ResourceARN == req.ObjectARN || v.env.BucketKey && v.env.ResourceARN == req.BucketARN {
		return v.env, nil
	}
	return s.kms.RewrapDataKey(ctx, v.env, req)
}

type copySource struct {
	bucket, key string
	id          objstore.VersionID
	content     [16]byte
}

// copyShared makes a version on the source's content.
func (s *Store) copyShared(b *bucket, src copySource, in objstore.CopyInput, env kms.Envelope, meta map[string]string, ctype string) (o objstore.Object, err error) {
	sb, err := s.bucket(src.bucket)
	if err != nil {
		return o, err
	}
	err = s.update("CopyObject", func(t *txn) error {
		from, _, err := s.find(t, sb, src.key, src.id)
		if errors.Is(err, objstore.NoSuchVersion) && in.SrcVersion == "" {
			return errRewritten
		}
		if err != nil {
			return err
		}
		if from.ver == nil || !bytes.Equal(from.ver.content[:], src.content[:]) {
			return errRewritten
		}
		v := *from.ver
		v.env, v.metadata, v.contentType, v.etag = env, meta, ctype, newETag()
		if env.Algorithm == kms.SSES3 {
			v.etag = from.ver.etag
		}
		made, err := t.putCurrent(b, in.Key, &v, in.Condition)
		if err == nil {
			o = objectOf(made, in.Key, true)
		}
		return err
	})
	return o, s.failed("CopyObject", in.Bucket, in.Key, err)
}

// Restore makes a copy of a version the current one.
func (s *Store) Restore(ctx context.Context, parent objstore.Ino, name string, id objstore.VersionID) (n *objstore.Node, err error) {
	for range copyTries {
		if n, err = s.restoreOnce(ctx, parent, name, id); !errors.Is(err, errRewritten) {
			break
		}
	}
	return n, err
}

func (s *Store) restoreOnce(ctx context.Context, parent objstore.Ino, name string, id objstore.VersionID) (*objstore.Node, error) {
	old, err := s.versionInode(parent, name, id)
	if err != nil {
		return nil, err
	}
	bucket, dir, err := s.PathOf(ctx, parent)
	if err != nil {
		return nil, err
	}
	env, err := s.shareKey(ctx, old.ver, bucket, dir+name)
	if err != nil {
		return nil, wrap("Restore", err)
	}
	var in *inode
	err = s.update("Restore", func(t *txn) error {
		again, _, err := s.findVersion(t, parent, name, id)
		if err != nil {
			return err
		}
		if again.ver == nil || again.ver.content != old.ver.content {
			return errRewritten
		}
		in, err = t.restore(parent, name, again, env)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &in.Node, nil
}

func (t *txn) restore(parent objstore.Ino, name string, old *inode, env kms.Envelope) (*inode, error) {
	p, err := t.directory(parent)
	if err != nil {
		return nil, err
	}
	d, err := t.dirent(parent, name)
	if err != nil {
		return nil, err
	}
	var in *inode
	switch {
	case d.dir != 0:
		return nil, objstore.IsDirectory
	case d.file != 0:
		in, err = t.edit(d.file)
	default:
		in, err = t.newInode(p, name, objstore.NodeInit{Mode: old.Mode, UID: old.UID, GID: old.GID, Xattrs: old.Xattrs})
	}
	if err != nil {
		return nil, err
	}
	v := *old.ver
	if v.env = env; env.Algorithm != kms.SSES3 {
		v.etag = newETag()
	}
	if err := t.newVersion(t.s.bucketByID(p.bucket), &v); err != nil {
		return nil, err
	}
	_, err = t.setVersion(in, &v, false)
	in.Mtime, in.Ctime = t.now, t.now
	return in, err
}
