package badgerstore

import (
	"kmsfs/kms"
	"kmsfs/objstore"
)

// The records of inodes from before inodeVersion: FORMAT.md §5.10.

func (in *inode) oldTimes(r *reader) {
	for _, t := range [...]*objstore.Time{&in.Atime, &in.Mtime, &in.Ctime, &in.Btime} {
		*t = r.time()
	}
}

func unmarshalOldVersion(r *reader, flags byte) *version {
	v := &version{id: objstore.VersionID(r.string()), seq: r.uint(), created: r.time(), size: int64(r.uint()), etag: r.string()}
	if v.size < 0 {
		r.fail()
	}
	v.env = kms.Envelope{
		Algorithm: r.string(), KeyARN: r.string(), BucketKey: r.bool(), Context: r.strings(),
		ResourceARN: r.string(), Blob: r.bytes(), Wrapped: r.bytes(),
	}
	v.unmarshalEnd(r, flags)
	return v
}
