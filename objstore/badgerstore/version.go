package badgerstore

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

var noContent seal.ContentID

// newVersion names a version in a bucket: a new id where versioning is enabled, else the null id.
func (t *txn) newVersion(b *bucket, v *version) (err error) {
	if v.seq, err = t.take("seq"); err != nil {
		return err
	}
	v.created = t.now
	v.id = objstore.NullVersion
	if b.Versioning == objstore.VersioningEnabled {
		v.id = newVersionID(v.seq)
	}
	return nil
}

// idTail is how many bytes of a version id follow those of its number.
const idTail = 8

// versionID is opaque to callers: 8 bytes that sort by time and a tail of as many, in base32hex (RFC 4648) in lower case. A listing
// makes one for each file.
func versionID(seq uint64, tail []byte) objstore.VersionID {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	var raw [8 + idTail + 1]byte // one more, for the last digit
	binary.BigEndian.PutUint64(raw[:], seq)
	copy(raw[8:8+idTail], tail)
	var id [(8*(8+idTail) + 4) / 5]byte
	for i := range id {
		at := 5 * i
		id[i] = digits[binary.BigEndian.Uint16(raw[at/8:])>>(11-at%8)&31]
	}
	return objstore.VersionID(id[:])
}

func newVersionID(seq uint64) objstore.VersionID {
	var tail [idTail]byte
	rand.Read(tail[:])
	return versionID(seq, tail[:])
}

// tailOfID gives the tail of an id that versionID made of seq.
func tailOfID(id objstore.VersionID, seq uint64) (tail []byte, ok bool) {
	raw, err := base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(string(id)))
	if err != nil || len(raw) != 8+idTail {
		return nil, false
	}
	tail = raw[8:]
	return tail, versionID(seq, tail) == id
}

// retire keeps the current version of a name as noncurrent, where the bucket wants that, and puts a delete marker over it
// when marker is set. kept tells that the version lives on.
func (t *txn) retire(p *inode, name string, in *inode, marker bool) (kept bool, err error) {
	b := t.s.bucketByID(p.bucket)
	if in.ver == nil || b.Versioning == objstore.VersioningOff {
		return false, nil
	}
	if in.ver.lost() { // there is nothing to keep
		if marker {
			_, err = t.mark(b, p, name)
		}
		return false, err
	}
	if b.Versioning == objstore.VersioningEnabled || in.ver.id != objstore.NullVersion {
		if err := t.keep(p, name, in); err != nil {
			return false, err
		}
		kept = true
	}
	if marker {
		_, err = t.mark(b, p, name)
	}
	return kept, err
}

// keep records in's current version as a noncurrent one of the name. Its key counts when it became noncurrent, not when it
// was made: a version that came by rename may be older than what the name had before.
func (t *txn) keep(p *inode, name string, in *inode) error {
	old := in.clone()
	old.Parent, old.Name, old.Nlink, old.since = p.Ino, name, 1, t.now
	seq, err := t.take("seq")
	if err != nil {
		return err
	}
	k := noncurrentKey(p.hist, name, seq)
	if err := t.putInode(k, old); err != nil {
		return err
	}
	t.use(old.ver.content, k)
	t.count(p.bucket, func(u *objstore.BucketUsage) {
		u.Noncurrent++
		u.NoncurrBytes += old.ver.size
	})
	return nil
}

// mark puts a delete marker over a name.
func (t *txn) mark(b *bucket, p *inode, name string) (*inode, error) {
	v := &version{}
	if err := t.newVersion(b, v); err != nil {
		return nil, err
	}
	if v.id == objstore.NullVersion {
		if err := t.dropNull(p, name); err != nil {
			return nil, err
		}
	}
	m := &inode{Node: objstore.Node{Parent: p.Ino, Name: name, Mode: sIFREG}, bucket: p.bucket, ver: v, marker: true, since: t.now}
	t.Put(noncurrentKey(p.hist, name, v.seq), m.marshal(rest{}))
	t.count(p.bucket, func(u *objstore.BucketUsage) { u.Noncurrent++ })
	return m, nil
}

