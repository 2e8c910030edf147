package badgerstore

import (
	"context"
	"io"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// file is an objstore.File. Chunks that were written lie in pending as plaintext until there are enough of them for
// the content file, or until Sync or Commit; their place is in the map of src from then on.
type file struct {
	s   *Store
	ino objstore.Ino

	src  *source             // the content that is written; nil before the first Begin of a new file
	old  *source             // the content before Begin: chunks that are not sealed anew yet
	env  kms.Envelope        // of src
	enc  objstore.Encryption // of src, as stored
	base *version            // the committed version that the file goes on from; nil: none

	size    int64
	pending map[int64][]byte
	waiting int64 // bytes of pending
	changed bool
	draft   bool // Sync left a record
	session session
}

// session is what one version, from Begin to EndSession, made.
type session struct {
	id      objstore.VersionID // of the version that Commit made; "" before
	mark    uint64             // content slots from here on were made in the session
	fresh   uint64             // content slots from here on were made since its last Commit
	small   map[uint64]bool    // slots of the data table made in it; true: since its last Commit
	drafted map[string]bool    // keys of map records that only the record has which Sync left
	shares  int                // Store.shares of the content when it began, or after its own last commit
	kept    bool               // the version before lives on as noncurrent
	shared  bool               // another file has taken over slots
	grown   bool               // content slots were made since its last Commit
	dead    []extent           // slots of the session that nothing uses any more
	former  []extent           // slots of the version before that the content no longer uses
}

const (
	// maxPending is how many chunks wait in memory for the content file: they are written there together.
	maxPending = 512 << 10 / chunkSize
	// smallWrite is how many chunks wait in memory rather than being sealed at once, when they come together.
	smallWrite = 128 << 10 / chunkSize
	// commitInline and syncInline are how many bytes Commit and Sync put into the database instead of the content file. For
	// Sync it is more, since one flush of the journal makes them durable where the content file needs another.
	commitInline = 16 << 10
	syncInline   = 128 << 10
)

// OpenFile opens a regular file.
func (s *Store) OpenFile(ctx context.Context, ino objstore.Ino) (objstore.File, error) {
	return s.counted(ino, func() (*file, error) { return s.openFile(ctx, ino) })
}

// OverwriteFile opens a regular file without its content.
func (s *Store) OverwriteFile(_ context.Context, ino objstore.Ino) (objstore.File, error) {
	return s.counted(ino, func() (*file, error) {
		in, err := s.regular(ino)
		if err != nil {
			return nil, err
		}
		f := s.newFile(in)
		f.size = 0
		return f, nil
	})
}

// counted counts a File more, before open looks for the inode: it must not go meanwhile.
func (s *Store) counted(ino objstore.Ino, open func() (*file, error)) (objstore.File, error) {
	s.mu.Lock()
	s.open[ino]++
	s.mu.Unlock()
	f, err := open()
	if err != nil {
		s.closeInode(ino)
		return nil, wrap("OpenFile", err)
	}
	return f, nil
}

func (s *Store) openFile(ctx context.Context, ino objstore.Ino) (*file, error) {
	src, in, err := s.openSource(ctx, func() (*inode, error) { return s.regular(ino) })
	if err != nil {
		return nil, err
	}
	f := s.newFile(in)
	if src != nil {
		f.use(src, in.ver.env)
	}
	return f, nil
}

func (s *Store) regular(ino objstore.Ino) (*inode, error) {
	in, err := s.cachedInode(ino)
	if err == nil && !isRegular(in.Mode) {
		err = objstore.IsDirectory
	}
	return in, err
}

func (s *Store) newFile(in *inode) *file {
	f := &file{s: s, ino: in.Ino, base: in.ver, size: in.Size, pending: map[int64][]byte{}}
	s.mu.Lock()
	f.draft = s.leftDrafts[in.Ino]
	s.mu.Unlock()
	return f
}

// use makes src the content that is written to.
func (f *file) use(src *source, env kms.Envelope) {
	src.once = true // the files of a mount: its kernel caches what they have
	f.src, f.env, f.enc = src, env, storedSettings(env)
	f.session = session{}
}

// startSession notes what there was before the session.
func (f *file) startSession() error {
	if f.session.small != nil {
		return nil
	}
	mark, err := f.s.data.Next(f.src.id, f.src.slotSize())
	if err != nil {
		return err
	}
	if top := f.src.top(); top > mark { // power loss took slots that the map still names: they must not be given out again
		if err := f.s.data.Reserve(f.src.id, f.src.slotSize(), top); err != nil {
			return err
		}
		mark = top
	}
	f.session.mark, f.session.fresh = mark, mark
	f.session.shares = f.s.shares(f.src.id)
	f.session.small = map[uint64]bool{}
	return nil
}

// closeInode counts a File less; an inode without names goes with the last one.
func (s *Store) closeInode(ino objstore.Ino) {
	s.mu.Lock()
	s.open[ino]--
	last := s.open[ino] == 0
	if last {
		delete(s.open, ino)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	if in, _ := s.nodes.get(ino); in != nil && in.Nlink > 0 {
		return // when it is being unlinked at this moment, purgeIfClosed comes after it
	}
	s.purgeIfClosed(ino)
}

// purgeIfClosed removes an inode without names that nobody has open.
func (s *Store) purgeIfClosed(ino objstore.Ino) {
	s.mu.Lock()
	open := s.open[ino] > 0
	s.mu.Unlock()
	if open {
		return
	}
	if err := s.purgeOrphan(ino); err != nil {
		s.log.Error("an unlinked file was not removed; gc will", "ino", ino, "err", err)
	}
}

// noteDraft remembers a record that Sync left and Close could not use: the next commit must not leave it behind.
func (s *Store) noteDraft(ino objstore.Ino, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left {
		s.leftDrafts[ino] = true
	} else {
		delete(s.leftDrafts, ino)
	}
}

func (s *Store) purgeOrphan(ino objstore.Ino) error {
	return s.update("Close", func(t *txn) error {
		in, err := t.inode(ino)
		if err != nil {
			return ignore(err, objstore.NoSuchNode)
		}
		t.s.mu.Lock()
		open := t.s.open[ino] > 0
		t.s.mu.Unlock()
		if in.Nlink > 0 || open {
			return nil
		}
		return t.purge(in, false)
	})
}

func ignore(err error, code objstore.Code) error {
	if objstore.CodeOf(err) == code {
		return nil
	}
	return err
}

// Authorize asks the key service for ctx's caller.
func (f *file) Authorize(ctx context.Context, _ bool) error {
	if f.src == nil {
		return nil
	}
	key, err := f.s.kms.OpenDataKey(ctx, f.env)
	kms.Wipe(key)
	return wrap("Open", err)
}

func (f *file) Size() int64 { return f.size }

func (f *file) Allocated() int64 {
	var n int64
	for _, src := range []*source{f.src, f.old} {
		if src != nil {
			src.mu.Lock()
			n += src.m.bytes()
			src.mu.Unlock()
		}
	}
	return n + f.waiting
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fail(objstore.InvalidArgument, "negative offset")
	}
	if len(f.pending) == 0 && f.old == nil && f.src != nil {
		n, err := f.src.readAt(p, off, f.size)
		return n, readErr(err)
	}
	n := 0
	for n < len(p) && off < f.size {
		i, skip := off/chunkSize, off%chunkSize
		part := p[n:min(int64(len(p)), int64(n)+min(chunkSize-skip, f.size-off))]
		if err := f.readChunk(part, i, skip); err != nil {
			return n, readErr(err)
		}
		n += len(part)
		off += int64(len(part))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func readErr(err error) error {
	if err == io.EOF {
		return err
	}
	return wrap("Read", err)
}

// readChunk fills p from chunk i, skip bytes in.
func (f *file) readChunk(p []byte, i, skip int64) error {
	clear(p)
	if b, ok := f.pending[i]; ok {
		if skip < int64(len(b)) {
			copy(p, b[skip:])
		}
		return nil
	}
	for _, src := range []*source{f.src, f.old} {
		if src == nil {
			continue
		}
		if _, ok, err := src.find(i); err != nil || ok {
			if err == nil {
				_, err = src.readSome(p, i*chunkSize+skip)
			}
			return err
		}
	}
	return nil
}

// EndSession lets the next Commit make another version.
func (f *file) EndSession() {
	if f.src != nil {
		f.session = session{}
	}
}

// Close drops what was not committed; what was fsynced becomes the file's content.
func (f *file) Close() error {
	var err error
	if f.draft {
		err = f.s.promoteDraft(f.ino)
		f.s.noteDraft(f.ino, err != nil)
	}
	f.unpendAll()
	if f.old != nil {
		f.s.abandon(f.old, false)
	}
	if f.src != nil {
		f.s.abandon(f.src, f.changed)
	}
	f.s.closeInode(f.ino)
	return wrap("Close", err)
}

// SeekData gives the first offset from off on that lies in a chunk.
func (f *file) SeekData(off int64) (int64, error) {
	if off < 0 || off >= f.size {
		return 0, wrap("SeekData", objstore.NoData)
	}
	i, ok, err := f.nextChunk(off / chunkSize)
	if err != nil {
		return 0, wrap("SeekData", err)
	}
	if !ok || i*chunkSize >= f.size {
		return 0, wrap("SeekData", objstore.NoData)
	}
	return max(off, i*chunkSize), nil
}

// nextChunk gives the first chunk from i on that is no hole.
func (f *file) nextChunk(i int64) (next int64, ok bool, err error) {
	next = maxChunks
	for k := range f.pending {
		if k >= i && k < next {
			next = k
		}
	}
	for _, src := range []*source{f.src, f.old} {
		if src == nil {
			continue
		}
		src.mu.Lock()
		e, found, err := src.m.next(i)
		src.mu.Unlock()
		if err != nil {
			return 0, false, err
		}
		if found {
			next = min(next, max(i, e.index))
		}
	}
	return next, next < maxChunks, nil
}

// SeekHole gives the first offset from off on that lies in a hole; the end of the file is one.
func (f *file) SeekHole(off int64) (int64, error) {
	if off < 0 || off >= f.size {
		return 0, wrap("SeekHole", objstore.NoData)
	}
	i := off / chunkSize
	for i*chunkSize < f.size {
		end, ok, err := f.dataUntil(i)
		if err != nil {
			return 0, wrap("SeekHole", err)
		}
		if !ok {
			return max(off, i*chunkSize), nil
		}
		i = end
	}
	return f.size, nil
}

// dataUntil gives the end of the run of chunks that holds i; ok is false in a hole.
func (f *file) dataUntil(i int64) (end int64, ok bool, err error) {
	if _, ok := f.pending[i]; ok {
		return i + 1, true, nil
	}
	for _, src := range []*source{f.src, f.old} {
		if src == nil {
			continue
		}
		e, ok, err := src.find(i)
		if err != nil || ok {
			return e.end(), ok, err
		}
	}
	return 0, false, nil
}
