package badgerstore

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag of SSE-S3 objects is MD5
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// maxMetadata is S3's limit of user metadata, in bytes of names and values.
const maxMetadata = 2 << 10

// PutObject writes a new current version.
func (s *Store) PutObject(ctx context.Context, in objstore.PutInput) (objstore.Object, error) {
	b, enc, err := s.checkPut(ctx, in.Bucket, in.Key, in.Encryption, in.Metadata)
	if err != nil {
		return objstore.Object{}, s.failed("PutObject", in.Bucket, in.Key, err)
	}
	src, env, err := s.newKeyFor(ctx, in.Bucket, in.Key, enc)
	if err != nil {
		return objstore.Object{}, s.failed("PutObject", in.Bucket, in.Key, err)
	}
	f := &file{s: s, pending: map[int64][]byte{}}
	f.use(src, env)
	o, err := s.upload(ctx, f, b, in)
	s.abandon(src, err != nil)
	return o, s.failed("PutObject", in.Bucket, in.Key, err)
}

func (s *Store) failed(op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	var ke *kms.Error
	if errors.As(err, &ke) {
		return fmt.Errorf("%s %s/%s: %w", op, bucket, key, err)
	}
	return &objstore.Error{Code: objstore.CodeOf(wrap(op, err)), Op: op, Bucket: bucket, Key: key, Err: err}
}

