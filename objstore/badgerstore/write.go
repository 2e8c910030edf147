package badgerstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/seal"
)

// Begin prepares for change and obtains the data key.
func (f *file) Begin(ctx context.Context, enc objstore.Encryption, mode objstore.BeginMode) error {
	enc, err := f.s.ResolveEncryption(ctx, enc)
	if err != nil {
		return wrap("Begin", err)
	}
	same := f.src != nil && f.enc.Equal(enc)
	switch {
	case mode == objstore.BeginKeep && same:
		return wrap("Begin", f.startSession())
	case mode == objstore.BeginEmpty && same && f.untouched():
		return nil
	}
	return wrap("Begin", f.renew(ctx, enc, mode == objstore.BeginEmpty))
}

// untouched reports a new content that nothing was written to.
func (f *file) untouched() bool {
	return f.size == 0 && len(f.pending) == 0 && len(f.src.m.pages) == 0 && (f.base == nil || f.base.content != f.src.id)
}

// renew starts a new content under a new data key. Chunks of the present one are kept for sealing anew, unless empty.
func (f *file) renew(ctx context.Context, enc objstore.Encryption, empty bool) error {
	if !empty {
		if err := f.reseal(); err != nil {
			return err
		}
	}
	src, env, err := f.s.newContent(ctx, f.ino, enc)
	if err != nil {
		return err
	}
	now, prev := f.session, f.src
	if empty {
		f.forget()
	}
	f.dropOld()
	if prev != nil && empty {
		f.s.abandon(prev, f.changed)
	} else {
		f.old = prev
	}
	f.changed = true
	f.use(src, env)
	f.session = session{id: now.id, kept: now.kept, small: map[uint64]bool{}} // a new content has no slots and no users
	return nil
}

// forget drops all content that is not stored yet.
func (f *file) forget() {
	f.unpendAll()
	f.size = 0
}

func (f *file) dropOld() {
	if f.old != nil {
		f.s.abandon(f.old, true)
		f.old = nil
	}
}

// newContent makes a data key for a file under its present path.
func (s *Store) newContent(ctx context.Context, ino objstore.Ino, enc objstore.Encryption) (*source, kms.Envelope, error) {
	bucket, key, err := s.PathOf(ctx, ino)
	if err != nil {
		return nil, kms.Envelope{}, err
	}
	return s.newKeyFor(ctx, bucket, key, enc)
}

func (s *Store) newKeyFor(ctx context.Context, bucket, key string, enc objstore.Encryption) (*source, kms.Envelope, error) {
	dataKey, env, err := s.kms.NewDataKey(ctx, envelopeRequest(bucket, key, enc))
	if err != nil {
		return nil, kms.Envelope{}, err
	}
	src, err := s.newSource(seal.NewContentID(), dataKey, chunkMap{})
	return src, env, err
}

func envelopeRequest(bucket, key string, enc objstore.Encryption) kms.EnvelopeRequest {
	return kms.EnvelopeRequest{
		Algorithm: string(enc.Algorithm), KeyID: enc.KeyID, Context: enc.Context, BucketKey: enc.BucketKey,
		BucketARN: kms.BucketARN(bucket), ObjectARN: kms.ObjectARN(bucket, key),
	}
}

// WriteChunks takes plaintext of whole chunks.
func (f *file) WriteChunks(index int64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	n := (int64(len(data)) + chunkSize - 1) / chunkSize
	if f.src == nil || index < 0 || index+n > maxChunks {
		return fail(objstore.InvalidArgument, "write of chunk %d outside of a file that was begun", index)
	}
	if err := f.s.admit(); err != nil {
		return err
	}
	if err := f.startSession(); err != nil {
		return wrap("Write", err)
	}
	if err := f.takeChunks(index, n, data); err != nil {
		return wrap("Write", err)
	}
	f.size = max(f.size, index*chunkSize+int64(len(data)))
	f.changed = true
	return nil
}

func (f *file) takeChunks(index, n int64, data []byte) error {
	list := pieces(index, data)
	if n > smallWrite {
		for _, p := range list {
			f.unpend(p.index)
		}
		return f.seal(list)
	}
	for _, p := range list {
		f.pend(p)
	}
	if len(f.pending) > maxPending {
		return f.spill()
	}
	return nil
}

// piece is the plaintext of one chunk.
type piece struct {
	index int64
	plain []byte
}

// pieces cuts data, which starts at chunk index.
func pieces(index int64, data []byte) []piece {
	list := make([]piece, 0, (len(data)+chunkSize-1)/chunkSize)
	for ; len(data) > chunkSize; index++ {
		list = append(list, piece{index, data[:chunkSize:chunkSize]})
		data = data[chunkSize:]
	}
	return append(list, piece{index, data})
}

// pend keeps a copy of p's plaintext until the next spill.
func (f *file) pend(p piece) {
	f.unpend(p.index)
	f.pending[p.index] = append(plainPool.Get().(*[chunkSize]byte)[:0], p.plain...)
	f.waiting += int64(len(p.plain))
}

