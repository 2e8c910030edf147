package badgerstore

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// loadBuckets reads all buckets and their usage: there are few, and they are needed by every operation.
func (s *Store) loadBuckets() error {
	return s.db.View(func(r kv.Reader) error {
		prefix := bucketKey("")
		return r.Ascend(prefix, after(prefix), func(_, rec []byte) (bool, error) {
			b, err := unmarshalBucket(rec)
			if err != nil {
				return false, err
			}
			s.buckets[b.Name], s.byID[b.id] = b, b
			s.usage[b.id], err = readUsage(r, b.id)
			if objstore.CodeOf(wrap("", err)) == objstore.IntegrityError {
				s.log.Error("the usage of a bucket is damaged and left to check --repair", "bucket", b.Name, "err", err)
				err = nil
			}
			return true, err
		})
	})
}

// readUsage answers what counts as nothing known where the record is missing or damaged.
func readUsage(r kv.Reader, id bucketID) (usage, error) {
	rec, err := r.Get(usageKey(id))
	if err != nil {
		if errors.Is(err, kv.ErrNotFound) {
			err = nil
		}
		return usage{bound: boundUnknown}, err
	}
	return unmarshalUsage(rec)
}

func (s *Store) bucketByID(id bucketID) *bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.byID[id]; b != nil {
		return b
	}
	return &bucket{id: id} // removed meanwhile: nothing of it is kept
}

func (s *Store) bucketName(id bucketID) string { return s.bucketByID(id).Name }

func (s *Store) bucket(name string) (*bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, &objstore.Error{Code: objstore.NoSuchBucket, Bucket: name, Message: "The specified bucket does not exist"}
}

// validBucketName is the rule for general purpose buckets: S3 User Guide, "General purpose bucket naming rules".
func validBucketName(name string) bool {
	ok, _ := regexp.MatchString(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`, name)
	ip, _ := regexp.MatchString(`^\d+\.\d+\.\d+\.\d+$`, name)
	return ok && !ip && !strings.Contains(name, "..")
}

// CreateBucket makes an empty bucket.
func (s *Store) CreateBucket(_ context.Context, in objstore.Bucket) (objstore.Bucket, error) {
	if !validBucketName(in.Name) {
		return in, &objstore.Error{Code: objstore.InvalidBucketName, Bucket: in.Name,
			Message: "The specified bucket is not valid. Use 3 to 63 of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit."}
	}
	if err := s.admit(); err != nil {
		return in, err
	}
	b := &bucket{Bucket: in}
	if b.Default.Algorithm == "" {
		b.Default.Algorithm = objstore.AES256
	}
	err := s.update("CreateBucket", func(t *txn) error {
		if _, err := s.bucket(in.Name); err == nil {
			return &objstore.Error{Code: objstore.BucketAlreadyOwnedByYou, Bucket: in.Name,
				Message: "Your previous request to create the named bucket succeeded and you already own it."}
		}
		return t.newBucket(b)
	})
	if err != nil {
		return in, err
	}
	return b.Bucket, nil
}

func (t *txn) newBucket(b *bucket) error {
	id, err := t.take("bucket")
	if err != nil {
		return err
	}
	if id == firstNumber {
		t.beginWithoutLists()
	}
	root, err := t.newIno()
	if err != nil {
		return err
	}
	b.id, b.Root, b.Created = bucketID(id), root, t.now.Time()
	t.edited[root] = &inode{bucket: b.id, hist: histID(root), Node: objstore.Node{
		Ino: root, Bucket: b.Name, Mode: sIFDIR | 0o755, Nlink: 2, Atime: t.now, Mtime: t.now, Ctime: t.now, Btime: t.now,
	}}
	t.usage[b.id] = usage{}
	t.putBucket(b)
	return nil
}

func (t *txn) putBucket(b *bucket) {
	t.Put(bucketKey(b.Name), b.marshal())
	t.after(func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.s.buckets[b.Name], t.s.byID[b.id] = b, b
	})
}

// HeadBucket describes a bucket.
func (s *Store) HeadBucket(_ context.Context, name string) (objstore.Bucket, error) {
	b, err := s.bucket(name)
	if err != nil {
		return objstore.Bucket{}, err
	}
	return b.Bucket, nil
}

// ListBuckets lists all buckets by name.
func (s *Store) ListBuckets(context.Context) ([]objstore.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []objstore.Bucket
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		out = append(out, s.buckets[name].Bucket)
	}
	return out, nil
}

// UpdateBucket changes a bucket's settings.
func (s *Store) UpdateBucket(_ context.Context, name string, change func(*objstore.Bucket) error) (objstore.Bucket, error) {
	var b bucket
	err := s.update("UpdateBucket", func(t *txn) error {
		old, err := s.bucket(name)
		if err != nil {
			return err
		}
		b = *old
		if err := change(&b.Bucket); err != nil {
			return err
		}
		b.Name, b.Created, b.Root = old.Name, old.Created, old.Root
		if old.Versioning != objstore.VersioningOff && b.Versioning == objstore.VersioningOff {
			return fail(objstore.InvalidArgument, "versioning of %s was enabled before: it can be suspended, not removed", name)
		}
		if b.Default.Algorithm == "" {
			b.Default = objstore.Encryption{Algorithm: objstore.AES256}
		}
		t.putBucket(&b)
		return nil
	})
	return b.Bucket, err
}

// DeleteBucket removes an empty bucket.
func (s *Store) DeleteBucket(_ context.Context, name string) error {
	return s.update("DeleteBucket", func(t *txn) error {
		b, err := s.bucket(name)
		if err != nil {
			return err
		}
		root, err := t.inode(b.Root)
		if err != nil {
			return err
		}
		for _, empty := range []func() (bool, error){
			func() (bool, error) { return t.empty(direntKey(b.Root, "")) },
			func() (bool, error) { return t.pruneGhosts(root.hist) },
		} {
			none, err := empty()
			if err != nil {
				return err
			}
			if !none {
				return &objstore.Error{Code: objstore.BucketNotEmpty, Bucket: name,
					Message: "The bucket you tried to delete is not empty. You must delete all versions in the bucket."}
			}
		}
		t.edited[b.Root] = nil
		t.Delete(bucketKey(name))
		t.Delete(usageKey(b.id))
		t.after(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.buckets, name)
			delete(s.byID, b.id)
			delete(s.usage, b.id)
		})
		return nil
	})
}

// Usage counts what a bucket holds.
func (s *Store) Usage(_ context.Context, name string) (objstore.BucketUsage, error) {
	b, err := s.bucket(name)
	if err != nil {
		return objstore.BucketUsage{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usageOf(b.id).BucketUsage, nil
}
