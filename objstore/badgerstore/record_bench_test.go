package badgerstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// BenchmarkInodeRecord reads the record of a small file, as a listing does for each.
func BenchmarkInodeRecord(b *testing.B) {
	now := objstore.Now()
	in := &inode{Node: objstore.Node{Ino: 1 << 20, Parent: 70_000, Name: "some-file.txt", Mode: sIFREG | 0o644, Nlink: 1,
		Atime: now, Mtime: now, Ctime: now, Btime: now}, bucket: 1}
	in.ver = &version{id: newVersionID(1 << 20), seq: 1 << 20, created: now, size: 1000, etag: newETag(), env: kms.Envelope{
		Algorithm: kms.SSEKMS, KeyARN: "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", BucketKey: true,
		ResourceARN: "arn:aws:s3:::bucket", Blob: make([]byte, 128), Wrapped: make([]byte, 76),
	}, content: [16]byte{1}, chunks: chunkMap{inline: []extent{{0, 1, smallSlot | 1<<60, 1000}}}}
	rec := in.marshal(rest{stem: 1})
	b.ReportMetric(float64(len(rec)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		_, err := unmarshalInode(rec)
		require.NoError(b, err)
	}
}