func (f *file) unpend(i int64) {
	if b, ok := f.pending[i]; ok {
		kms.Wipe(b)
		delete(f.pending, i)
		f.waiting -= int64(len(b))
		plainPool.Put((*[chunkSize]byte)(b[:chunkSize]))
	}
}

func (f *file) unpendAll() {
	for i := range f.pending {
		f.unpend(i)
	}
}

// spill seals all pending chunks into the content file, with one write.
func (f *file) spill() error {
	if len(f.pending) == 0 {
		return nil
	}
	list := make([]piece, 0, len(f.pending))
	for _, i := range slices.Sorted(maps.Keys(f.pending)) {
		list = append(list, piece{i, f.pending[i]})
	}
	if err := f.seal(list); err != nil {
		return err
	}
	f.unpendAll()
	return nil
}

// seal writes chunks, which ascend, to consecutive slots of the content file.
func (f *file) seal(list []piece) error {
	size := f.src.slotSize()
	buf := getBuffer(len(list)*size - (chunkSize - len(list[len(list)-1].plain)))
	defer putBuffer(buf)
	f.session.grown = true
	f.src.mu.Lock() // until the slots are mapped: the sweep takes slots that are in no map for free
	first, err := f.s.data.AppendWith(f.src.id, size, int64(len(buf)), func(first uint64) []byte {
		f.sealInto(buf, list, first)
		return buf
	})
	var mapped, removed []extent
	if err == nil {
		f.src.appended = append(f.src.appended, dependency(f.src.id, int64(first)*int64(size), buf))
		mapped = extentsOf(list, first)
		removed, err = f.src.m.putAll(mapped)
	}
	f.src.mu.Unlock()
	return f.remapped(mapped, removed, err)
}

// sealInto fills buf with the slots from first on. A chunk that is short leaves the rest of its slot zero.
func (f *file) sealInto(buf []byte, list []piece, first uint64) {
	size := f.src.slotSize()
	batch := f.src.cipher.Batch(len(list))
	inParallel(len(list), func(k int) error {
		slot := buf[k*size : min(len(buf), (k+1)*size)]
		sealed := batch.Seal(slot[:0], list[k].plain, f.src.id, first+uint64(k), uint64(list[k].index))
		clear(slot[len(sealed):])
		return nil
	})
}

// extentsOf is where chunks lie that were written to slots from first on.
func extentsOf(list []piece, first uint64) (exts []extent) {
	for k, p := range list {
		e := extent{p.index, 1, first + uint64(k), uint32(len(p.plain))}
		if n := len(exts); n > 0 && e.follows(exts[n-1]) {
			exts[n-1] = join(exts[n-1], e)
			continue
		}
		exts = append(exts, e)
	}
	return exts
}

// sealSmall makes all pending chunks values of the data table, to be stored by the next transaction.
func (f *file) sealSmall() error {
	for i, b := range f.pending {
		slot := randomSlot()
		sealed := f.src.cipher.Seal(nil, b, f.src.id, slot, uint64(i))
		f.src.mu.Lock()
		f.src.unsaved[slot] = sealed
		f.src.mu.Unlock()
		f.session.small[slot] = true
		if err := f.remap(extent{i, 1, slot, uint32(len(b))}); err != nil {
			return err
		}
		f.unpend(i)
	}
	return nil
}

// randomSlot needs no counter: a content has few small slots, and 63 bits are many.
func randomSlot() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | smallSlot
}

// flush gives every pending chunk a place; up to inline bytes go into the database.
func (f *file) flush(inline int) error {
	if f.waiting <= int64(inline) {
		return f.sealSmall()
	}
	return f.spill()
}

// remap maps new slots and notes what they replaced.
func (f *file) remap(e extent) error {
	f.src.mu.Lock()
	removed, err := f.src.m.put(e)
	f.src.mu.Unlock()
	return f.remapped([]extent{e}, removed, err)
}