// dropNull removes a noncurrent null version: a key has one at most.
func (t *txn) dropNull(p *inode, name string) error {
	return t.dropNullOf(p.hist, name)
}

func (t *txn) dropNullOf(h histID, name string) error {
	return t.eachNoncurrent(h, name, func(k []byte, in *inode) (bool, error) {
		if in.ver.id != objstore.NullVersion {
			return true, nil
		}
		return false, t.dropNoncurrent(k, in)
	})
}

// dropNoncurrent removes a noncurrent version or a delete marker for good.
func (t *txn) dropNoncurrent(k []byte, in *inode) error {
	t.Delete(k)
	t.count(in.bucket, func(u *objstore.BucketUsage) {
		u.Noncurrent--
		u.NoncurrBytes -= in.ver.size
	})
	return t.dropContent(in.ver, k)
}

// eachNoncurrent visits the noncurrent versions of a name, newest first.
func (t *txn) eachNoncurrent(h histID, name string, fn func(k []byte, in *inode) (bool, error)) error {
	return t.s.eachNoncurrent(t, namesPrefix(h, name), fn)
}

func (s *Store) eachNoncurrent(r kv.Reader, prefix []byte, fn func(k []byte, in *inode) (bool, error)) error {
	return r.Ascend(prefix, after(prefix), func(k, v []byte) (bool, error) {
		in, err := s.parse(r, v)
		if err != nil {
			return false, err
		}
		if in.ver == nil {
			return false, errRecord
		}
		return fn(append([]byte{}, k...), in)
	})
}

// links calls fn with every name of a file.
func (t *txn) links(in *inode, fn func(p *inode, name string) error) error {
	p, err := t.inode(in.Parent)
	if err != nil {
		return err
	}
	if err := fn(p, in.Name); err != nil || in.Nlink < 2 {
		return err
	}
	prefix := key8(kLink, uint64(in.Ino))
	return t.Ascend(prefix, after(prefix), func(k, _ []byte) (bool, error) {
		p, err := t.inode(inoOf(k[8:]))
		if err != nil {
			return false, err
		}
		return true, fn(p, string(k[17:]))
	})
}

// setVersion makes v the current version of in, under each of its names. With amend it takes the place of the present
// one; without, that one is kept as noncurrent where the bucket wants it. kept tells that the present version lives on.
func (t *txn) setVersion(in *inode, v *version, amend bool) (kept bool, err error) {
	t.use(v.content, inodeKey(in.Ino)) // first, since v may be a copy of what the next lines remove
	if in.ver != nil && !amend && in.Nlink > 0 {
		err := t.links(in, func(p *inode, name string) error {
			k, err := t.retire(p, name, in, false)
			kept = kept || k
			return err
		})
		if err != nil {
			return false, err
		}
	}
	if v.id == objstore.NullVersion && !amend && in.Nlink > 0 {
		if err := t.links(in, t.dropNull); err != nil {
			return false, err
		}
	}
	t.countCurrent(in, -int64(in.Nlink))
	old := in.ver
	in.ver = v
	t.countCurrent(in, int64(in.Nlink))
	if old == nil || old.content == v.content {
		return kept, nil
	}
	return kept, t.leaveContent(old, inodeKey(in.Ino), kept)
}

// findVersion finds a version of a name by its id; the null id and the current version included.
func (s *Store) findVersion(r kv.Reader, parent objstore.Ino, name string, id objstore.VersionID) (found *inode, current bool, err error) {
	p, err := s.inode(r, parent)
	if err != nil {
		return nil, false, err
	}
	d, err := s.dirent(r, parent, name)
	if err != nil {
		return nil, false, err
	}
	if d.file != 0 {
		in, err := s.inode(r, d.file)
		if err != nil {
			return nil, false, missingInode(err, name, d.file)
		}
		if in.ver != nil && (id == "" || in.ver.id == id) {
			return in, true, nil
		}
	}
	err = s.eachNoncurrent(r, namesPrefix(p.hist, name), func(_ []byte, in *inode) (bool, error) {
		if id != "" && in.ver.id != id {
			return true, nil
		}
		found = in
		return false, nil
	})
	if err != nil {
		return nil, false, err
	}
	switch {
	case found == nil && id == "":
		return nil, false, objstore.NoSuchKey
	case found == nil:
		return nil, false, objstore.NoSuchVersion
	case id == "": // the newest is a delete marker, or the file has no version yet
		return found, false, objstore.NoSuchKey
	}
	found.Bucket = p.Bucket
	return found, false, nil
}

