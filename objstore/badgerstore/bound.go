package badgerstore

import (
	"kmsfs/kms"
	"kmsfs/objstore"
)

// usage is what a bucket holds, and how many of its files a rename may have to wrap data keys of.
type usage struct {
	objstore.BucketUsage
	bound int64 // inodes for which inode.bound holds, or boundUnknown
}

// boundUnknown is the count where no record has one: of a bucket from before they were counted, or whose record was lost.
// It stays so until Repair counts.
const boundUnknown = -1

// The first byte of a record of usage.
const (
	usageUncounted = 1 // without the number of bound files: only read
	usageCounted   = 2
)

func marshalUsage(u usage) []byte {
	w := writer{b: make([]byte, 0, 32)}
	w.byte(usageCounted)
	for _, n := range []int64{u.Objects, u.Bytes, u.Noncurrent, u.NoncurrBytes, u.bound} {
		w.int(n)
	}
	return w.b
}

func unmarshalUsage(b []byte) (usage, error) {
	r := reader{b: b}
	form := r.byte()
	if form != usageUncounted && form != usageCounted {
		r.fail()
	}
	u := usage{bound: boundUnknown}
	for _, n := range []*int64{&u.Objects, &u.Bytes, &u.Noncurrent, &u.NoncurrBytes} {
		*n = r.int()
	}
	if form == usageCounted {
		u.bound = r.int()
	}
	if u.bound < boundUnknown {
		r.fail()
	}
	if err := r.end(); err != nil {
		return usage{bound: boundUnknown}, err
	}
	return u, nil
}

// usageOf needs mu.
func (s *Store) usageOf(id bucketID) usage {
	if u, ok := s.usage[id]; ok {
		return u
	}
	return usage{bound: boundUnknown}
}

// isBound reports a data key that is wrapped for the ARN of its object. With a bucket key it is for that of the bucket: S3 User
// Guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys".
func isBound(env kms.Envelope) bool { return env.Algorithm != kms.SSES3 && !env.BucketKey }

// bound reports that a rename of a directory above the file has to wrap its data key anew. A file without a name is below none, and
// one that has lost its data key has nothing to wrap.
func (in *inode) bound() bool {
	return in.Nlink > 0 && in.ver != nil && isBound(in.ver.env) && !in.ver.keyless()
}

// noneBound reports that a bucket has no bound files.
func (s *Store) noneBound(id bucketID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usageOf(id).bound == 0
}

// noteBound remembers what an inode was before this change; it has to come before what the change makes of it is in t.edited.
// A new inode needs it not.
func (t *txn) noteBound(in *inode) {
	if _, ok := t.edited[in.Ino]; ok || !in.bound() {
		return
	}
	if t.wasBound == nil {
		t.wasBound = map[objstore.Ino]bucketID{}
	}
	t.wasBound[in.Ino] = in.bucket
}

// countBound brings the numbers of bound files in line with all that was edited.
func (t *txn) countBound() {
	more := map[bucketID]int64{}
	for ino, in := range t.edited {
		if id, ok := t.wasBound[ino]; ok {
			more[id]--
		}
		if in != nil && in.bound() {
			more[in.bucket]++
		}
	}
	for id, n := range more {
		if u := t.usageOf(id); n != 0 && u.bound != boundUnknown {
			u.bound = max(u.bound+n, boundUnknown) // fewer than none: it was wrong
			t.usage[id] = u
		}
	}
}
