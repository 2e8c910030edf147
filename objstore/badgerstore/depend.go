package badgerstore

import (
	"encoding/binary"
	"hash/crc32"

	"kmsfs/objstore/seal"
)

// A transaction names the bytes of content files that it is the first to use, with their checksum. The kernel may write the
// journal's page to the disk before those bytes, without being asked: then, after power loss, the transaction is not
// recovered, and the file is what it was before. No key is needed for that, so a checksum and not the chunks' seal.

// dependency names bytes of a content file: content id, offset, length, CRC-32C.
func dependency(id seal.ContentID, off int64, sealed []byte) []byte {
	w := writer{b: make([]byte, 0, 40)}
	w.raw(id[:])
	w.uint(uint64(off))
	w.uint(uint64(len(sealed)))
	return binary.BigEndian.AppendUint32(w.b, checksum(sealed))
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// intact reports whether the disk has the bytes that a transaction depends on.
func (s *Store) intact(ref []byte) bool {
	r := reader{b: ref}
	var id seal.ContentID
	copy(id[:], r.raw(16))
	off, n := r.uint(), r.uint()
	sum := r.raw(4)
	if r.end() != nil || n > maxDependency {
		return false
	}
	buf := getBuffer(int(n))
	defer putBuffer(buf)
	return s.data.ReadAt(id, 1, off, buf) == nil && checksum(buf) == binary.BigEndian.Uint32(sum)
}

// maxDependency bounds what a forged reference can make the store read: more than one write of chunks ever has.
const maxDependency = 64 << 20

// inherit takes over what a transaction has to name when it uses slots of another source.
func (src *source) inherit(o *source) {
	if src == o {
		return
	}
	o.mu.Lock()
	refs := append([][]byte(nil), o.appended...)
	o.mu.Unlock()
	src.mu.Lock()
	defer src.mu.Unlock()
	src.appended = append(src.appended, refs...)
}