// Versions lists all versions of a name, newest first.
func (s *Store) Versions(_ context.Context, parent objstore.Ino, name string) (out []objstore.Object, err error) {
	err = s.view("Versions", func(r kv.Reader) error {
		p, err := s.inode(r, parent)
		if err != nil {
			return err
		}
		_, dir, err := s.path(r, p)
		if err != nil {
			return err
		}
		cur, isCurrent, err := s.findVersion(r, parent, name, "")
		if err != nil && !errors.Is(err, objstore.NoSuchKey) {
			return err
		}
		if isCurrent {
			out = append(out, objectOf(cur, dir+name, true))
		}
		return s.eachNoncurrent(r, namesPrefix(p.hist, name), func(_ []byte, in *inode) (bool, error) {
			out = append(out, objectOf(in, dir+name, len(out) == 0))
			return true, nil
		})
	})
	if err == nil && len(out) == 0 {
		return nil, wrap("Versions", objstore.NoSuchKey)
	}
	return out, err
}

// VersionNames lists the names of a directory that have noncurrent versions.
func (s *Store) VersionNames(_ context.Context, dir objstore.Ino, behind string, limit int) (out []string, err error) {
	err = s.view("VersionNames", func(r kv.Reader) error {
		p, err := s.inode(r, dir)
		if err != nil {
			return err
		}
		prefix := key8(kNoncurrent, uint64(p.hist))
		from := prefix
		for len(out) < limit {
			if behind != "" {
				from = after(namesPrefix(p.hist, behind))
			}
			next := ""
			err := r.Ascend(from, after(prefix), func(k, _ []byte) (bool, error) {
				_, next, _, _ = splitNoncurrent(k)
				return false, nil
			})
			if err != nil || next == "" {
				return err
			}
			out = append(out, next)
			behind = next
		}
		return nil
	})
	return out, err
}

// VersionNode describes a version; no key is needed.
func (s *Store) VersionNode(_ context.Context, parent objstore.Ino, name string, v objstore.VersionID) (*objstore.Node, error) {
	in, err := s.versionInode(parent, name, v)
	if err != nil {
		return nil, err
	}
	return &in.Node, nil
}

func (s *Store) versionInode(parent objstore.Ino, name string, v objstore.VersionID) (in *inode, err error) {
	err = s.view("OpenVersion", func(r kv.Reader) error {
		found, current, err := s.findVersion(r, parent, name, v)
		if err != nil {
			return err
		}
		if found.marker {
			return objstore.MethodNotAllowed
		}
		in = found.clone()
		in.Noncurrent = !current
		return nil
	})
	return in, err
}

// OpenVersion opens any version of a name for reading.
func (s *Store) OpenVersion(ctx context.Context, parent objstore.Ino, name string, v objstore.VersionID) (*objstore.Node, objstore.Reader, error) {
	r, in, err := s.openReader(ctx, func() (*inode, error) { return s.versionInode(parent, name, v) })
	if err != nil {
		return nil, nil, wrap("OpenVersion", err)
	}
	return &in.Node, r, nil
}

// objectOf describes a version as S3 does.
func objectOf(in *inode, key string, latest bool) objstore.Object {
	o := objstore.Object{
		Key: key, VersionID: in.ver.id, IsLatest: latest, DeleteMarker: in.marker, Size: in.ver.size, ETag: in.ver.etag,
		LastModified: in.ver.created.Time(), ContentType: in.ver.contentType,
	}
	if !in.marker {
		o.Encryption = storedSettings(in.ver.env)
		o.Metadata = posixMetadata(in)
	}
	return o
}