// remapped notes what the chunks that were mapped replaced.
func (f *file) remapped(mapped, removed []extent, err error) error {
	f.replaced(removed)
	if err != nil || f.old == nil {
		return err
	}
	for _, e := range mapped {
		if err := f.old.drop(e.index, e.end()); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) replaced(removed []extent) {
	for _, e := range removed {
		_, ours := f.session.small[e.slot]
		switch {
		case e.small() && ours, !e.small() && e.slot >= f.session.mark:
			f.session.dead = append(f.session.dead, e)
		default:
			f.session.former = append(f.session.former, e)
		}
	}
}

func (src *source) drop(from, to int64) error {
	src.mu.Lock()
	defer src.mu.Unlock()
	_, err := src.m.drop(from, to)
	return err
}

// DropChunks makes holes.
func (f *file) DropChunks(index, n int64) error {
	if n <= 0 {
		return nil
	}
	if f.src == nil {
		return fail(objstore.InvalidArgument, "the file was not begun")
	}
	if err := f.startSession(); err != nil {
		return wrap("Truncate", err)
	}
	for i := range f.pending {
		if i >= index && i < index+n {
			f.unpend(i)
		}
	}
	f.changed = true
	f.src.mu.Lock()
	removed, err := f.src.m.drop(index, index+n)
	f.src.mu.Unlock()
	f.replaced(removed)
	if err == nil && f.old != nil {
		err = f.old.drop(index, index+n)
	}
	return wrap("Truncate", err)
}

// SetSize cuts whole chunks or extends by a hole.
func (f *file) SetSize(size int64) error {
	if size < f.size {
		first := (size + chunkSize - 1) / chunkSize
		if err := f.DropChunks(first, maxChunks-first); err != nil {
			return err
		}
	}
	if size != f.size {
		f.size, f.changed = size, true
	}
	return nil
}

// reseal moves what is left of the old content under the new data key.
func (f *file) reseal() error {
	if f.old == nil {
		return nil
	}
	buf := getBuffer(resealChunks * chunkSize)
	defer putBuffer(buf)
	defer clear(buf)
	for i := int64(0); ; {
		f.old.mu.Lock()
		e, ok, err := f.old.m.next(i)
		f.old.mu.Unlock()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		e = e.from(max(e.index, i))
		i = e.index + min(e.count, resealChunks)
		if i < e.end() {
			e = e.until(i)
		}
		if err := f.resealRun(e, buf); err != nil {
			return err
		}
	}
	f.dropOld()
	return nil
}

// resealChunks is how many chunks are read, sealed and written together.
const resealChunks = 1 << 20 / chunkSize

func (f *file) resealRun(e extent, buf []byte) error {
	f.old.mu.Lock()
	whole, _, err := f.old.m.find(e.index)
	f.old.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.old.run(whole, e.index, e.count, buf[:e.count*chunkSize]); err != nil {
		return err
	}
	if e.bytes() <= commitInline && len(f.pending) == 0 && e.count == 1 {
		f.pend(piece{e.index, buf[:e.tail]})
		return f.old.drop(e.index, e.end())
	}
	return f.seal(pieces(e.index, buf[:e.bytes()]))
}

// CloneFrom shares chunks of another file, under that file's data key when this one is empty.
func (f *file) CloneFrom(ctx context.Context, from objstore.File, srcIndex, index, n int64) (bool, error) {
	o, ok := from.(*file)
	if !ok || o == f || o.src == nil || f.src == nil || o.old != nil || f.old != nil {
		return false, nil
	}
	if err := f.startSession(); err != nil {
		return false, wrap("Clone", err)
	}
	if err := o.spill(); err != nil {
		return false, wrap("Clone", err)
	}
	if o.src.id != f.src.id {
		if srcIndex != index || !f.untouched() || !f.sameButName(o) {
			return false, nil
		}
		if err := f.adopt(ctx, o); err != nil {
			return false, wrap("Clone", err)
		}
	}
	if srcIndex != index { // a chunk is bound to its index
		return false, nil
	}
	return true, wrap("Clone", f.share(o, index, n))
}

func (f *file) sameButName(o *file) bool { return f.enc.Equal(o.enc) }

// adopt makes the other file's content this one's, the data key wrapped for this one's name.
func (f *file) adopt(ctx context.Context, o *file) error {
	bucket, key, err := f.s.PathOf(ctx, f.ino)
	if err != nil {
		return err
	}
	env, err := f.s.kms.RewrapDataKey(ctx, o.env, envelopeRequest(bucket, key, f.enc))
	if err != nil {
		return err
	}
	dataKey, err := f.s.kms.OpenDataKey(ctx, env)
	if err != nil {
		return err
	}
	src, err := f.s.newSource(o.src.id, dataKey, chunkMap{})
	if err != nil {
		return err
	}
	session := f.session
	f.s.abandon(f.src, true)
	f.use(src, env)
	f.session.id, f.session.kept = session.id, session.kept
	return f.startSession()
}

func (f *file) share(o *file, index, n int64) error {
	if err := f.DropChunks(index, n); err != nil {
		return err
	}
	f.session.shared, o.session.shared = true, true
	f.src.inherit(o.src)
	for i := index; i < index+n; {
		o.src.mu.Lock()
		e, ok, err := o.src.m.next(i)
		o.src.mu.Unlock()
		if err != nil {
			return err
		}
		if !ok || e.index >= index+n {
			break
		}
		e = e.from(max(i, e.index))
		i = e.end()
		if e.end() > index+n {
			e = e.until(index + n)
		}
		if err := f.shareExtent(o, e); err != nil {
			return err
		}
	}
	f.size = max(f.size, min((index+n)*chunkSize, o.size))
	f.changed = true
	return nil
}

// shareExtent maps o's slots. A chunk that no transaction has stored yet is copied: two files must not both store it.
func (f *file) shareExtent(o *file, e extent) error {
	if e.small() {
		o.src.mu.Lock()
		_, unsaved := o.src.unsaved[e.slot]
		o.src.mu.Unlock()
		if unsaved {
			plain := make([]byte, e.tail)
			defer kms.Wipe(plain)
			if _, err := o.src.chunk(e, e.index, plain); err != nil {
				return err
			}
			f.pend(piece{e.index, plain})
			return nil
		}
	}
	return f.remap(e)
}