func (s *Store) checkPut(ctx context.Context, name, key string, enc *objstore.Encryption, meta map[string]string) (*bucket, objstore.Encryption, error) {
	b, err := s.bucket(name)
	if err != nil {
		return nil, objstore.Encryption{}, err
	}
	if err := errors.Join(checkKey(key), s.admit()); err != nil {
		return nil, objstore.Encryption{}, err
	}
	n := 0
	for k, v := range meta {
		n += len(k) + len(v)
	}
	if n > maxMetadata {
		return nil, objstore.Encryption{}, fail(objstore.MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size: %d bytes, at most %d", n, maxMetadata)
	}
	if enc == nil {
		enc = &b.Default
	}
	resolved, err := s.ResolveEncryption(ctx, *enc)
	return b, resolved, err
}

// upload stores the body and makes it current.
func (s *Store) upload(ctx context.Context, f *file, b *bucket, in objstore.PutInput) (objstore.Object, error) {
	etag, err := f.fill(ctx, in.Body)
	if err != nil {
		return objstore.Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return objstore.Object{}, err
	}
	v := f.version(f.env)
	v.contentType, v.metadata = in.ContentType, maps.Clone(in.Metadata)
	if f.enc.Algorithm == objstore.AES256 {
		v.etag = etag
	}
	var made *inode
	err = s.update("PutObject", func(t *txn) (err error) {
		if _, err := t.store(f, v); err != nil {
			return err
		}
		made, err = t.putCurrent(b, in.Key, v, in.Condition)
		return err
	})
	if err != nil {
		return objstore.Object{}, err
	}
	return objectOf(made, in.Key, true), nil
}

// fill writes all of r and gives its MD5.
func (f *file) fill(ctx context.Context, r io.Reader) (string, error) {
	sum := md5.New() //nolint:gosec // see above
	buf := getBuffer(resealChunks * chunkSize)
	defer putBuffer(buf)
	defer clear(buf)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := fillBuffer(r, buf)
		sum.Write(buf[:n])
		if werr := f.WriteChunks(f.size/chunkSize, buf[:n]); werr != nil {
			return "", werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if err := f.startSession(); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), f.flush(commitInline)
}

// fillBuffer is io.ReadFull, but the end of r is io.EOF wherever it comes: io.ErrUnexpectedEOF is r's own, of a body that
// was cut short.
func fillBuffer(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	if n == len(buf) && err != io.EOF {
		err = nil
	}
	return n, err
}

// putCurrent makes v the current version of a key.
func (t *txn) putCurrent(b *bucket, key string, v *version, c objstore.Condition) (*inode, error) {
	b, err := t.s.bucket(b.Name) // as it is set now
	if err != nil {
		return nil, err
	}
	p, name, err := t.makeDirs(b, key)
	if err != nil {
		return nil, err
	}
	cur, err := t.s.current(t, spot{dir: p, name: name})
	if err != nil {
		return nil, err
	}
	if err := check(c, cur); err != nil {
		return nil, err
	}
	if err := t.newVersion(b, v); err != nil {
		return nil, err
	}
	in, err := t.fileAt(p, name, v.metadata)
	if err != nil {
		return nil, err
	}
	if _, err := t.setVersion(in, v, false); err != nil {
		return nil, err
	}
	in.Mtime, in.Ctime = t.now, t.now
	applyMetadata(in, v.metadata)
	if name == "" { // "dir/" is how S3 clients make a directory
		applyMetadata(p, v.metadata)
	}
	return in, nil
}

// fileAt gives the file of a name, made when there is none.
func (t *txn) fileAt(p *inode, name string, meta map[string]string) (*inode, error) {
	d, err := t.dirent(p.Ino, name)
	if err != nil {
		return nil, err
	}
	if d.file != 0 {
		in, err := t.edit(d.file)
		if err != nil || isRegular(in.Mode) {
			return in, err
		}
		return nil, fail(objstore.InvalidRequest, "the name is taken by a symbolic link or special file of a mount")
	}
	in, err := t.newInode(p, name, objstore.NodeInit{Mode: sIFREG | 0o644})
	if err == nil {
		applyMetadata(in, meta)
	}
	return in, err
}

// check is a precondition: RFC 9110 §13.1, S3 "Conditional requests".
func check(c objstore.Condition, cur *inode) error {
	switch {
	case c.IfNoneMatch == "*" && cur != nil:
		return fail(objstore.PreconditionFailed, "At least one of the pre-conditions you specified did not hold: If-None-Match")
	case c.IfMatch != "" && cur == nil:
		return objstore.NoSuchKey
	case c.IfMatch != "" && strings.Trim(c.IfMatch, `"`) != cur.ver.etag:
		return fail(objstore.PreconditionFailed, "At least one of the pre-conditions you specified did not hold: If-Match")
	case c.IfNoneMatch != "" && c.IfNoneMatch != "*":
		return fail(objstore.InvalidArgument, "If-None-Match takes * only")
	}
	return nil
}

// The user metadata that s3fs keeps POSIX attributes in.
const (
	metaMode  = "mode"
	metaUID   = "uid"
	metaGID   = "gid"
	metaMtime = "mtime"
)

// posixMetadata is the user metadata of a version, with the attributes as s3fs has them.
func posixMetadata(in *inode) map[string]string {
	m := map[string]string{}
	if in.ver != nil {
		maps.Copy(m, in.ver.metadata)
	}
	m[metaMode] = strconv.FormatUint(uint64(in.Mode), 10)
	m[metaUID] = strconv.FormatUint(uint64(in.UID), 10)
	m[metaGID] = strconv.FormatUint(uint64(in.GID), 10)
	m[metaMtime] = strconv.FormatInt(in.Mtime.Sec, 10)
	return m
}

// applyMetadata takes attributes over from user metadata; what does not parse is left as plain metadata.
func applyMetadata(in *inode, m map[string]string) {
	if n, err := strconv.ParseUint(m[metaMode], 10, 32); err == nil {
		in.Mode = in.Mode&sIFMT | uint32(n)&0o7777
	}
	if n, err := strconv.ParseUint(m[metaUID], 10, 32); err == nil {
		in.UID = uint32(n)
	}
	if n, err := strconv.ParseUint(m[metaGID], 10, 32); err == nil {
		in.GID = uint32(n)
	}
	if n, err := strconv.ParseInt(m[metaMtime], 10, 64); err == nil {
		in.Mtime = objstore.Time{Sec: n}
	}
}

// directoryObject is how a directory shows as a key with a "/" at its end: empty, and without a KMS key.
func directoryObject(in *inode, key string) objstore.Object {
	return objstore.Object{
		Key: key, VersionID: objstore.NullVersion, IsLatest: true, ETag: "d41d8cd98f00b204e9800998ecf8427e",
		LastModified: in.Mtime.Time(), Encryption: objstore.Encryption{Algorithm: objstore.AES256},
		ContentType: "application/x-directory", Metadata: posixMetadata(in),
	}
}

func describe(in *inode, key string, latest bool) objstore.Object {
	if isDir(in.Mode) {
		return directoryObject(in, key)
	}
	return objectOf(in, key, latest)
}

// version finds a version of a key by its id.
func (s *Store) version(op, name, key string, id objstore.VersionID) (in *inode, o objstore.Object, err error) {
	b, err := s.bucket(name)
	if err != nil {
		return nil, o, err
	}
	err = s.view(op, func(r kv.Reader) error {
		found, latest, err := s.find(r, b, key, id)
		if found != nil {
			o = describe(found, key, latest)
		}
		if err == nil && found.marker {
			err = objstore.MethodNotAllowed
		}
		in = found
		return err
	})
	return in, o, s.failed(op, name, key, err)
}

// HeadObject describes a version.
func (s *Store) HeadObject(_ context.Context, bucket, key string, v objstore.VersionID) (objstore.Object, error) {
	_, o, err := s.version("HeadObject", bucket, key, v)
	return o, err
}

// GetObject opens a version for reading.
func (s *Store) GetObject(ctx context.Context, bucket, key string, v objstore.VersionID) (objstore.Object, objstore.Reader, error) {
	in, o, err := s.version("GetObject", bucket, key, v)
	if err != nil {
		return o, nil, err
	}
	if isDir(in.Mode) {
		return o, &versionReader{}, nil
	}
	first := true
	r, in, err := s.openReader(ctx, func() (*inode, error) {
		if first {
			first = false
			return in, nil
		}
		found, now, err := s.version("GetObject", bucket, key, v)
		o = now
		return found, err
	})
	return o, r, s.failed("GetObject", bucket, key, err)
}

// DeleteObject removes a version, or the current one as the bucket's versioning has it.
func (s *Store) DeleteObject(_ context.Context, name, key string, id objstore.VersionID, c objstore.Condition) (o objstore.Object, err error) {
	b, err := s.bucket(name)
	if err != nil {
		return o, err
	}
	err = s.update("DeleteObject", func(t *txn) error {
		if b, err = s.bucket(name); err != nil { // as it is set now
			return err
		}
		sp, ok, err := s.locate(t, b, key)
		if err != nil {
			return err
		}
		if id != "" {
			if !ok {
				return objstore.NoSuchVersion
			}
			o, err = t.deleteVersion(b, sp, key, id)
			return err
		}
		o, err = t.deleteCurrent(b, sp, ok, key, c)
		return err
	})
	return o, s.failed("DeleteObject", name, key, err)
}

func (t *txn) deleteCurrent(b *bucket, sp spot, ok bool, key string, c objstore.Condition) (o objstore.Object, err error) {
	var cur *inode
	if ok {
		if cur, err = t.s.current(t, sp); err != nil {
			return o, err
		}
	}
	if err := check(c, cur); err != nil {
		return o, err
	}
	if cur == nil {
		if dir := sp.marker(); ok && dir != nil {
			return directoryObject(dir, key), t.deleteDirectory(dir)
		}
		return t.markMissing(b, key)
	}
	p, err := t.directory(sp.dir.Ino)
	if err != nil {
		return o, err
	}
	o = objectOf(cur, key, true)
	if err := t.unlinkFile(p, sp.name, cur.Ino, true); err != nil {
		return o, err
	}
	if b.Versioning != objstore.VersioningOff {
		err := t.eachNoncurrent(p.hist, sp.name, func(_ []byte, in *inode) (bool, error) {
			o = objectOf(in, key, true)
			return false, nil
		})
		if err != nil {
			return o, err
		}
	}
	if sp.name == "" && p.Parent != 0 { // the directory was the key's, too
		p.implicit = true
	}
	return o, t.prune(p)
}

// markMissing is for the deletion of a key that has no current version: no error, and where there are versions it puts one
// more delete marker. Source: S3 User Guide, "Working with delete markers".
func (t *txn) markMissing(b *bucket, key string) (o objstore.Object, err error) {
	if b.Versioning == objstore.VersioningOff {
		return o, nil
	}
	p, name, err := t.makeDirs(b, key)
	if err != nil {
		return o, err
	}
	if d, err := t.dirent(p.Ino, name); err != nil || d.file != 0 { // a mount's node that S3 does not show
		return o, err
	}
	m, err := t.mark(b, p, name)
	if err != nil {
		return o, err
	}
	return objectOf(m, key, true), t.prune(p)
}

// unlinkFile takes a name from a file, keeping its version as the bucket wants it.
func (t *txn) unlinkFile(p *inode, name string, ino objstore.Ino, marker bool) error {
	in, err := t.edit(ino)
	if err != nil {
		return err
	}
	kept := false
	if marker {
		if kept, err = t.retire(p, name, in, true); err != nil {
			return err
		}
	}
	d, err := t.dirent(p.Ino, name)
	if err != nil {
		return err
	}
	t.setDirent(p.Ino, name, dirent{dir: d.dir})
	t.touch(p)
	return t.dropLink(in, p.Ino, name, kept)
}

// deleteDirectory removes the key that a directory is; keys under it keep the directory in being.
func (t *txn) deleteDirectory(dir *inode) error {
	in, err := t.directory(dir.Ino)
	if err != nil {
		return err
	}
	in.implicit = true
	return t.prune(in)
}

// deleteVersion removes one version for good. When it was the current one, the next older becomes current.
func (t *txn) deleteVersion(b *bucket, sp spot, key string, id objstore.VersionID) (o objstore.Object, err error) {
	cur, err := t.s.current(t, sp)
	if err != nil {
		return o, err
	}
	if cur != nil && cur.ver.id == id {
		o = objectOf(cur, key, true)
		p, err := t.directory(sp.dir.Ino)
		if err != nil {
			return o, err
		}
		if err := t.unlinkFile(p, sp.name, cur.Ino, false); err != nil {
			return o, err
		}
		if err := t.revive(b, sp, key); err != nil {
			return o, err
		}
		return o, t.prune(p)
	}
	found := false
	err = t.eachNoncurrent(sp.hist, sp.name, func(k []byte, in *inode) (bool, error) {
		if in.ver.id != id {
			return true, nil
		}
		found = true
		o = objectOf(in, key, false)
		return false, t.dropNoncurrent(k, in)
	})
	if err == nil && !found {
		return o, objstore.NoSuchVersion
	}
	if err == nil && cur == nil {
		err = t.revive(b, sp, key)
	}
	return o, err
}

// revive makes the newest version of a name current when the name has no current one, as after a delete marker was removed.
func (t *txn) revive(b *bucket, sp spot, key string) error {
	return t.eachNoncurrent(sp.hist, sp.name, func(k []byte, old *inode) (bool, error) {
		if old.marker {
			return false, nil
		}
		p, _, err := t.makeDirs(b, key) // the directory may have gone with its last key; it gets its history back
		if err != nil {
			return false, err
		}
		if d, err := t.dirent(p.Ino, sp.name); err != nil || d.file != 0 { // a mount's file without a version
			return false, err
		}
		in, err := t.newInode(p, sp.name, objstore.NodeInit{Mode: old.Mode, UID: old.UID, GID: old.GID, Xattrs: old.Xattrs})
		if err != nil {
			return false, err
		}
		t.Delete(k)
		t.Delete(refKey(old.ver.content, k))
		t.count(in.bucket, func(u *objstore.BucketUsage) {
			u.Noncurrent--
			u.NoncurrBytes -= old.ver.size
		})
		_, err = t.setVersion(in, old.ver, false)
		in.Mtime = old.Mtime
		return false, err
	})
}
