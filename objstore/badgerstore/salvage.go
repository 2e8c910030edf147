package badgerstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// badRecord is a record that does not authenticate or does not parse.
type badRecord struct {
	key   []byte
	cause error
}

// salvage takes away, or makes anew, every record that cannot be read. Buckets and the key provider's records are not
// among them: they are nobody's to guess.
func (m *mender) salvage() error {
	var bad []badRecord
	for _, kind := range []byte{kDirent, kGhost, kInode, kLink, kCounter, kNoncurrent, kOrphan, kPage, kList, kRef, kUsage, kDraft, kGarbage, kStem, kStemCopy} {
		found, err := m.unreadable(kind)
		if err != nil {
			return err
		}
		bad = append(bad, found...)
	}
	err := m.change(func(t *txn) error {
		if err := m.counters(t); err != nil { // first: what follows takes numbers
			return err
		}
		return m.replaceAll(t, bad)
	})
	if err == nil && len(bad) > 0 {
		err = m.s.db.Checkpoint() // until then the damaged values still are in the way of a walk
	}
	if err != nil {
		return err
	}
	return m.change(m.stems)
}

// unreadable lists the damaged records of a kind.
func (m *mender) unreadable(kind byte) (bad []badRecord, err error) {
	for from := []byte{kind}; from != nil; {
		if from, err = m.unreadableFrom(kind, from, &bad); err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// unreadableFrom looks at a page of records, so that a long look does not hold back what the database wants to give up.
func (m *mender) unreadableFrom(kind byte, from []byte, bad *[]badRecord) (next []byte, err error) {
	const page = 4096
	n := 0
	err = m.s.db.View(func(r kv.Reader) error {
		return r.Ascend(from, []byte{kind + 1}, func(k, v []byte) (bool, error) {
			if n++; n > page {
				next = append([]byte{}, k...)
				return false, nil
			}
			if err := parse(k, v); err != nil {
				*bad = append(*bad, badRecord{append([]byte{}, k...), err})
			} else {
				m.given.see(k, v)
			}
			return true, m.step()
		})
	})
	var corrupt *kv.CorruptError
	if errors.As(err, &corrupt) && corrupt.Key != nil {
		*bad = append(*bad, badRecord{append([]byte{}, corrupt.Key...), err})
		return append(append([]byte{}, corrupt.Key...), 0), nil
	}
	return next, err
}

// parse checks that a record of the metadata table is what FORMAT.md says.
func parse(k, v []byte) (err error) {
	if len(k) < minKey(k[0]) {
		return errRecord
	}
	switch k[0] {
	case kDirent:
		_, err = unmarshalDirent(v)
	case kInode, kDraft, kNoncurrent:
		err = parseInode(k, v)
	case kStem, kStemCopy:
		_, err = unmarshalStem(v)
	case kPage:
		_, err = unmarshalPage(v)
	case kList:
		_, err = unmarshalList(v)
	case kUsage:
		_, err = unmarshalUsage(v)
	case kGhost:
		rd := reader{b: v}
		rd.uint()
		err = rd.end()
	case kGarbage:
		rd := reader{b: v}
		rd.slots()
		err = rd.end()
	case kCounter:
		if len(v) != 8 {
			err = errRecord
		}
	}
	return err
}

// minKey is the smallest size of a key of a kind.
func minKey(kind byte) int {
	switch kind {
	case kDirent, kGhost, kInode, kDraft, kOrphan, kUsage, kStem, kStemCopy:
		return 9
	case kLink, kGarbage:
		return 17
	case kNoncurrent, kRef:
		return 18
	case kPage, kList:
		return 33
	}
	return 1
}

func parseInode(k, v []byte) error {
	in, err := unmarshalInode(v)
	switch {
	case err != nil:
		return err
	case k[0] != kInode && in.ver == nil, k[0] != kNoncurrent && in.Ino != inoOf(k):
		return errRecord
	case k[0] == kNoncurrent:
		if _, _, _, ok := splitNoncurrent(k); !ok {
			return errRecord
		}
	}
	return nil
}

func (m *mender) replaceAll(t *txn, bad []badRecord) error {
	for _, b := range bad {
		if b.key[0] == kCounter {
			continue
		}
		if err := m.replace(t, b.key, b.cause); err != nil {
			return err
		}
	}
	return nil
}

// replace makes a damaged record anew where what it said can be told, and removes it elsewhere. Names are kept: they lead
// nowhere then, until the file that has that name claims it.
func (m *mender) replace(t *txn, k []byte, cause error) error {
	if len(k) < minKey(k[0]) {
		t.Delete(k)
		m.mended("", "", "a record under an impossible key was removed")
		return nil
	}
	switch k[0] {
	case kDirent:
		ino, err := t.newIno()
		if err != nil {
			return err
		}
		t.Put(k, dirent{file: ino}.marshal())
		m.mended("", string(k[9:]), "the record of the name was damaged; it leads to a lost file until its own is found: %v", cause)
	case kInode:
		m.replaceInode(t, k, cause)
	case kLink, kOrphan, kRef:
		t.Put(k, nil)
		m.mended("", "", "an empty record was damaged and is written anew: %v", cause)
	case kGarbage:
		t.Put(k, []byte{0})
		m.mended("", "", "the list of unused chunks of content %x was damaged and is empty now", k[1:])
		id := seal.ContentID(k[1:])
		t.after(func() { m.s.noteGarbage(id, 1) })
	default:
		t.Delete(k)
		m.tellRemoved(k, cause)
	}
	return nil
}

// replaceInode writes a record back that memory still has.
func (m *mender) replaceInode(t *txn, k []byte, cause error) {
	if in, _ := m.s.nodes.get(inoOf(k)); in != nil {
		t.noteBound(in)
		t.edited[in.Ino] = in.clone()
		m.mended(in.Bucket, in.Name, "its record was damaged on disk and is written anew from memory: %v", cause)
		return
	}
	t.Delete(k)
	m.mended("", "", "the record of inode %d was damaged and is removed: %v", inoOf(k), cause)
}

func (m *mender) tellRemoved(k []byte, cause error) {
	switch k[0] {
	case kNoncurrent:
		_, name, _, _ := splitNoncurrent(k)
		m.lost("", name, "an old version is lost, for its record was damaged: %v", cause)
	case kDraft:
		m.lost("", "", "what was fsynced and not closed of inode %d is lost, for its record was damaged: %v", inoOf(k), cause)
	case kPage, kList:
		m.mended("", "", "a damaged page of the chunk map of content %x was removed; check names the objects that lose bytes", k[1:17])
	case kGhost:
		m.mended("", string(k[9:]), "the way to old versions in the directory of this name was damaged and is removed: %v", cause)
	case kStem, kStemCopy:
		m.mended("", "", "a record that many data keys need (stem %d) was damaged and is removed: %v", binary.BigEndian.Uint64(k[1:]), cause)
	case kUsage:
		m.mended("", "", "the usage of bucket %d was damaged and is counted again", binary.BigEndian.Uint64(k[1:]))
	}
}

// freeName finds a name near the wanted one that nothing has in a directory.
func (t *txn) freeName(dir objstore.Ino, name string, ino objstore.Ino) (string, error) {
	suffix := fmt.Sprintf(".recovered-%d", ino)
	name = name[:min(len(name), objstore.MaxName-len(suffix)-4)] + suffix
	for n := 0; ; n++ {
		try := name
		if n > 0 {
			try = fmt.Sprintf("%s-%d", name, n)
		}
		if d, err := t.dirent(dir, try); err != nil || d == (dirent{}) {
			return try, err
		}
	}
}
