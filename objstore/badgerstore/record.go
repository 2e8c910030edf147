package badgerstore

import (
	"time"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/seal"
)

// recordVersion begins every record but those of inodes; another one is refused.
const recordVersion = 1

// version is one version of an object: its settings, its data key (wrapped) and where its bytes lie.
type version struct {
	id      objstore.VersionID
	seq     uint64 // order of versions in the store; greater is newer
	created objstore.Time
	size    int64
	etag    string
	env     kms.Envelope
	rest    rest // what env is to be made of, while its stem is not known (stems.go)
	content seal.ContentID
	chunks  chunkMap // encoded form of the map
	mac     [32]byte // over macInput, under the data key

	contentType string
	metadata    map[string]string
}

// inode is the record of a file or directory. Its Node part is what leaves the store.
// Records are never changed in place: txn.edit gives a copy.
type inode struct {
	objstore.Node
	bucket   bucketID
	hist     histID        // of a directory: where the old versions of its names lie
	implicit bool          // a directory that exists only because keys lie under it
	ver      *version      // nil: nothing has been written yet
	marker   bool          // in a noncurrent record: a delete marker
	since    objstore.Time // in a noncurrent record: when it became noncurrent
}

// describe fills the fields of Node that follow from the version.
func (in *inode) describe() {
	if in.ver == nil {
		if isSymlink(in.Mode) {
			in.Size = int64(len(in.Target))
		}
		return
	}
	in.Size, in.VersionID, in.ETag = in.ver.size, in.ver.id, in.ver.etag
	in.Allocated = in.ver.chunks.allocated()
	in.Stored = storedSettings(in.ver.env)
}

func storedSettings(env kms.Envelope) objstore.Encryption {
	return objstore.Encryption{
		Algorithm: objstore.Algorithm(env.Algorithm), KeyID: env.KeyARN,
		Context: env.Context, BucketKey: env.BucketKey,
	}
}

// macInput is what the version's MAC covers: everything that says which bytes the content has and how they are read.
func (v *version) macInput() []byte {
	w := writer{b: make([]byte, 0, 256)}
	w.string("kmsfs version v1")
	w.raw(v.content[:])
	w.uint(uint64(v.size))
	w.string(v.env.Algorithm)
	w.bytes(v.env.Context.Canonical())
	v.chunks.marshal(&w)
	return w.b
}

// dirent is what a name of a directory leads to. A name may be a key and a prefix of keys at once; a mount shows
// the directory then, and the key stays reachable by S3.
type dirent struct{ file, dir objstore.Ino }

func (d dirent) marshal() []byte {
	w := writer{b: make([]byte, 0, 16)}
	w.byte(recordVersion)
	w.uint(uint64(d.file))
	w.uint(uint64(d.dir))
	return w.b
}

func unmarshalDirent(b []byte) (dirent, error) {
	r := reader{b: b}
	if r.byte() != recordVersion {
		return dirent{}, errRecord
	}
	d := dirent{objstore.Ino(r.uint()), objstore.Ino(r.uint())}
	return d, r.end()
}

// node is what a mount sees: the directory before the file.
func (d dirent) node() objstore.Ino {
	if d.dir != 0 {
		return d.dir
	}
	return d.file
}

// bucket is the record of one bucket.
type bucket struct {
	objstore.Bucket
	id bucketID
}

func (b *bucket) marshal() []byte {
	w := writer{b: make([]byte, 0, 128)}
	w.byte(recordVersion)
	w.uint(uint64(b.id))
	w.string(b.Name)
	w.time(objstore.TimeOf(b.Created))
	w.string(string(b.Versioning))
	w.uint(uint64(b.ExpireNoncurrent / time.Second))
	w.string(string(b.Default.Algorithm))
	w.string(b.Default.KeyID)
	w.strings(b.Default.Context)
	w.bool(b.Default.BucketKey)
	w.uint(uint64(b.Root))
	return w.b
}

func unmarshalBucket(rec []byte) (*bucket, error) {
	r := reader{b: rec}
	if r.byte() != recordVersion {
		return nil, errRecord
	}
	b := &bucket{id: bucketID(r.uint32())}
	b.Name = r.string()
	b.Created = r.time().Time()
	b.Versioning = objstore.Versioning(r.string())
	b.ExpireNoncurrent = time.Duration(r.uint32()) * time.Second
	b.Default = objstore.Encryption{
		Algorithm: objstore.Algorithm(r.string()), KeyID: r.string(), Context: r.strings(), BucketKey: r.bool(),
	}
	b.Root = objstore.Ino(r.uint())
	return b, r.end()
}

// clone copies what an edit may change.
func (in *inode) clone() *inode {
	c := *in
	return &c
}

func isDir(mode uint32) bool     { return mode&sIFMT == sIFDIR }
func isRegular(mode uint32) bool { return mode&sIFMT == sIFREG }
func isSymlink(mode uint32) bool { return mode&sIFMT == sIFLNK }

// The type bits of st_mode, inode(7).
const (
	sIFMT  = 0o170000
	sIFDIR = 0o040000
	sIFREG = 0o100000
	sIFLNK = 0o120000
)

// isObject says whether a node shows as an object of its bucket: a file that has a version. Directories show, too, but are no
// versions: see spot.marker.
func (in *inode) isObject() bool {
	return isRegular(in.Mode) && in.ver != nil
}
