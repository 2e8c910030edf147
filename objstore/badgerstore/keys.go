package badgerstore

import (
	"bytes"
	"encoding/binary"

	"kmsfs/objstore"
	"kmsfs/objstore/seal"
)

// The first byte of every key of the metadata table. doc.go has the table of keys and values.
const (
	kRuns       = 'A' // nothing → the backups that the store has been through
	kBucket     = 'B' // name → bucket
	kStem       = 'C' // number → stem of envelopes
	kDirent     = 'D' // parent, name → dirent
	kExternal   = 'E' // record name → record about keys that are elsewhere
	kGhost      = 'H' // history, name → history of the directory that had this name
	kInode      = 'I' // ino → inode
	kKMS        = 'K' // record name → sealed record of the local key provider
	kLink       = 'L' // ino, parent, name → nothing: a further link of ino
	kCounter    = 'M' // counter name → number
	kNoncurrent = 'N' // history, name, 0, ^seq → inode as it was, or delete marker
	kOrphan     = 'O' // ino → nothing: unlinked while open
	kPage       = 'P' // content, page index, page id → extents
	kList       = 'Q' // content, list index, list id → references of pages
	kRef        = 'R' // content, holder → nothing: who uses a content
	kUsage      = 'S' // bucket id → usage
	kUser       = 'U' // record name → sealed record of a user
	kStemCopy   = 'W' // number → the same once more
	kDraft      = 'X' // ino → inode as fsync(2) left it
	kGarbage    = 'G' // content → nothing: content to sweep or remove
)

// histID names the history of a directory's names; it outlives the directory while old versions do.
type histID uint64

type bucketID uint32

func key8(prefix byte, n uint64, rest ...string) []byte {
	k := make([]byte, 9, 9+32)
	k[0] = prefix
	binary.BigEndian.PutUint64(k[1:], n)
	for _, s := range rest {
		k = append(k, s...)
	}
	return k
}

func bucketKey(name string) []byte                      { return append([]byte{kBucket}, name...) }
func inodeKey(ino objstore.Ino) []byte                  { return key8(kInode, uint64(ino)) }
func draftKey(ino objstore.Ino) []byte                  { return key8(kDraft, uint64(ino)) }
func orphanKey(ino objstore.Ino) []byte                 { return key8(kOrphan, uint64(ino)) }
func usageKey(b bucketID) []byte                        { return key8(kUsage, uint64(b)) }
func counterKey(name string) []byte                     { return append([]byte{kCounter}, name...) }
func direntKey(parent objstore.Ino, name string) []byte { return key8(kDirent, uint64(parent), name) }
func ghostKey(h histID, name string) []byte             { return key8(kGhost, uint64(h), name) }
func namesPrefix(h histID, name string) []byte          { return key8(kNoncurrent, uint64(h), name, "\x00") }
func garbageKey(id seal.ContentID) []byte               { return append([]byte{kGarbage}, id[:]...) }

func linkKey(ino, parent objstore.Ino, name string) []byte {
	k := key8(kLink, uint64(ino))
	k = binary.BigEndian.AppendUint64(k, uint64(parent))
	return append(k, name...)
}

// noncurrentKey sorts the versions of a name newest first.
func noncurrentKey(h histID, name string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(namesPrefix(h, name), ^seq)
}

// splitNoncurrent is the inverse of noncurrentKey.
func splitNoncurrent(k []byte) (h histID, name string, seq uint64, ok bool) {
	if len(k) < 1+8+1+8 || k[0] != kNoncurrent || k[len(k)-9] != 0 {
		return 0, "", 0, false
	}
	h = histID(binary.BigEndian.Uint64(k[1:]))
	return h, string(k[9 : len(k)-9]), ^binary.BigEndian.Uint64(k[len(k)-8:]), true
}

// A holder of a content is an inode, a draft or a noncurrent version: the key of its record.
func refKey(id seal.ContentID, holder []byte) []byte {
	k := make([]byte, 0, 1+16+len(holder))
	k = append(k, kRef)
	k = append(k, id[:]...)
	return append(k, holder...)
}

func refPrefix(id seal.ContentID) []byte { return refKey(id, nil) }

// mapPrefix begins the keys of a content's pages, or of its lists of pages.
func mapPrefix(kind byte, id seal.ContentID) []byte { return append([]byte{kind}, id[:]...) }

func mapKey(kind byte, id seal.ContentID, index int64, record uint64) []byte {
	k := binary.BigEndian.AppendUint64(mapPrefix(kind, id), uint64(index))
	return binary.BigEndian.AppendUint64(k, record)
}

// recordID is the last part of a mapKey.
func recordID(k []byte) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }

// dataID names a sealed chunk in the data table.
func dataID(id seal.ContentID, slot uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), id[:]...), slot)
}

// after is the first key behind every key with this prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

func inoOf(k []byte) objstore.Ino { return objstore.Ino(binary.BigEndian.Uint64(k[1:9])) }
