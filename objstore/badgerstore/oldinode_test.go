package badgerstore

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// oldRecord is the record of an inode as it was written before inodeVersion.
func oldRecord(in *inode) []byte {
	w := writer{}
	w.byte(recordVersion)
	w.byte(in.flags())
	for _, n := range []uint64{uint64(in.bucket), uint64(in.Ino), uint64(in.Parent)} {
		w.uint(n)
	}
	w.string(in.Name)
	w.uint(uint64(in.hist))
	for _, n := range []uint32{in.Mode, in.UID, in.GID, in.Nlink, in.Rdev} {
		w.uint(uint64(n))
	}
	for _, t := range []objstore.Time{in.Atime, in.Mtime, in.Ctime, in.Btime, in.since} {
		w.time(t)
	}
	w.string(in.Target)
	w.byteMap(in.Xattrs)
	if v := in.ver; v != nil {
		w.string(string(v.id))
		w.uint(v.seq)
		w.time(v.created)
		w.uint(uint64(v.size))
		w.string(v.etag)
		w.string(v.env.Algorithm)
		w.string(v.env.KeyARN)
		w.bool(v.env.BucketKey)
		w.strings(v.env.Context)
		w.string(v.env.ResourceARN)
		w.bytes(v.env.Blob)
		w.bytes(v.env.Wrapped)
		w.raw(v.content[:])
		v.chunks.marshal(&w)
		w.raw(v.mac[:])
		w.string(v.contentType)
		w.strings(v.metadata)
	}
	return w.b
}

// TestOldInodes: a record from before is read as what it was, and any cut of it is refused.
func TestOldInodes(t *testing.T) {
	at := objstore.Time{Sec: 5, Nsec: 6}
	file := &inode{Node: objstore.Node{Ino: 5, Parent: 2, Name: "n", Mode: sIFREG | 0o644, Nlink: 1, Atime: at, Ctime: at,
		Xattrs: map[string][]byte{"user.a": {1}}}, bucket: 3, hist: 4, since: at}
	file.ver = &version{
		id: versionID(9, []byte("12345678")), seq: 9, created: at, size: 5, etag: newETag(), content: [16]byte{1}, mac: [32]byte{2},
		env: kms.Envelope{Algorithm: kms.SSEKMS, KeyARN: "arn", BucketKey: true, Context: kms.Context{"k": "v"},
			ResourceARN: "r", Blob: []byte{1}, Wrapped: []byte{2}},
		chunks: chunkMap{lists: []pageRef{{index: 1, bytes: 5, id: 9}}, span: longList},
	}
	for _, in := range []*inode{file, {Node: objstore.Node{Mode: sIFDIR}, implicit: true}} {
		rec := oldRecord(in)
		read, err := unmarshalInode(rec)
		require.NoError(t, err)
		again, err := unmarshalInode(in.marshal(rest{}))
		require.NoError(t, err)
		require.Equal(t, again, read)
		for n := range rec {
			_, err := unmarshalInode(rec[:n])
			require.Error(t, err, "cut to %d bytes", n)
		}
		_, err = unmarshalInode(append(bytes.Clone(rec), 0))
		require.Error(t, err)
	}
}
