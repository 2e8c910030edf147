package badgerstore

import (
	"context"
	"fmt"
	"io"
	"sync"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// source reads the chunks of one content under one map. It holds the content until close.
type source struct {
	s      *Store
	id     seal.ContentID
	cipher *seal.Cipher
	once   bool       // who reads keeps the plaintext, so that the kernel need not keep the ciphertext
	mu     sync.Mutex // guards m, since reading may load pages, unsaved and appended
	m      *liveMap
	// unsaved are sealed chunks for the data table that no transaction has stored yet, by slot.
	unsaved map[uint64][]byte
	// appended are the writes to the content file that no transaction names yet (depend.go).
	appended [][]byte
}

// newSource opens a content whose data key is given; the key is wiped.
func (s *Store) newSource(id seal.ContentID, dataKey []byte, m chunkMap) (*source, error) {
	defer kms.Wipe(dataKey)
	c, err := seal.New(dataKey)
	if err != nil {
		return nil, err
	}
	src := &source{s: s, id: id, cipher: c, unsaved: map[uint64][]byte{}}
	src.m = newLiveMap(m, s.pagesOf(id))
	s.hold(id, src)
	return src, nil
}

// openSource opens what find gives for reading. The content may be given up between the look at its record and the
// hold on it, so the record is looked at again under the hold. The source is nil when nothing has been written yet.
func (s *Store) openSource(ctx context.Context, find func() (*inode, error)) (*source, *inode, error) {
	in, err := find()
	for {
		if err != nil || in.ver == nil {
			return nil, in, err
		}
		if in.ver.lost() {
			return nil, in, errLost
		}
		src := s.sourceOf(in.ver)
		if !s.tryHold(src.id, src) {
			s.wmu.Lock() // wait for the change that counts on nobody reading
			s.wmu.Unlock()
			in, err = find()
			continue
		}
		var now *inode
		if now, err = src.open(in.ver, find); err == nil && now.ver != nil && now.ver.same(in.ver) {
			return src, now, src.unlock(ctx, now.ver)
		}
		src.close()
		in = now
	}
}

// open looks at the record again, and completes the map. A sweep that asks meanwhile which pages are in use waits.
func (src *source) open(v *version, find func() (*inode, error)) (now *inode, err error) {
	src.mu.Lock()
	defer src.mu.Unlock()
	if now, err = find(); err != nil || len(v.chunks.lists) == 0 || now.ver == nil || !now.ver.same(v) {
		return now, err
	}
	return now, src.m.open(v.chunks.lists, func(p pageRef) (pages []pageRef, err error) {
		rec, err := src.s.mapRecord(kList, src.id, p)
		if err == nil {
			pages, err = unmarshalList(rec)
		}
		return pages, err
	})
}

// same reports that two records describe one version, with the same bytes.
func (v *version) same(o *version) bool {
	return v.seq == o.seq && v.content == o.content && v.mac == o.mac
}

func (s *Store) sourceOf(v *version) *source {
	src := &source{s: s, id: v.content, unsaved: map[uint64][]byte{}}
	src.m = newLiveMap(v.chunks, s.pagesOf(v.content))
	return src
}

// unlock unwraps a version's data key for ctx's caller and proves the record with it; on an error the source is closed.
func (src *source) unlock(ctx context.Context, v *version) (err error) {
	defer func() {
		if err != nil {
			src.close()
		}
	}()
	if v.keyless() {
		return errKeyless
	}
	dataKey, err := src.s.kms.OpenDataKey(ctx, v.env)
	if err != nil {
		return err
	}
	defer kms.Wipe(dataKey)
	if src.cipher, err = seal.New(dataKey); err != nil {
		return err
	}
	if err := src.cipher.Verify(v.macInput(), v.mac); err != nil {
		return &objstore.Error{Code: objstore.IntegrityError, Message: "the record of version " + string(v.id) + " does not belong to its data key", Err: err}
	}
	return nil
}

func (src *source) close() {
	if src.cipher != nil {
		src.cipher.Wipe()
	}
	src.s.release(src.id, src)
}

// pagesOf loads pages of a content's maps.
func (s *Store) pagesOf(id seal.ContentID) func(pageRef) ([]extent, error) {
	return func(p pageRef) ([]extent, error) {
		rec, err := s.mapRecord(kPage, id, p)
		if err != nil {
			return nil, err
		}
		return unmarshalPage(rec)
	}
}

// mapRecord reads a page, or a list of pages.
func (s *Store) mapRecord(kind byte, id seal.ContentID, p pageRef) (rec []byte, err error) {
	if rec = s.maps.get(p.id); rec != nil && pageSum(rec) == p.sum {
		return rec, nil
	}
	err = s.db.View(func(r kv.Reader) error {
		rec, err = r.Get(mapKey(kind, id, p.index, p.id))
		return err
	})
	if err != nil {
		return nil, notFound(err, objstore.IntegrityError)
	}
	if pageSum(rec) != p.sum {
		return nil, fail(objstore.IntegrityError, "page %d of a chunk map was exchanged", p.index)
	}
	s.maps.put(p.id, rec)
	return rec, nil
}

func (src *source) find(i int64) (extent, bool, error) {
	src.mu.Lock()
	defer src.mu.Unlock()
	return src.m.find(i)
}

// top is the first slot of the content's file behind all that the loaded part of the map names.
func (src *source) top() (top uint64) {
	src.mu.Lock()
	defer src.mu.Unlock()
	for _, p := range src.m.pages {
		for _, e := range p.exts {
			if !e.small() {
				top = max(top, e.slot+uint64(e.count))
			}
		}
	}
	return top
}

// slotSize is what a whole chunk takes in a content file.
func (src *source) slotSize() int { return chunkSize + src.cipher.Overhead() }

// chunk reads chunk i of extent e into p, which has room for all of it.
func (src *source) chunk(e extent, i int64, p []byte) (n int, err error) {
	size := e.length(i)
	var sealed []byte
	slot := e.slot + uint64(i-e.index)
	if e.small() {
		if sealed, err = src.small(slot); err != nil {
			return 0, src.damaged(i, err)
		}
	} else {
		buf := getBuffer(size + src.cipher.Overhead())
		defer putBuffer(buf)
		sealed = buf
		if err := src.s.data.ReadAt(src.id, src.slotSize(), slot, sealed); err != nil {
			return 0, src.damaged(i, err)
		}
	}
	plain, err := src.cipher.Open(p[:0], sealed, src.id, slot, uint64(i))
	if err != nil {
		return 0, src.damaged(i, err)
	}
	if len(plain) != size {
		return 0, src.damaged(i, objstore.IntegrityError)
	}
	return size, nil
}

// small gives a sealed chunk of the data table.
func (src *source) small(slot uint64) ([]byte, error) {
	src.mu.Lock()
	sealed, ok := src.unsaved[slot]
	src.mu.Unlock()
	if ok {
		return sealed, nil
	}
	sealed, err := src.s.db.GetData(dataID(src.id, slot))
	return sealed, notFound(err, objstore.IntegrityError)
}

func (src *source) damaged(i int64, err error) error {
	return wrap("Read", fmt.Errorf("chunk %d of content %x: %w", i, src.id[:4], err))
}

// run reads n whole chunks of e from chunk i on into p: one read of the disk, several opened at a time.
func (src *source) run(e extent, i, n int64, p []byte) error {
	if n == 1 || e.small() {
		for k := range n {
			if _, err := src.chunk(e, i+k, p[k*chunkSize:]); err != nil {
				return err
			}
		}
		return nil
	}
	size := int64(src.slotSize())
	length := n * size
	if i+n == e.end() {
		length -= chunkSize - int64(e.tail)
	}
	sealed := getBuffer(int(length))
	defer putBuffer(sealed)
	first := e.slot + uint64(i-e.index)
	read := src.s.data.ReadAt
	if src.once {
		read = src.s.data.ReadOnce
	}
	if err := read(src.id, src.slotSize(), first, sealed); err != nil {
		return src.damaged(i, err)
	}
	return inParallel(int(n), func(k int) error {
		part := sealed[int64(k)*size : min(int64(k+1)*size, length)]
		out := p[int64(k)*chunkSize:]
		plain, err := src.cipher.Open(out[:0], part, src.id, first+uint64(k), uint64(i)+uint64(k))
		if err == nil && len(plain) != e.length(i+int64(k)) {
			err = objstore.IntegrityError
		}
		if err != nil {
			return src.damaged(i+int64(k), err)
		}
		return nil
	})
}

// readAt reads plaintext of a content of the given size. Chunks that are not mapped read as zeros.
func (src *source) readAt(p []byte, off, size int64) (n int, err error) {
	for n < len(p) && off < size {
		k, err := src.readSome(p[n:min(int64(len(p)), int64(n)+size-off)], off)
		if err != nil {
			return n, err
		}
		n += k
		off += int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readSome reads up to the end of an extent or of a hole's chunk.
func (src *source) readSome(p []byte, off int64) (int, error) {
	i, skip := off/chunkSize, int(off%chunkSize)
	e, ok, err := src.find(i)
	if err != nil {
		return 0, err
	}
	if !ok {
		n := min(len(p), chunkSize-skip)
		clear(p[:n])
		return n, nil
	}
	if whole := min(int64(len(p)/chunkSize), e.end()-i); skip == 0 && whole > 0 {
		n := whole * chunkSize
		if err := src.run(e, i, whole, p[:n:n]); err != nil {
			return 0, err
		}
		if i+whole == e.end() {
			clear(p[n-chunkSize+int64(e.tail) : n])
		}
		return int(n), nil
	}
	buf := getBuffer(chunkSize)
	defer putBuffer(buf)
	got, err := src.chunk(e, i, buf)
	if err != nil {
		return 0, err
	}
	clear(buf[got:])
	return copy(p, buf[skip:]), nil
}

// versionReader is an objstore.Reader of one version.
type versionReader struct {
	src  *source // nil for an empty one
	size int64
}

func (r *versionReader) Size() int64 { return r.size }

func (r *versionReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fail(objstore.InvalidArgument, "negative offset")
	}
	if r.src == nil {
		return 0, io.EOF
	}
	return r.src.readAt(p, off, r.size)
}

func (r *versionReader) Close() error {
	if r.src != nil {
		r.src.close()
		r.src = nil
	}
	return nil
}

// openReader opens the version that find gives for reading; the key service is asked also for an empty one.
func (s *Store) openReader(ctx context.Context, find func() (*inode, error)) (objstore.Reader, *inode, error) {
	src, in, err := s.openSource(ctx, find)
	if err != nil {
		return nil, in, err
	}
	if src == nil {
		return &versionReader{}, in, nil
	}
	return &versionReader{src: src, size: in.ver.size}, in, nil
}
